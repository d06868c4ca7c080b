//! `foregate check`: every fault is really made, and must be named on one line with what helps.

mod faults;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foregate::browser::{NONCE_BYTES, Sealer};
use foregate::http::unix_now;
use foregate::outside;
use foregate::secret::Secret;
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, KEY, PROGRAM, free_port, run};
use crate::support::postgres::{fresh_url, number, run_sql};
use crate::support::provider::Provider;
use crate::support::proxies::{FrontProxy, PROXIES};
use crate::support::tls::Authority;

const PUBLIC_URL: &str = "http://auth.foregate.localhost:8080";

/// What `check` made of a configuration in a directory of its own.
struct Told {
    code: Option<i32>,
    out: String,
    left: Vec<String>,
}

impl Told {
    fn of(config: &str) -> Self {
        Self::with(config, &[])
    }

    fn with(config: &str, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config.replace("DIR", dir.path().to_str().expect("a path"));
        std::fs::write(dir.path().join("foregate.toml"), config).expect("a file");
        let (code, out, err) = run(&[&["check"], args].concat(), dir.path());
        assert!(!err.contains("panicked") && !out.contains('\u{1b}'), "{out}{err}");
        let entries = std::fs::read_dir(dir.path()).expect("a directory").map_while(Result::ok);
        let left = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        Self { code, out, left }
    }

    fn of_file(file: &Path, args: &[&str]) -> Self {
        let file = file.to_str().expect("a path");
        let (code, out, _) = run(&[&["check", "--config", file], args].concat(), Path::new("/"));
        Self { code, out, left: Vec::new() }
    }

    /// Asserts that there is one line of this state with all of these parts.
    fn has(&self, state: &str, parts: &[&str]) -> &Self {
        let is_it = |line: &&str| line.starts_with(state) && parts.iter().all(|part| line.contains(part));
        assert!(self.out.lines().any(|line| is_it(&line)), "no {state} line with {parts:?}:\n{}", self.out);
        self
    }

    /// Asserts that it failed, and that the fault is told of with its fix.
    fn fails(&self, parts: &[&str]) -> &Self {
        assert_eq!(self.code, Some(1), "{}", self.out);
        self.has("failed", &[parts, &["; fix: "]].concat())
    }

    fn passes(&self) -> &Self {
        assert!(self.code == Some(0) && !self.out.contains("\nfailed"), "{:?}\n{}", self.code, self.out);
        self
    }
}

fn config(store: &str, provider: &str) -> String {
    format!(
        "public_url = \"{PUBLIC_URL}\"\nallow = \"signed-in\"\n[session]\n{store}\n{provider}\n[apps]\n\
         \"app.foregate.localhost\" = \"group:family\"\n"
    )
}

const SQLITE: &str = "store = \"sqlite:DIR/f.db\"";
/// Nobody listens there.
const NO_PROVIDER: &str =
    "[provider]\nissuer = \"http://127.0.0.1:1/\"\nclient_id = \"f\"\nclient_auth = \"none\"\n";

#[test]
fn a_set_up_that_is_well_passes_and_is_left_as_it_was() {
    let provider = Provider::for_foregate(PUBLIC_URL, Value::Null);
    let told = Told::of(&config(SQLITE, &provider.config()));
    told.passes();
    for (stage, name) in [
        ("config", "settings"),
        ("store", "reachable"),
        ("store", "schema: no tables yet"),
        ("store", "writable"),
        ("provider", "discovery"),
        ("provider", &format!("issuer: {}", provider.issuer)),
        ("provider", "keys: 1 for RS256"),
        ("provider", "clock"),
        ("provider", "client credentials"),
        ("provider", "userinfo"),
        ("provider", "redirect URI"),
        ("cookies", "cookie domain: foregate.localhost"),
        ("headers", "size"),
    ] {
        told.has("ok", &[stage, name]);
    }
    assert_eq!(told.left, ["foregate.toml"], "nothing is made");
    let told = Told::with(&config(SQLITE, &provider.config()), &["--json"]);
    let json: Value = serde_json::from_str(&told.out).expect("JSON");
    assert!(told.code == Some(0) && json["ok"] == true, "{json}");
    let first = &json["checks"][0];
    assert_eq!(
        (&first["stage"], &first["state"], &first["fix"]),
        (&json!("config"), &json!("ok"), &Value::Null)
    );
}

