//! What shows only behind real front proxies: emergency access as a browser meets it while the provider is dead, the limit
//! of its passwords, and what an app gets of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{NAVIGATES, Reply, raw, request};
use crate::support::proxies::{FrontProxy, PROXIES};

const HOST: &str = "app.foregate.localhost";
const REALM: &str = "Basic realm=\"Emergency Access\", charset=\"UTF-8\"";
/// Of `correct horse`.
const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$O8s7cb/soYl6p60N9SDUQA$Pf3NGDzZJnORMIENAwhO7cvodCGXwz2WVYhZV1xh5XI";

/// A front proxy before an app that allows emergency access, and a foregate whose provider does not answer.
struct Street {
    port: u16,
    foregate: Foregate,
    backend: Backend,
    proxy: Option<FrontProxy>,
}

impl Street {
    /// Starts foregate, which needs a while to find that the provider is silent.
    fn new() -> Self {
        let (port, backend) = (free_port(), Backend::start());
        let config = format!(
            "public_url = \"http://auth.foregate.localhost:{port}\"\n[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\
             [server.limits]\nemergency_per_minute = 1\n[session]\nstore = \"sqlite:DIR/f.db\"\n\
             [provider]\nissuer = \"http://127.0.0.1:9/\"\nclient_id = \"f\"\nclient_auth = \"none\"\n\
             [emergency]\nusers = [\"alice:{HASH}:ops\"]\nafter = \"10s\"\n\
             [apps.\"{HOST}\"]\nallow = \"group:ops\"\nemergency = true\n\
             rules = [{{ path = \"/open/**\", allow = \"public\" }}]\n"
        );
        Self { port, foregate: Foregate::start(&config), backend, proxy: None }
    }

    /// Puts this front proxy before it, by the snippet.
    fn behind(mut self, name: &'static str) -> Self {
        let proxy =
            FrontProxy::by_snippet(name, self.port, HOST, (&self.foregate, &self.backend), str::to_owned);
        proxy.wait_for(&format!("http://{HOST}:{}/open/ready", self.port), |reply| reply.status == 200);
        self.proxy = Some(proxy);
        self
    }

    fn ask(&self, page: &str, lines: &[&str]) -> Reply {
        let host = format!("Host: {HOST}:{}", self.port);
        let lines = [&[host.as_str(), "Connection: close"], lines].concat();
        raw(([127, 0, 0, 1], self.port).into(), request("GET", page, &lines, "").as_bytes())
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[test]
fn behind_every_front_proxy_a_browser_is_asked_for_the_password_and_the_app_never_gets_it() {
    // All of them wait for the silence of their provider together.
    let streets = PROXIES.map(|name| (name, Street::new().behind(name)));
    let good = basic("alice", "correct horse");
    for (name, street) in &streets {
        street.foregate.wait_for_log("\"what\":\"opened\"");
        for lines in [&[][..], &[NAVIGATES]] {
            let reply = street.ask("/page", lines);
            assert_eq!(
                (reply.status, reply.all("www-authenticate")),
                (401, vec![REALM]),
                "{name} {lines:?} {reply:?}"
            );
            assert_eq!(reply.header("location"), None, "{name}: {reply:?}");
            assert_eq!(reply.all("cache-control"), ["no-store"], "{name}: {reply:?}");
            assert!(!reply.body.contains("\"sign_in_url\":\"\""), "{name}: {reply:?}");
        }
        let reply = street.ask("/page", &[&good, NAVIGATES, "X-Foregate-Emergency: no"]);
        let told = reply.body.to_ascii_lowercase();
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        assert!(
            told.contains("x-foregate-emergency: true") && told.contains("remote-user: alice"),
            "{name}: {told}"
        );
        assert!(!told.contains("authorization"), "{name}: the password is foregate's: {told}");

        // A browser goes on sending it, also where it is not asked for; what is the app's stays the app's.
        let theirs = basic("carol", "an affair of the app's");
        for (line, reaches) in [(good.as_str(), false), (&basic("alice", "wrong"), false), (&theirs, true)] {
            let reply = street.ask("/open/page", &[line]);
            let told = reply.body.to_ascii_lowercase().contains(&line.to_ascii_lowercase());
            assert_eq!((reply.status, told), (200, reaches), "{name} {line}: {reply:?}");
            assert_eq!(
                reply.body.to_ascii_lowercase().contains("authorization"),
                reaches,
                "{name} {line}: {reply:?}"
            );
        }
        let plain = street.ask("/open/page", &[]);
        assert!(!plain.body.to_ascii_lowercase().contains("authorization"), "{name}: {plain:?}");

        // One guess a minute, and how long the next one has to wait.
        let wrong = [basic("alice", "wrong"), NAVIGATES.to_owned()];
        let wrong = wrong.each_ref().map(String::as_str);
        let reply = street.ask("/page", &wrong);
        assert_eq!((reply.status, reply.all("www-authenticate")), (401, vec![REALM]), "{name}: {reply:?}");
        let limited = street.ask("/page", &wrong);
        assert_eq!((limited.status, limited.header("www-authenticate")), (429, None), "{name}: {limited:?}");
        let [wait] = limited.all("retry-after")[..] else { panic!("{name}: {limited:?}") };
        assert!((6..=60).contains(&wait.parse().unwrap_or(0)), "{name}: {limited:?}");
    }
}
