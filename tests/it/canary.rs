//! The bypass canary behind real front proxies: quiet where all is well, and loud at each fault that is really made, until it is
//! mended.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port, run};
use crate::support::http::get;
use crate::support::proxies::FrontProxy;
use crate::support::tls::Authority;

/// Two apps behind a front proxy, and the foregate that asks for them again and again.
struct Street {
    name: &'static str,
    port: u16,
    foregate: Foregate,
    config: String,
    backend: Backend,
    proxy: Option<FrontProxy>,
}

impl Street {
    /// With these further lines below `[canary]`, and this configuration of the front proxy as the snippet is altered.
    fn with(name: &'static str, canary: &str, alter: impl Fn(String) -> String) -> Self {
        let (port, backend) = (free_port(), Backend::start());
        let config = format!(
            "public_url = \"http://auth.foregate.localhost:{port}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
             [session]\nstore = \"sqlite:DIR/f.db\"\n\
             [provider]\nissuer = \"http://127.0.0.1:9/\"\nclient_id = \"f\"\nclient_auth = \"none\"\n\
             [audit]\noutput = \"DIR/audit.log\"\n[canary]\ninterval = \"5s\"\n{canary}\n\
             [apps.\"app.foregate.localhost\"]\nallow = \"signed-in\"\n\
             rules = [{{ path = \"/open/**\", allow = \"public\" }}]\n"
        );
        let foregate = Foregate::start(&config);
        let mut street = Self { name, port, foregate, config, backend, proxy: None };
        street.set_up(alter);
        street
    }

    /// Starts the front proxy anew, with another configuration than the snippet if it is altered.
    fn set_up(&mut self, alter: impl Fn(String) -> String) {
        self.proxy = None;
        let (host, parts) = ("app.foregate.localhost", (&self.foregate, &self.backend));
        let alter = |text: &str| alter(text.to_owned());
        let proxy = FrontProxy::by_snippet(self.name, self.port, host, parts, alter);
        proxy.wait_for(&format!("http://{host}:{}/open/ready", self.port), |reply| reply.status != 404);
        self.proxy = Some(proxy);
    }

