//! The examples that people start from, run as their pages say, with real servers and a real browser.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::browser::{browse, sign_in_as, text};
use crate::support::foregate::{Foregate, Guard, end_with_us, free_port};
use crate::support::http::get;
use crate::support::provider::Provider;

/// FastAPI with the page built for it, in a directory of its own.
struct Notes {
    child: Child,
    port: u16,
    _guard: Guard,
    _dir: tempfile::TempDir,
}

impl Notes {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        build(dir.path());
        let mut child = Command::new(tools().join("bin/uvicorn"))
            .args(["app:app", "--port", "0", "--no-access-log"])
            .current_dir(dir.path())
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("uvicorn starts: run tests/setup.sh first");
        let guard = end_with_us(child.id());
        let mut told = BufReader::new(child.stderr.take().expect("stderr"));
        let port = running_at(&mut told);
        // Read on, so that it never waits to say something.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        Self { child, port, _guard: guard, _dir: dir }
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The files of the example, and what `npm ci` and `npm run build` make beside them.
fn build(dir: &Path) {
    std::fs::create_dir(dir.join("web")).expect("a directory");
    for name in ["app.py", "page.jsx", "package.json", "web/index.html"] {
        std::fs::copy(example().join(name), dir.join(name)).expect("a file");
    }
    symlink(tools().join("example/node_modules"), dir.join("node_modules")).expect("a link");
    let package = std::fs::read_to_string(dir.join("package.json")).expect("a file");
    let package: Value = serde_json::from_str(&package).expect("JSON");
    let script = package["scripts"]["build"].as_str().expect("a script");
    let words = script.strip_prefix("esbuild ").expect("esbuild").split(' ');
    let built = Command::new(tools().join("bin/node"))
        .arg("node_modules/esbuild/bin/esbuild")
        .args(words)
        .arg("--log-level=warning")
        .current_dir(dir)
        .status()
        .expect("esbuild runs: run tests/setup.sh first");
    assert!(built.success());
}

/// The port that uvicorn says it took.
fn running_at(told: &mut impl std::io::BufRead) -> u16 {
    let mut all = Vec::new();
    for line in told.lines().map_while(Result::ok) {
        let behind =
            line.split_once("Uvicorn running on http://127.0.0.1:").map(|(_, behind)| behind.to_owned());
        all.push(line);
        if let Some(behind) = behind {
            return behind.split(' ').next().and_then(|port| port.parse().ok()).expect("a port");
        }
    }
    panic!("uvicorn does not run: {all:#?}");
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/fastapi-react")
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools")
}

/// The example's own configuration, with the ports and the provider of a test.
fn config(port: u16, notes: u16, provider: &Provider) -> String {
    let own = std::fs::read_to_string(example().join("foregate.toml")).expect("a file");
    let own =
        own.replace(":4180", &format!(":{port}")).replace("127.0.0.1:8000", &format!("127.0.0.1:{notes}"));
    let places =
        "server.listen = \"LISTEN\"\nserver.admin_listen = \"ADMIN\"\nsession.store = \"sqlite:DIR/f.db\"\n";
    let provider = provider.config();
    let scopes = "scopes = [\"openid\", \"profile\", \"email\", \"offline_access\", \"org\"]\n";
    own.replacen("\n[tenants]", &format!("\n{places}{provider}{scopes}\n[tenants]"), 1)
}

#[test]
fn fastapi_and_react_need_no_line_about_signing_in() {
    let notes = Notes::start();
    let port = free_port();
    let public_url = format!("http://auth.example.localhost:{port}");
    let users = json!({ "anna": { "name": "Anna", "tenants": { "acme": "admin", "beta": "writer" } } });
    let options = json!({ "users": users, "scopes": { "org": ["tenants"] }, "accessTokenTtl": 5 });
    let provider = Provider::for_foregate(&public_url, options);
    let _foregate = Foregate::start_at(&config(port, notes.port, &provider), port);
    assert_eq!(get(([127, 0, 0, 1], notes.port).into(), "/api/me", &["Connection: close"]).status, 200);
    let page = format!("http://notes.example.localhost:{port}/");
    let lever = provider.lever("user");
    let left = json!({ "login": "anna", "claims": { "tenants": { "beta": "reader" } } });
    // Asks until the provider's tokens were due, and foregate knows what is new.
    let renewed = "(async () => { for (;;) { const told = await (await fetch('/.foregate/session')).json(); \
                   if (told.tenants.length === 1) return told; await new Promise((done) => setTimeout(done, 200)); } })()";
    let me = "#operations-default-me_api_me_get";
    let [fill, click] = sign_in_as("anna");
    let steps = json!([
        { "open": page }, fill, click,
        { "text": "text=Anna in acme; roles: admin, reader, writer." },
        { "fill": { "#text": "first of acme" } }, { "click": "#add" },
        { "text": "#notes li:has-text('first of acme')" },
        { "select": { "#tenant": "beta" } },
        { "text": "text=Anna in beta; roles: reader, writer." },
        { "text": "#notes:not(:has(li))" },
        { "fill": { "#text": "first of beta" } }, { "click": "#add" },
        { "text": "#notes li:has-text('first of beta')" },
        { "click": ".remove" },
        { "text": "text=You may not: the role admin is missing." },
        { "select": { "#tenant": "acme" } },
        { "text": "#notes li:has-text('first of acme')" },
        { "click": ".remove" },
        { "text": "#notes:not(:has(li))" },
        { "open": format!("{page}api/docs") },
        { "click": format!("{me} .opblock-summary-control") },
        { "click": format!("{me} .try-out__btn") },
        { "click": format!("{me} .execute") },
        { "text": format!("{me} .live-responses-table .microlight:has-text('\"user\": \"anna\"')") },
        { "request": { "method": "POST", "url": lever, "json": left } },
        { "eval": renewed },
        { "eval": "fetch('/api/notes', { headers: { 'X-Tenant-ID': 'acme' } }).then((answer) => answer.status)" },
        { "eval": "fetch('/api/notes', { method: 'POST', body: '{}' }).then((answer) => answer.status)" },
        { "eval": "sessionStorage.clear()" },
        { "open": page },
        { "text": "text=Anna in beta; roles: reader." },
        { "click": "#out" },
        { "open": page },
    ]);
    let seen = browse(&steps);
    let value = |part: &str| {
        let step =
            steps.as_array().expect("steps").iter().position(|step| step["eval"].to_string().contains(part));
        &seen[step.expect("a step")]["value"]
    };
    assert_eq!(value("told.tenants")["tenants"], json!(["beta"]));
    assert_eq!(value("X-Tenant-ID"), &json!(403), "out of the tenant");
    assert_eq!(value("POST"), &json!(403), "no writer any more");
    let docs = &seen[23];
    assert!(docs["found"].as_str().is_some_and(|found| found.contains("\"tenant\": \"acme\"")), "{docs}");
    let complaints: Vec<&Value> =
        seen[19..24].iter().flat_map(|step| step["console"].as_array()).flatten().collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    let last = seen.last().expect("a step");
    assert!(last["url"].as_str().is_some_and(|url| url.contains("/if/flow/login/")), "{} {last}", text(last));
}
