//! Front proxy configurations that people start from: text made from a few names. Knows no settings and no files.

use askama::Template;

use crate::visit::ELSEWHERE;

/// The front proxies there is a configuration for.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontProxy {
    /// Traefik 3.7.13 or newer, its dynamic file.
    Traefik,
    /// nginx 1.18 or newer.
    Nginx,
    /// Caddy 2.
    Caddy,
    /// Envoy; written for 1.40.
    Envoy,
    /// HAProxy 2.6 or newer with Lua
    Haproxy,
}

/// What a configuration is made from. All of it goes into the text as it is: names and addresses must be checked
/// before.
#[derive(Clone, Copy, Debug)]
pub struct Snippet<'a> {
    /// The protected host, a plain name without port.
    pub host: &'a str,
    /// Where its backend is: `http://host:port`.
    pub upstream: &'a str,
    /// Where the front proxy reaches foregate: `host:port`.
    pub foregate: &'a str,
    /// Where the front proxy listens: `host:port`.
    pub listen: &'a str,
    /// The host of `public_url`: foregate's own pages. May be the protected host itself.
    pub public_host: &'a str,
    /// The identity headers to hand on.
    pub headers: &'a [&'a str],
    /// Those of them that clients may send too, for foregate to look at.
    pub asked: &'a [&'a str],
    /// Where HAProxy finds the text of [`render_haproxy_lua`].
    pub lua: &'a str,
}

/// The names of the `remote` preset.
pub const REMOTE_HEADERS: [&str; 4] = ["Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups"];

/// The whole configuration of a front proxy, ready to start with. Traefik's and HAProxy's name a second file.
pub fn render(proxy: FrontProxy, snippet: &Snippet<'_>) -> String {
    let v = Values::of(snippet);
    match proxy {
        FrontProxy::Traefik => text(&Traefik { v }),
        FrontProxy::Nginx => text(&Nginx { v }),
        FrontProxy::Caddy => text(&Caddy { v }),
        FrontProxy::Envoy => text(&Envoy { v }),
        FrontProxy::Haproxy => text(&Haproxy { v }),
    }
}

/// Traefik's static file, which names its dynamic one.
pub fn render_traefik_static(snippet: &Snippet<'_>, dynamic_path: &str) -> String {
    text(&TraefikStatic { listen: snippet.listen, dynamic_path })
}

/// The Lua file that HAProxy's configuration loads: `foregate.lua` beside it, the same for everybody.
pub fn render_haproxy_lua() -> &'static str {
    include_str!("snippet/haproxy.lua")
}

/// Templates lose the end of their last line, and HAProxy refuses a file without it.
fn text(template: &impl Template) -> String {
    format!("{template}\n")
}

/// A snippet taken apart as the templates need it.
struct Values<'a> {
    host: &'a str,
    public_host: &'a str,
    /// One host for both: only `/.foregate/` of it is foregate's own.
    shared_host: bool,
    foregate: Address<'a>,
    upstream: Address<'a>,
    listen: Address<'a>,
    headers: Vec<Header<'a>>,
    lua: &'a str,
}

impl<'a> Values<'a> {
    fn of(snippet: &Snippet<'a>) -> Self {
        let upstream = snippet.upstream.strip_prefix("http://").unwrap_or(snippet.upstream);
        Self {
            host: snippet.host,
            public_host: snippet.public_host,
            shared_host: snippet.host.eq_ignore_ascii_case(snippet.public_host),
            foregate: Address::of(snippet.foregate),
            upstream: Address::of(upstream.trim_end_matches('/')),
            listen: Address::of(snippet.listen),
            headers: snippet.headers.iter().map(|name| Header::of(name, snippet.asked)).collect(),
            lua: snippet.lua,
        }
    }

    /// The header names with something between them.
    fn names(&self, between: &str) -> String {
        self.headers.iter().map(|header| header.name).collect::<Vec<_>>().join(between)
    }

    /// A regular expression for every spelling of the header names in lower case: CGI and its heirs cannot tell
    /// `Remote-User`, `Remote_User` and `Remote.User` apart.
    fn spellings(&self) -> String {
        self.headers.iter().map(Header::spelling).collect::<Vec<_>>().join("|")
    }

    /// The same for what nobody may send before foregate is asked: not the name itself that it is to see.
    fn strange_spellings(&self) -> Vec<String> {
        let strange = |header: &Header<'_>| {
            if header.asked { header.look_alikes() } else { vec![header.spelling()] }
        };
        self.headers.iter().flat_map(strange).collect()
    }

    /// What leads backends elsewhere, as regular expressions for every spelling in lower case.
    fn elsewhere_spellings(&self) -> Vec<String> {
        ELSEWHERE.map(|name| Header::of(name, &[]).spelling()).into()
    }

    /// The headers that clients may send too.
    fn asked(&self) -> impl Iterator<Item = &Header<'_>> {
        self.headers.iter().filter(|header| header.asked)
    }
}

/// A host and a port, for configurations that write them apart.
struct Address<'a> {
    whole: &'a str,
    /// Without the brackets of an IPv6 address.
    host: &'a str,
    port: &'a str,
}

impl<'a> Address<'a> {
    /// Without a port it is that of http.
    fn of(whole: &'a str) -> Self {
        let port = whole.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let (host, port) = port.unwrap_or((whole, "80"));
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Self { whole, host: bare.unwrap_or(host), port }
    }
}

struct Header<'a> {
    name: &'a str,
    /// As nginx names variables.
    variable: String,
    /// Whether clients may send it too.
    asked: bool,
}

impl<'a> Header<'a> {
    fn of(name: &'a str, asked: &[&str]) -> Self {
        let variable = name.to_ascii_lowercase().replace(is_separator, "_");
        let asked = asked.iter().any(|asked| asked.eq_ignore_ascii_case(name));
        Self { name, variable, asked }
    }