    /// What `/readyz` says of the canary, once it is so; the fault never makes foregate unready.
    fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let ready = get(self.foregate.admin, "/readyz", &[]);
            assert_eq!(ready.status, 200, "{ready:?}");
            let told = ready.json()["canary"].clone();
            if is_so(&told) {
                return told;
            }
            let proxy = self.proxy.as_ref().map(FrontProxy::log).unwrap_or_default();
            assert!(
                Instant::now() < end,
                "not {what}: {told}\n{}\n{proxy}",
                self.foregate.log_lines().join("\n")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until so many apps are found so.
    fn wait_for(&self, found: &str, count: f64) {
        let name = format!("foregate_canary_apps{{found=\"{found}\"}}");
        let end = Instant::now() + Duration::from_secs(60);
        while self.foregate.metric(&name) != count {
            assert!(Instant::now() < end, "{name} is not {count}:\n{}", self.foregate.log_lines().join("\n"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn audit(&self, parts: &[&str]) -> usize {
        let text = std::fs::read_to_string(self.foregate.dir().join("audit.log")).unwrap_or_default();
        text.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
    }

    /// How many looks there were: so often the app has been asked for its open page.
    fn looks(&self) -> usize {
        self.backend.seen().iter().filter(|request| request.starts_with("GET /open/any ")).count()
    }
}

/// The line that has the front proxy ask, and what stands there without it.
const UNGUARDED: [(&str, &str, &str); 2] = [
    ("nginx", "auth_request /.foregate/auth/nginx;", ""),
    ("traefik", "middlewares: [overrides, foregate]", "middlewares: [overrides]"),
];

#[test]
fn an_app_that_nobody_guards_is_told_of_until_it_is_guarded() {
    for (name, line, without) in UNGUARDED {
        let mut street = Street::with(name, "", |text| text);
        street.wait_for("refused", 1.0);
        let told = street.wait_until("quiet", |told| told["ok"] == true && told["asked"] == 1);
        assert_eq!((&told["found"], &told["not_asked"]), (&0.into(), &0.into()), "{told}");
        assert_eq!(street.foregate.logged("NOT PROTECTED"), 0, "{name}");

        street.set_up(|text| {
            assert!(text.contains(line), "{name}: {text}");
            text.replace(line, without)
        });
        let told = street.wait_until("open", |told| told["findings"][0]["kind"] == "open");
        let finding = &told["findings"][0];
        assert_eq!(finding["app"], "app.foregate.localhost", "{name}");
        assert!(finding["seen"].as_str().expect("words").starts_with("200 for somebody"), "{finding}");
        street.wait_for("open", 1.0);
        let line = street.foregate.wait_for_log("AN APP IS NOT PROTECTED");
        for part in ["\"level\":\"ERROR\"", "foregate::canary", "app.foregate.localhost", "foregate snippet"]
        {
            assert!(line.contains(part), "{part}: {line}");
        }

        street.set_up(|text| text);
        street.wait_until("mended", |told| told["ok"] == true);
        street.wait_for("refused", 1.0);
        street.wait_for("open", 0.0);
        street.foregate.wait_for_log("the canary is refused again");
        assert_eq!(street.foregate.logged("AN APP IS NOT PROTECTED"), 1, "{name}: told once");
        for reason in ["\"reason\":\"open\"", "\"reason\":\"mended\""] {
            let parts =
                ["\"event\":\"canary\"", reason, "\"app\":\"app.foregate.localhost\"", "\"path\":\"/\""];
            assert_eq!(street.audit(&parts), 1, "{name} {reason}");
        }
        // What the canary asks is nobody's reference.
        let refs =
            get(street.foregate.admin, "/api/v1/refs", &["Host: localhost", "Connection: close"]).json();
        assert_eq!(refs["refs"], serde_json::json!([]), "{name}");
    }
}

#[test]
fn forged_headers_that_let_somebody_in_are_told_of() {
    // The front proxy believes clients about what they ask for; or hands on what they say they are.
    let map = "map $http_x_forwarded_uri $foregate_uri { default $http_x_forwarded_uri; \"\" $request_uri; }\nupstream foregate {";
    for (changes, seen) in [
        (
            &[("$host$request_uri", "$host$foregate_uri"), ("upstream foregate {", map)][..],
            "200 for somebody who made up headers, and refused without them",
        ),
        (
            &[("proxy_set_header remote-user $foregate_remote_user;", "")],
            "the app was told a name that the client made up",
        ),
    ] {
        let mut street = Street::with("nginx", "", |text| text);
        street.wait_for("refused", 1.0);
        street.set_up(|text| {
            changes.iter().fold(text, |text, (line, with)| {
                assert!(text.contains(line), "{line}: {text}");
                text.replace(line, with)
            })
        });
        let told = street.wait_until("forged", |told| told["findings"][0]["kind"] == "forged");
        assert!(told["findings"][0]["seen"].as_str().expect("words").contains(seen), "{told}");
        street.wait_for("forged", 1.0);
        street.foregate.wait_for_log("AN APP IS NOT PROTECTED");
        street.set_up(|text| text);
        street.wait_until("mended", |told| told["ok"] == true);
        assert_eq!(street.audit(&["\"event\":\"canary\"", "\"reason\":\"forged\""]), 1);
    }
}

#[test]
fn a_front_proxy_that_is_away_is_no_open_app_and_a_reload_is_followed() {
    let mut street = Street::with("nginx", "", |text| text);
    street.wait_for("refused", 1.0);
    street.proxy = None;
    let told = street.wait_until("unreachable", |told| told["findings"][0]["kind"] == "unreachable");
    assert_eq!(told["ok"], false);
    let line = street.foregate.wait_for_log("does not know whether an app is protected");
    assert!(line.contains("\"level\":\"WARN\"") && line.contains("canary.address"), "{line}");
    assert_eq!(street.foregate.logged("AN APP IS NOT PROTECTED"), 0);
    assert_eq!(street.audit(&["\"event\":\"canary\""]), 0, "nobody was let in");

    // Another app comes with a reload, and nothing else is asked for it: what is known stays known.
    let more = format!("{}[apps.\"open.foregate.localhost\"]\nallow = \"public\"\n", street.config);
    street.foregate.rewrite(&more);
    let line = street.foregate.wait_for_log("the canary cannot ask about apps");
    assert!(line.contains("open.foregate.localhost") && line.contains("public"), "{line}");
    let told = street.wait_until("reloaded", |told| told["not_asked"] == 1);
    assert_eq!(told["findings"][0]["kind"], "unreachable", "{told}");

    street.foregate.rewrite(&street.config.replace("[canary]\ninterval = \"5s\"\n", ""));
    street.wait_until("over", Value::is_null);
    street.wait_for("unreachable", 0.0);
    street.set_up(|text| text);
    let looks = street.looks();
    street.foregate.rewrite(&street.config);
    street.wait_until("back", |told| told["ok"] == true);
    street.wait_for("refused", 1.0);
    assert!(street.looks() > looks, "it asks again");
}

#[test]
fn by_another_address_and_with_an_authority_of_its_own() {
    let authority = Authority::new();
    authority.write("a", &["*.foregate.test"]);
    let (port, backend) = (free_port(), Backend::start());
    // foregate itself is the proxy here, by names that no DNS has.
    let config = |ca: &str| {
        format!(
            "public_url = \"https://auth.foregate.test\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
             [server.tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n[session]\nstore = \"sqlite:DIR/f.db\"\n\
             [provider]\nissuer = \"http://127.0.0.1:9/\"\nclient_id = \"f\"\nclient_auth = \"none\"\n\
             [canary]\ninterval = \"5s\"\naddress = \"127.0.0.1:{port}\"\nhosts = [\"one.foregate.test\"]\n{ca}\n\
             [apps.\"app.foregate.test\"]\nupstream = \"{url}\"\nallow = \"signed-in\"\n\
             [apps.\"*.foregate.test\"]\nupstream = \"{url}\"\nallow = \"group:a\"\n",
            authority.file("a.crt"),
            authority.file("a.key"),
            url = backend.url()
        )
    };
    let foregate = Foregate::start_at(&config(&format!("ca_file = \"{}\"", authority.file("ca.pem"))), port);
    let street = Street { name: "", port, config: config(""), foregate, backend, proxy: None };
    street.wait_for("refused", 2.0);
    let told = street.wait_until("quiet", |told| told["ok"] == true);
    assert_eq!(told["asked"], 2, "{told}");
    // Nothing of it came to the apps.
    assert!(street.backend.seen().is_empty(), "{:?}", street.backend.seen());

    street.foregate.rewrite(&street.config);
    let told = street.wait_until("a certificate nobody knows", |told| told["found"] == 2);
    assert_eq!(told["findings"][0]["kind"], "unreachable", "{told}");
    assert!(told["findings"][0]["seen"].as_str().expect("words").contains("certificate"), "{told}");
}

#[test]
fn check_tells_what_is_asked_and_what_cannot_be() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = "public_url = \"https://auth.example.com\"\n[session]\nstore = \"sqlite:f.db\"\n\
         [server]\nlisten = \"127.0.0.1:4180\"\n\
         [provider]\nissuer = \"http://127.0.0.1:1/\"\nclient_id = \"f\"\nclient_auth = \"none\"\n\
         [canary]\ninterval = \"5m\"\n[apps]\n\"a.example.com\" = \"signed-in\"\n\"b.example.com\" = \"public\"\n\
         \"*.c.example.com\" = \"signed-in\"\n";
    std::fs::write(dir.path().join("foregate.toml"), config).expect("a file");
    let (_, out, _) = run(&["check"], dir.path());
    for line in [
        "canary: 1 pages are asked for every 300s",
        "b.example.com is not asked: its rules leave no page",
        "*.c.example.com is not asked: it stands for hosts that are not named",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
}