#[test]
fn every_fault_of_the_configuration_is_told_and_nothing_else_is_looked_at() {
    let faulty =
        config(SQLITE, NO_PROVIDER).replace("allow =", "alow =") + "[server]\nlisten = \"nowhere\"\n";
    let told = Told::of(&faulty);
    told.fails(&["foregate.toml:2", "alow"])
        .fails(&["foregate.toml:", "server.listen"])
        .has("skipped", &["provider"]);
    let json = Told::with(&faulty, &["--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json.out).expect("JSON")["ok"], false);
    let suffix = config("cookie_domain = \"co.uk\"", NO_PROVIDER).replace(PUBLIC_URL, "https://auth.co.uk");
    Told::of(&suffix).fails(&["public suffix", "co.uk"]);
    let trial =
        "[[tests]]\nurl = \"http://app.foregate.localhost/\"\nas = \"user=bob\"\nexpect = \"allow\"\n";
    Told::of(&(config(SQLITE, NO_PROVIDER) + trial)).fails(&["this test fails", "app.foregate.localhost"]);
    let trial = trial.replace("user=bob", "user=bob,groups=family");
    Told::of(&(config(SQLITE, NO_PROVIDER) + &trial)).has("ok", &["[[tests]]", "1 passed"]);
    let strangers = config(SQLITE, NO_PROVIDER) + "[server]\nlisten = \"0.0.0.0:4180\"\n";
    Told::of(&strangers).fails(&["front proxies", "server.trusted_proxies"]);
    for args in [&["--url", "nonsense"][..], &["--url", "ftp://a.test/"], &["--nonsense"]] {
        assert_eq!(run(&[&["check"], args].concat(), Path::new("/")).0, Some(2), "{args:?}");
    }
}

#[test]
fn an_app_that_could_use_the_account_page_is_told_of() {
    let set_up = |app: &str, tokens: &str| {
        let app = format!("\"{app}\" = {{ allow = \"signed-in\", upstream = \"http://127.0.0.1:1\" }}\n");
        format!("{}{app}{tokens}", config(SQLITE, NO_PROVIDER))
    };
    let makes = "[tokens]\nself_service = true\n";
    for (app, tokens, told) in [
        ("auth.foregate.localhost", makes, true),
        ("auth.foregate.localhost/notes", makes, true),
        ("*.foregate.localhost", makes, true),
        ("auth.foregate.localhost/notes", "", false),
        ("notes.foregate.localhost", makes, false),
        ("*.auth.foregate.localhost", makes, false),
    ] {
        let found = Told::of(&set_up(app, tokens));
        let line = found.out.lines().find(|line| line.contains("is on the host of public_url"));
        assert_eq!(line.is_some(), told, "{app} {tokens}\n{}", found.out);
        if let Some(line) = line {
            assert!(line.starts_with("warning") && line.contains(app) && line.contains("; fix: "), "{line}");
        }
    }
}

#[test]
fn every_fault_of_the_provider_is_named() {
    let provider = Provider::for_foregate(PUBLIC_URL, Value::Null);
    let table = provider.config();
    let check = |table: &str| Told::of(&config(SQLITE, table));
    let bare = provider.issuer.trim_end_matches('/');
    let told = check(&table.replace(&provider.issuer, bare));
    told.fails(&["issuer: configured", &format!("{bare:?}"), &format!("{:?}", provider.issuer), "slash"]);
    told.has("skipped", &["client credentials"]);
    let elsewhere = provider.issuer.replace("127.0.0.1", "localhost");
    check(&table.replace(&provider.issuer, &elsewhere)).fails(&[
        "issuer: configured",
        &elsewhere,
        &provider.issuer,
    ]);
    check(&table.replace("/application/o/foregate/", "/nowhere/")).fails(&[
        "discovery",
        "404",
        "correct the issuer",
    ]);
    check(&table.replace(&provider.secret, "wrong")).fails(&[
        "client credentials",
        "client_auth = \"basic\"",
        "copy",
    ]);
    check(&table.replace("\"foregate\"", "\"nobody\"")).fails(&["client credentials"]);
    check(NO_PROVIDER).fails(&["discovery", "127.0.0.1:1", "provider runs"]);
    provider.control("client", &json!({ "redirectUris": ["http://other.localhost/callback"] }));
    check(&table).fails(&["redirect URI", "400", &format!("register {PUBLIC_URL}/.foregate/callback")]);
    for (path, name) in [("token", "client credentials"), ("userinfo", "userinfo"), ("jwks", "keys")] {
        provider.control("pause", &json!({ "mode": "503", "path": path }));
        check(&table).fails(&[name, "503"]);
        provider.control("resume", &Value::Null);
    }
}

#[test]
fn a_clock_that_is_wrong_is_told_before_sign_ins_fail() {
    for (seconds, state) in [(-150, "failed"), (150, "failed"), (45, "warning")] {
        let provider = Provider::for_foregate(PUBLIC_URL, json!({ "clockSkewSeconds": seconds }));
        let told = Told::of(&config(SQLITE, &provider.config()));
        told.has(state, &["clock", "seconds", "; fix: set both machines by NTP"]);
        assert_eq!(told.code, Some(if state == "failed" { 1 } else { 0 }), "{}", told.out);
    }
}

#[test]
fn keys_that_fit_nothing_are_no_keys() {
    let issuer = stand_in(r#"{"keys":[]}"#);
    let table = format!("[provider]\nissuer = \"{issuer}\"\nclient_id = \"f\"\nclient_auth = \"none\"\n");
    let told = Told::of(&config(SQLITE, &table));
    told.fails(&["keys", "no key for RS256", "signing key"]).has("warning", &["clock", "Date"]);
}

/// A provider that says who it is and has this key set, and nothing else, not even the time.
fn stand_in(keys: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let issuer = format!("http://{}/", listener.local_addr().expect("an address"));
    let document = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}authorize"), "token_endpoint": format!("{issuer}token"),
        "jwks_uri": format!("{issuer}jwks"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let body = if head.contains("/jwks ") { keys.to_owned() } else { document.to_string() };
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    issuer
}

#[test]
fn a_store_that_cannot_be_used_is_named() {
    let check = |session: &str| Told::of(&config(session, NO_PROVIDER));
    check("store = \"sqlite:/proc/foregate.db\"").fails(&["writable", "/proc"]);
    let no_database = Told::of(
        &config("store = \"sqlite:foregate.toml\"\nkeys = [\"KEY\"]", NO_PROVIDER).replace("KEY", KEY),
    );
    no_database.fails(&["reachable", "not a database"]);
    let keys = format!("keys = [\"{KEY}\"]\n");
    check(&format!("{keys}store = \"postgres://postgres@127.0.0.1:1/f\""))
        .fails(&["reachable", "session.store"]);
    check("store = \"postgres://postgres@127.0.0.1:1/f\"").fails(&["keys", "foregate session new-key"]);
}

#[test]
fn a_database_is_looked_at_and_left_as_it_is() {
    let url = fresh_url();
    let session = |url: &str| format!("keys = [\"{KEY}\"]\nstore = \"{url}\"");
    let check = |url: &str| Told::of(&config(&session(url), NO_PROVIDER));
    let count = |sql: &str| block_on(number(&url, sql));
    let sql = |text: &str| block_on(run_sql(&url, text));
    check(&url).has("ok", &["schema", "the first start makes them"]).has("ok", &["writable"]);
    assert_eq!(
        count("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'foregate%'"),
        0,
        "nothing is made"
    );

    let served = format!(
        "{}[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n",
        config(&session(&url), NO_PROVIDER)
    );
    drop(Foregate::start(&served));
    check(&url)
        .has("ok", &["schema: version"])
        .has("ok", &["writable"])
        .has("ok", &["clock"])
        .has("ok", &["sealing keys"]);
    assert_eq!(
        count("SELECT count(*) FROM foregate_fact WHERE name = 'foregate check'"),
        0,
        "nothing is written"
    );

    let byte = |count: usize| format!("decode(repeat('00', {count}), 'hex')");
    sql(&format!(
        "INSERT INTO foregate_session (id, proof, issuer, subject, profile, created_at, last_seen, expires_at, tokens, client, \
         user_agent) VALUES ({}, {}, 'i', 's', '{{\"issuer\": \"i\", \"subject\": \"s\", \"username\": \"zoe\"}}', 1, 1, 2, '', '', '')",
        byte(16),
        byte(32)
    ));
    check(&url).has("ok", &["size", "of zoe"]);

    let role = format!("reader_{}", std::process::id());
    sql(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    check(&url.replace("postgres@", &format!("{role}@"))).fails(&["writable", "permission denied", "GRANT"]);
    sql(&format!(
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; REVOKE DELETE ON foregate_session FROM {role}"
    ));
    check(&url.replace("postgres@", &format!("{role}@"))).fails(&["writable", "foregate_session"]);
    let other = session(&url).replace(KEY, &format!("{}=", "A".repeat(43)));
    Told::of(&config(&other, NO_PROVIDER)).fails(&["sealing keys", "same keys"]);
    sql("INSERT INTO foregate_migration (version) VALUES (999)");
    check(&url).fails(&["schema", "999", "newer foregate"]);
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

#[test]
fn groups_that_do_not_fit_are_told_with_who_has_them() {
    let groups: Vec<String> = (0..150).map(|number| format!("a-group-of-some-length-{number:04}")).collect();
    let port = free_port();
    let public_url = format!("http://auth.foregate.localhost:{port}");
    let provider = Provider::for_foregate(&public_url, json!({ "users": { "eve": { "groups": groups } } }));
    let text = format!(
        "public_url = \"{public_url}\"\nallow = \"signed-in\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n[session]\n\
         store = \"sqlite:DIR/f.db\"\n{}",
        provider.config()
    );
    let foregate = Foregate::start_at(&text, port);
    crate::support::http::Browser::default().sign_in(&format!("{public_url}/.foregate/sign-in"), "eve");
    let told = Told::of_file(&foregate.dir().join("foregate.toml"), &[]);
    told.passes().has("warning", &["size", "of eve", "nginx", "proxy_buffer_size", "groups = \"matching\""]);
}

/// A front proxy before an app, with foregate beside it, or foregate alone.
struct Street {
    port: u16,
    _provider: Provider,
    foregate: Foregate,
    _backend: Backend,
    _proxy: Option<FrontProxy>,
}

impl Street {
    /// With more lines for `[server]`, and another configuration of the front proxy than the snippet.
    fn with(name: &'static str, server: &str, alter: impl Fn(String) -> String) -> Self {
        let (port, backend) = (free_port(), Backend::start());
        let alone = name == ALONE;
        let upstream = if alone { format!("upstream = \"{}\"\n", backend.url()) } else { String::new() };
        let public_url = format!("http://auth.foregate.localhost:{port}");
        let provider = Provider::for_foregate(&public_url, Value::Null);
        let config = format!(
            "public_url = \"{public_url}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n{server}[session]\n\
             store = \"sqlite:DIR/f.db\"\n{}[apps.\"app.foregate.localhost\"]\n{upstream}allow = \"signed-in\"\n\
             rules = [{{ path = \"/open/**\", allow = \"public\" }}]\n",
            provider.config()
        );
        let foregate = Foregate::start_at(&config, if alone { port } else { free_port() });
        let proxy = (!alone).then(|| {
            let dir = tempfile::tempdir().expect("a directory");
            let file = foregate.dir().join("foregate.toml");
            let (listen, upstream) = (format!("127.0.0.1:{port}"), backend.url());
            let (file, host) = (file.to_str().expect("a path"), "app.foregate.localhost");
            let args = [
                "snippet",
                name,
                "--config",
                file,
                "--host",
                host,
                "--upstream",
                &upstream,
                "--listen",
                &listen,
            ];
            let (code, text, err) = run(&args, dir.path());
            assert_eq!(code, Some(0), "{err}");
            let proxy = FrontProxy::start(name, port, &alter(text), dir);
            proxy.wait_for(&format!("http://{host}:{port}/open/ready"), |reply| reply.status != 404);
            proxy
        });
        Self { port, _provider: provider, foregate, _backend: backend, _proxy: proxy }
    }

    fn check(&self, page: &str) -> Told {
        let url = format!("http://app.foregate.localhost:{}{page}", self.port);
        Told::of_file(&self.foregate.dir().join("foregate.toml"), &["--url", &url])
    }
}

const ALONE: &str = "foregate";

#[test]
fn through_every_front_proxy_the_real_path_is_seen() {
    for name in PROXIES.into_iter().chain([ALONE]) {
        let street = Street::with(name, "", |text| text);
        let told = street.check("/deep/page");
        told.passes().has("ok", &["own pages"]).has("ok", &["DNS"]).has("ok", &["sign-in: 302 to"]);
        told.has("ok", &["programs: 401"]).has("ok", &["WebSocket"]);
        let page = format!("received: GET http://app.foregate.localhost/deep/page from 127.0.0.1, by {name}");
        if name == ALONE {
            told.has("ok", &["received: GET", "by proxy"])
                .has("skipped", &["forged headers", "try it from another"]);
        } else {
            told.has("ok", &[&page])
                .has("ok", &["forged headers: without effect: foregate received the same"]);
        }
        street.check("/open/page").passes().has("ok", &["public by"]);
    }
}

#[test]
fn an_address_that_nobody_guards_is_told() {
    // As if the line was forgotten.
    let street = Street::with("nginx", "", |text| text.replace("auth_request /.foregate/auth/nginx;", ""));
    street
        .check("/page")
        .fails(&["sign-in: NOT PROTECTED: 200", "foregate snippet"])
        .fails(&["programs: NOT PROTECTED"])
        .has("skipped", &["forged headers"]);
}

#[test]
fn what_somebody_else_answers_is_never_taken_for_foregates() {
    let guard = "auth_request /.foregate/auth/nginx;";
    let led_away = Street::with("nginx", "", |text| {
        text.replace(guard, "return 302 https://evil.test/.foregate/sign-in;")
    });
    led_away.check("/page").fails(&["sign-in: 302 to https://evil.test", "no sign-in of foregate"]);
    // As foregate would tell it, but for the seal.
    let saw =
        r#"{"dialect":"traefik","peer":"203.0.113.66","trusted":false,"malformed":null,"request":null}"#;
    let saw = URL_SAFE_NO_PAD.encode(saw);
    let made_up = format!("add_header Foregate-Saw {saw} always; return 403;");
    let told = Street::with("nginx", "", |text| text.replace(guard, &made_up)).check("/page");
    told.fails(&["programs: 403"]).has("warning", &["received"]);
    assert!(!told.out.contains("203.0.113.66"), "{}", told.out);
}

#[test]
fn a_front_proxy_that_is_not_trusted_is_told_with_the_line_to_add() {
    let street = Street::with("traefik", "trusted_proxies = [\"192.0.2.1\"]\n", |text| text);
    street.check("/page").fails(&["trusted proxy", "127.0.0.1", "trusted_proxies = [\"127.0.0.1\"]"]);
}

#[test]
fn a_front_proxy_that_lets_clients_forge_is_told() {
    let map = "map $http_x_forwarded_uri $foregate_uri { default $http_x_forwarded_uri; \"\" $request_uri; }\nupstream foregate {";
    for (changes, parts) in [
        (
            &[("X-Forwarded-For $remote_addr", "X-Forwarded-For $http_x_forwarded_for")][..],
            ["forged headers", "from 192.0.2.99"],
        ),
        (
            &[("$host$request_uri", "$host$foregate_uri"), ("upstream foregate {", map)],
            ["forged headers", "/foregate-check"],
        ),
        (&[("X-Original-URL $scheme", "X-Other-URL $scheme")], ["received", "X-Original-URL is missing"]),
        (&[("X-Original-URL $scheme", "X-Original-URL https")], ["received", "the scheme \"https\""]),
    ] {
        let alter = |text: String| changes.iter().fold(text, |text, (line, with)| text.replace(line, with));
        Street::with("nginx", "", alter).check("/page").fails(&parts).fails(&["foregate snippet"]);
    }
}

#[test]
fn a_certificate_that_browsers_refuse_is_told() {
    let authority = Authority::new();
    authority.write("a", &["*.foregate.localhost"]);
    let (port, backend) = (free_port(), Backend::start());
    let file = |name: &str| authority.file(name);
    let public_url = format!("https://auth.foregate.localhost:{port}");
    let provider = Provider::for_foregate(&public_url, Value::Null);
    let text = format!(
        "public_url = \"{public_url}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n[server.tls]\n\
         cert_file = \"{}\"\nkey_file = \"{}\"\n[session]\nstore = \"sqlite:DIR/f.db\"\n{}\
         [apps.\"app.foregate.localhost\"]\nallow = \"signed-in\"\nupstream = \"{}\"\n",
        file("a.crt"),
        file("a.key"),
        provider.config(),
        backend.url()
    );
    let foregate = Foregate::start_at(&text, port);
    let config = foregate.dir().join("foregate.toml");
    let url = format!("https://app.foregate.localhost:{port}/");
    let told = Told::of_file(&config, &["--url", &url]);
    told.fails(&["TLS", "certificate"]).has("skipped", &["sign-in", "cannot be reached"]);
    let trusting = Command::new(PROGRAM)
        .args(["check", "--config", config.to_str().expect("a path"), "--url", &url])
        .env("SSL_CERT_FILE", authority.file("ca.pem"))
        .stdin(Stdio::null())
        .output()
        .expect("foregate starts");
    let told = Told {
        code: trusting.status.code(),
        out: String::from_utf8(trusting.stdout).expect("text"),
        left: Vec::new(),
    };
    told.passes().has("ok", &["TLS", "more days"]).has("ok", &["sign-in: 302"]);
}

#[test]
fn what_arrived_is_told_on_denials_alone_and_to_who_has_the_keys() {
    let text = config(&format!("{SQLITE}\nkeys = [\"{KEY}\"]"), NO_PROVIDER)
        + "\"open.foregate.localhost\" = \"public\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n";
    let foregate = Foregate::start(&text);
    let word = |key: &str, at: u64| {
        outside::seal(&Sealer::new(&[Secret::new(key)]).expect("a key"), at, [7; NONCE_BYTES])
    };
    let (now, other) = (unix_now(), format!("{}=", "A".repeat(43)));
    for (host, word, status, told) in [
        ("app", word(KEY, now), 401, true),
        ("app", word(KEY, now - 3600), 401, false),
        ("app", word(KEY, now + 3600), 401, false),
        ("app", word(&other, now), 401, false),
        ("app", "x".repeat(60), 401, false),
        ("open", word(KEY, now), 200, false),
    ] {
        let url = format!("http://{host}.foregate.localhost/");
        let reply = foregate.check(&url, &[&format!("Foregate-Probe: {word}")]);
        assert_eq!((reply.status, reply.header("foregate-saw").is_some()), (status, told), "{host} {word}");
    }
}