    fn spelling(&self) -> String {
        self.name.to_ascii_lowercase().replace(is_separator, "[^a-z0-9]")
    }

    /// Every spelling but its own: at least one separator is another than the hyphen.
    fn look_alikes(&self) -> Vec<String> {
        let name = self.name.to_ascii_lowercase();
        let parts: Vec<&str> = name.split(is_separator).collect();
        let spelled = |strange: usize| {
            let between = |at: usize| if at == strange { "[^a-z0-9-]" } else { "[^a-z0-9]" };
            let rest = parts.iter().enumerate().skip(1);
            rest.fold(parts[0].to_owned(), |text, (at, part)| text + between(at) + part)
        };
        (1..parts.len()).map(spelled).collect()
    }
}

fn is_separator(letter: char) -> bool {
    !letter.is_ascii_alphanumeric()
}

#[derive(Template)]
#[template(path = "snippet/traefik.yaml", escape = "none")]
struct Traefik<'a> {
    v: Values<'a>,
}

#[derive(Template)]
#[template(path = "snippet/traefik-static.yaml", escape = "none")]
struct TraefikStatic<'a> {
    listen: &'a str,
    dynamic_path: &'a str,
}

#[derive(Template)]
#[template(path = "snippet/nginx.conf", escape = "none")]
struct Nginx<'a> {
    v: Values<'a>,
}

#[derive(Template)]
#[template(path = "snippet/Caddyfile", escape = "none", ext = "txt")]
struct Caddy<'a> {
    v: Values<'a>,
}

#[derive(Template)]
#[template(path = "snippet/envoy.yaml", escape = "none")]
struct Envoy<'a> {
    v: Values<'a>,
}

#[derive(Template)]
#[template(path = "snippet/haproxy.cfg", escape = "none")]
struct Haproxy<'a> {
    v: Values<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    const SNIPPET: Snippet<'_> = Snippet {
        host: "app.example.com",
        upstream: "http://127.0.0.1:8000",
        foregate: "127.0.0.1:4180",
        listen: "0.0.0.0:80",
        public_host: "auth.example.com",
        headers: &REMOTE_HEADERS,
        asked: &[],
        lua: "/etc/haproxy/foregate.lua",
    };

    #[test]
    fn every_configuration_names_all_it_is_about() {
        for proxy in FrontProxy::value_variants() {
            let text = render(*proxy, &SNIPPET);
            let address = format!("/.foregate/auth/{proxy:?}").to_ascii_lowercase();
            for part in ["app.example.com", "auth.example.com", "8000", "4180"] {
                assert!(text.contains(part), "{proxy:?}: {part}");
            }
            let lua = if *proxy == FrontProxy::Haproxy { render_haproxy_lua() } else { "" };
            assert!(text.contains(&address) || lua.contains(&address), "{proxy:?}");
            for name in REMOTE_HEADERS {
                assert!(text.to_ascii_lowercase().contains(&name.to_ascii_lowercase()), "{proxy:?}: {name}");
            }
            assert!(
                !text.contains("{{") && !text.contains("{%") && !text.contains("\n\n\n"),
                "{proxy:?}:\n{text}"
            );
        }
        assert!(render_traefik_static(&SNIPPET, "x.yaml").contains("filename: x.yaml"));
    }

    #[test]
    fn what_leads_backends_elsewhere_is_taken_off() {
        let traefik = render(FrontProxy::Traefik, &SNIPPET);
        let (_, list) = traefik.split_once("customRequestHeaders:").unwrap();
        let names = list.lines().skip(1).map_while(|line| line.trim().strip_suffix(": \"\""));
        assert_eq!(names.collect::<Vec<_>>(), ELSEWHERE);
        let nginx = render(FrontProxy::Nginx, &SNIPPET);
        for name in ELSEWHERE {
            assert!(nginx.contains(&format!("proxy_set_header {name} \"\";")), "{name}");
        }
    }

    #[test]
    fn a_host_of_its_own_is_routed_whole_and_a_shared_one_by_path() {
        for proxy in FrontProxy::value_variants() {
            let shared = render(*proxy, &Snippet { public_host: "app.example.com", ..SNIPPET });
            assert!(!shared.contains("auth.example.com"), "{proxy:?}");
            assert!(shared.contains("/.foregate/"), "{proxy:?}");
        }
    }

    #[test]
    fn addresses_come_apart() {
        for (whole, host, port) in [
            ("127.0.0.1:4180", "127.0.0.1", "4180"),
            ("[::1]:4180", "::1", "4180"),
            ("kb:8000", "kb", "8000"),
            ("kb", "kb", "80"),
        ] {
            let address = Address::of(whole);
            assert_eq!((address.host, address.port), (host, port), "{whole}");
        }
    }

    #[test]
    fn every_spelling_of_a_name_is_one_expression() {
        let values = Values::of(&Snippet { headers: &["Remote-User", "X-WEBAUTH-USER"], ..SNIPPET });
        assert_eq!(values.spellings(), "remote[^a-z0-9]user|x[^a-z0-9]webauth[^a-z0-9]user");
        assert_eq!(values.headers[1].variable, "x_webauth_user");
        let asked: &[&str] = &["x-tenant-id"];
        let values = Values::of(&Snippet { headers: &["Remote-User", "X-Tenant-ID"], asked, ..SNIPPET });
        assert_eq!(
            values.strange_spellings().join("|"),
            "remote[^a-z0-9]user|x[^a-z0-9-]tenant[^a-z0-9]id|x[^a-z0-9]tenant[^a-z0-9-]id"
        );
    }
}
