//! The configuration as a whole: what is read, what is refused and in which words.

use std::time::Duration;

use proptest::prelude::*;

use super::findings::Origin;
use super::*;
use crate::journal::Output;
use crate::oidc::ClientAuth;
use crate::policy::{Authorization, Backend, HostPattern, Route};
use crate::upstream::Place;

const PROVIDER: &str =
    "[provider]\nissuer = \"https://id.example.com/o/f/\"\nclient_id = \"f\"\nclient_secret = \"hunter2\"\n";

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(text: &str) -> Result<Loaded, Findings> {
    Config::from_text(Some(("foregate.toml", text)), &Environment::default())
}

/// A usable file with `top` at the top, then the provider, then `rest`.
fn file(top: &str, rest: &str) -> String {
    let public = if top.contains("public_url") { "" } else { "public_url = \"https://auth.example.com\"\n" };
    format!("{public}{top}\n{PROVIDER}{rest}")
}

fn usable(top: &str, rest: &str) -> Config {
    load(&file(top, rest)).unwrap_or_else(|findings| panic!("{findings}")).config
}

/// The findings without their excerpts.
fn findings(text: &str) -> Vec<String> {
    lines(load(text).map(|_| ()))
}

fn lines(result: Result<(), Findings>) -> Vec<String> {
    let findings = result.err();
    findings
        .iter()
        .flat_map(|all| all.iter().map(|one| format!("{}: {}; fix: {}", one.place, one.problem, one.fix)))
        .collect()
}

/// A directory with the files `crt` and `key`.
#[expect(clippy::unwrap_used, reason = "a test that cannot have them ends")]
fn certificate() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    std::fs::write(dir.path().join("crt"), made.cert.pem()).unwrap();
    std::fs::write(dir.path().join("key"), made.signing_key.serialize_pem()).unwrap();
    dir
}

#[test]
fn the_smallest_file_is_enough() {
    let config = usable("allow = 'signed-in'", "");
    assert_eq!(config.public_url.as_str(), "https://auth.example.com/");
    assert_eq!(config.fallback, Requirement::SignedIn);
    assert_eq!(config.cookies, CookieScope { domain: Some("example.com".into()), secure: true });
    assert_eq!(config.session_domain(), "example.com");
    assert_eq!(config.listeners.listen[0].address.to_string(), "127.0.0.1:4180");
    assert_eq!(config.listeners.admin_listen.to_string(), "127.0.0.1:4181");
    assert_eq!(config.server.connections, 20_000);
    assert_eq!(config.server.head_timeout, Duration::from_secs(10));
    assert_eq!(config.server.idle_timeout, Duration::from_secs(65 * 60));
    assert_eq!(config.server.drain, Duration::from_secs(30));
    let trusted: Vec<String> = config.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["127.0.0.0/8", "::1/128"]);
    assert_eq!(config.session.idle, Duration::from_secs(7 * 86_400));
    assert_eq!(config.session.lifetime, Duration::from_secs(28 * 86_400));
    assert_eq!(config.session.outage_grace, Duration::from_secs(300));
    assert_eq!(config.session.poll, Duration::from_secs(5));
    assert_eq!(config.session.cache_sessions, 200_000);
    assert!(config.session.keys.is_empty() && config.apps.is_empty());
    let [login::Registration { name, title, settings: provider }] = config.providers.as_slice() else {
        panic!("{:?}", config.providers)
    };
    assert_eq!((&**name, title.as_str()), ("default", "id.example.com"));
    assert!(config.issuers.is_none(), "one provider limits nobody");
    assert!(config.bearer.is_none());
    assert_eq!(provider.issuer_text, "https://id.example.com/o/f/");
    assert_eq!(provider.redirect_uri.as_str(), "https://auth.example.com/.foregate/callback");
    assert_eq!(provider.claims.username, "preferred_username");
    assert!(provider.client_auth.is_none() && provider.scopes.is_none() && provider.prompt.is_none());
    assert!(!provider.require_verified_email && provider.internal_url.is_none());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_setting_is_read_and_none_is_inert() {
    let key = new_key().unwrap();
    let dir = certificate();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let text = format!(
        r#"
        public_url = "https://auth.example.com:8443/"
        allow = ["group:a", "user:b"]
        assertion = true
        compat = ["authentik", "oauth2-proxy"]
        headers = {{ "X-User" = "{{username}}", "X-Team" = "{{claim:team}}" }}
        server.listen = ["0.0.0.0:80", "unix:/run/foregate.sock"]
        server.socket_mode = "600"
        server.proxy_protocol = true
        server.tls = {{ listen = "0.0.0.0:443", cert_file = "{crt}", key_file = "{key_file}", certificates = [
          {{ cert_file = "{crt}", key_file = "{key_file}" }},
        ] }}
        server.admin_listen = "[::]:81"
        server.admin_token = "correct-horse-hunter2"
        server.admin_app = "ops.example.com"
        server.trusted_proxies = ["10.0.0.1", "unix", "10.1.2.3/16"]
        server.watch = false
        server.drain = "1m"
        server.limits = {{ head_timeout = "5s", idle_timeout = "2h", send_timeout = "5m", tunnel_idle_timeout = "3h", connections = 9, sign_ins_per_minute = 1,
          sign_ins_per_minute_total = 2, callbacks_per_minute = 3, callbacks_per_minute_total = 4,
          codes_per_minute = 9, codes_per_minute_total = 10, tokens_per_minute = 5, tokens_per_minute_total = 6,
          emergency_per_minute = 7, emergency_per_minute_total = 8 }}
        [session]
        store = "postgres://u:hunter2@db/foregate"
        keys = ["{}"]
        idle = "1h"
        lifetime = "1d"
        outage_grace = "0s"
        poll = "2s"
        cookie_domain = ".Example.com"
        cors_origins = ["https://spa.example.com"]
        cache_sessions = 0x10
        [provider]
        title = "Our people"
        issuer = "http://localhost:9000/o/f"
        client_id = "f"
        client_secret = "hunter2"
        client_auth = "basic-raw"
        scopes = ["openid", "groups"]
        prompt = "consent"
        internal_url = "http://authentik:9000"
        require_verified_email = true
        claims = {{ username = "sub", name = "n", email = "e", groups = "realm.roles" }}
        [bearer]
        audiences = ["https://api.example.com"]
        cache_tokens = 7
        introspection = "default"
        app_passwords = "default"
        [bearer.issuers.ci]
        issuer = "https://ci.example.com"
        jwks_url = "https://keys.example.com/jwks"
        audiences = ["ci"]
        claims = {{ username = "u", name = "n", email = "e", groups = "realm.roles" }}
        [tenants]
        claim = "org.tenants"
        groups = ["t:{{tenant}}:{{role}}", "t:{{tenant}}"]
        header = "X-Org"
        [tokens]
        self_service = true
        max_lifetime = "30d"
        owner_absence = "90d"
        [audit]
        output = "/var/log/audit.log"
        [traces]
        endpoint = "http://collector:4318"
        headers = ["Authorization: Bearer hunter2"]
        ratio = 0.25
        service_name = "gate"
        [access_log]
        output = "stdout"
        [emergency]
        users = ["alice:$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc:g"]
        networks = ["10.0.0.0/8"]
        declared = true
        after = "2m"
        [canary]
        interval = "5m"
        hosts = ["x.wild.example.com"]
        except = ["ops.example.com"]
        address = "traefik:8443"
        ca_file = "{crt}"
        [roles]
        r = {{ groups = ["g"], tenant_roles = ["admin"], permissions = ["p"] }}
        [apps]
        "a.example.com:9443/x" = ["role:r", "tenant:acme", "claim:org.id=7"]
        "ci.example.com:9443" = {{ provider = "ci", allow = "signed-in", emergency = true }}
        "*.wild.example.com" = "signed-in"
        "ops.example.com" = {{ upstream = "http://localhost:81", allow = "signed-in" }}
        [[tests]]
        url = "https://a.example.com/x"
        as = "user=bob,groups=g"
        expect = "allow"
        "#,
        key.expose(),
        crt = file("crt"),
        key_file = file("key"),
    );
    let mut book = Notebook::default();
    let written = Written::read("f", &text, &mut book).unwrap();
    assert_eq!(written.settings.len(), keys::KEYS.len(), "this test writes every setting");
    let mut reader = Reader::new(written, book);
    let config = reader.config();
    let (book, _, asked) = reader.into_parts();
    assert_eq!(book.findings(), None);
    let unread: Vec<_> = keys::KEYS.iter().filter(|key| !asked.contains_key(key.path)).collect();
    assert!(unread.is_empty(), "{unread:?}");

    let config = config.unwrap();
    assert_eq!(config.public_url.port(), Some(8443));
    let trusted: Vec<String> = config.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["10.0.0.1/32", "10.1.0.0/16"]);
    assert!(config.server.trusted_sockets && config.listeners.proxy_protocol);
    let told: Vec<_> = config.listeners.listen.iter().map(|it| (it.address.to_string(), it.tls)).collect();
    let listen = [("0.0.0.0:80", false), ("unix:/run/foregate.sock", false), ("0.0.0.0:443", true)];
    assert_eq!(told, listen.map(|(address, tls)| (address.to_owned(), tls)));
    assert_eq!((config.listeners.socket_mode, config.listeners.certificates.len()), (0o600, 2));
    assert!(!config.watch);
    assert_eq!(config.server.send_timeout, Duration::from_secs(300));
    assert_eq!((config.server.connections, config.session.cache_sessions), (9, 16));
    assert_eq!(config.self_service, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(config.journals.audit, Some(Output::File("/var/log/audit.log".into())));
    assert_eq!(config.journals.access, Some(Output::Stdout));
    let traces = config.traces.as_ref().unwrap();
    assert_eq!(traces.endpoint.as_str(), "http://collector:4318/v1/traces");
    assert_eq!((traces.ratio, traces.service_name.as_str()), (0.25, "gate"));
    assert!(
        traces.headers["authorization"] == "Bearer hunter2" && !format!("{traces:?}").contains("hunter2")
    );
    assert_eq!(config.session.owner_absence, Duration::from_secs(90 * 86_400));
    assert_eq!(config.session.keys, [key]);
    assert_eq!(config.cookies.domain.as_deref(), Some("example.com"));
    assert_eq!(config.providers[0].title, "Our people");
    let provider = &config.providers[0].settings;
    assert_eq!(provider.client_auth, Some(ClientAuth::BasicRaw));
    assert_eq!(provider.issuer_text, "http://localhost:9000/o/f");
    assert_eq!(provider.internal_url.as_ref().map(Url::as_str), Some("http://authentik:9000/"));
    assert!(provider.require_verified_email);
    assert_eq!(provider.claims.groups, "realm.roles");
    let bearer = config.bearer.as_ref().unwrap();
    assert_eq!(
        (bearer.audiences.as_slice(), bearer.cache_tokens),
        (&["https://api.example.com".into()][..], 7)
    );
    assert_eq!(bearer.introspection.as_deref(), Some("http://localhost:9000/o/f"));
    assert_eq!(bearer.app_passwords, bearer.introspection);
    let [ci] = bearer.issuers.as_slice() else { panic!("{bearer:?}") };
    assert_eq!((ci.name.as_str(), ci.issuer.as_str()), ("ci", "https://ci.example.com"));
    assert_eq!(
        (ci.jwks_url.as_str(), ci.audiences.as_slice()),
        ("https://keys.example.com/jwks", &["ci".into()][..])
    );
    assert_eq!((ci.claims.username.as_str(), ci.claims.groups.as_str()), ("u", "realm.roles"));
    assert!(!config.apps[0].takes_people_of("https://ci.example.com"));
    assert!(config.apps[1].takes_people_of("https://ci.example.com"));
    assert_eq!(config.wanted_claims(), ["org.id", "org.tenants", "team"]);
    let tenants = config.tenants.as_ref().unwrap();
    assert_eq!((tenants.header.as_str(), tenants.groups.len()), ("x-org", 2));
    let app = &config.apps[0];
    assert_eq!(
        (app.name.as_str(), app.port, app.prefix.as_deref()),
        ("a.example.com:9443/x", Some(9443), Some("/x"))
    );
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}

#[test]
fn the_example_of_the_interface_works_without_what_comes_later() {
    let config = usable(
        "allow = \"signed-in\"",
        r#"
        [apps]
        "grafana.example.com" = "group:Home Server Admins"
        "wiki.example.com"    = ["group:family", "user:bob"]
        [apps."kb.example.com"]
        upstream = "http://kb:8000"
        headers  = "authentik"
        allow    = "signed-in"
        rules = [
          { path = "/health", allow = "public" },
          { path = "/api/v1/kb", methods = ["POST"], allow = "permission:kb:create" },
          { path = "/api/v1/kb/{kb_id}/**", methods = ["DELETE"], allow = ["role:kb-admin", "group:kb-owner:{kb_id}"] },
        ]
        [roles.kb-viewer]
        groups = ["kb-viewer"]
        permissions = ["kb:read"]
        [roles.kb-editor]
        groups = ["kb-editor"]
        inherits = ["kb-viewer"]
        permissions = ["kb:create", "kb:update"]
        [roles.kb-admin]
        groups = ["kb-admin"]
        inherits = ["kb-editor"]
        "#,
    );
    let names: Vec<&str> = config.apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names, ["grafana.example.com", "wiki.example.com", "kb.example.com"]);
    assert!(Arc::ptr_eq(&config.apps[0].headers, &config.default_headers));
    let kb = &config.apps[2];
    assert_eq!(kb.host, HostPattern::Exact("kb.example.com".into()));
    assert_eq!(
        kb.route,
        Some(Route {
            backend: Backend(0),
            preserve_host: true,
            base: None,
            strip_prefix: false,
            authorization: Authorization::Keep,
        })
    );
    let [target] = config.backends[0].targets.as_slice() else { panic!("{:?}", config.backends) };
    assert_eq!((target.authority.as_str(), &target.place), ("kb:8000", &Place::Tcp("kb".into(), 8000)));
    assert_eq!(
        kb.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>()[0],
        "kb.example.com rule 1"
    );
    assert_eq!(kb.last.name, "kb.example.com allow");
    assert_eq!(kb.headers.names().count(), 14, "those of the preset, X-Roles and X-Permissions");
    let readers = config.roles.permission("kb:read").unwrap().groups().collect::<Vec<_>>();
    assert_eq!(readers, ["kb-admin", "kb-editor", "kb-viewer"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_role_that_cannot_be_meant_is_a_finding() {
    let table = "write a table such as [roles.editor], and below it groups = [\"editors\"]";
    for (roles, allow, told) in [
        ("a = { groups = ['g'], inherits = ['zebra'] }", "public", format!("there is no role `zebra` to inherit; fix: {table}")),
        (
            "editor = { groups = ['g'] }\nb = { inherits = ['editr'] }",
            "public",
            "there is no role `editr` to inherit; fix: did you mean `editor`?".to_owned(),
        ),
        (
            "a = { groups = ['g'], inherits = ['b'] }\nb = { inherits = ['c'] }\nc = { inherits = ['a'] }",
            "public",
            "`a` inherits itself: a inherits b inherits c inherits a; fix: take one of them out of `inherits`".to_owned(),
        ),
        (
            "a = { groups = ['g'], inherits = ['a'] }",
            "public",
            "`a` inherits itself: a inherits a; fix: take one of them out of `inherits`".to_owned(),
        ),
        (
            "a = { permissions = ['p'] }",
            "public",
            "nobody can have the role `a`: no group gives it; fix: write its groups, or inherit it by a role that has some"
                .to_owned(),
        ),
        ("a = ['g']", "public", format!("the role `a` is an array; fix: {table}")),
        ("a = { groups = [] }", "public", "`groups` is empty; fix: remove it".to_owned()),
        ("a = { groups = 'g' }", "public", "`groups` is text; fix: write groups = [\"…\"]".to_owned()),
        (
            "a = { groups = ['g', 'g'] }",
            "public",
            "this entry stands there twice; fix: remove one of the two".to_owned(),
        ),
        (
            "a = { groups = [' g'] }",
            "public",
            "` g` is empty or has white space around it; fix: write the name alone".to_owned(),
        ),
        (
            "a = { group = ['g'] }",
            "public",
            "`group` is not a setting of a role; fix: did you mean `groups`?".to_owned(),
        ),
        (
            "\"{a}\" = { groups = ['g'] }",
            "public",
            "`{a}` cannot be the name of a role; fix: write a name without braces and without blanks at its ends"
                .to_owned(),
        ),
        (
            "editor = { groups = ['g'], permissions = ['kb:read'] }",
            "role:editr",
            "there is no role `editr`; fix: did you mean `editor`?".to_owned(),
        ),
        (
            "editor = { groups = ['g'], permissions = ['kb:read'] }",
            "permission:kb:rea",
            "no role has the permission `kb:rea`; fix: did you mean `kb:read`?".to_owned(),
        ),
    ] {
        let text = file(&format!("allow = '{allow}'"), &format!("[roles]\n{roles}\n"));
        let found: Vec<String> = findings(&text)
            .iter()
            .map(|line| line.splitn(4, ':').nth(3).unwrap_or_default().trim().to_owned())
            .collect();
        assert_eq!(found, [told], "{roles} {allow}");
    }
    let text = file("headers = { 'X-R' = '{roles}' }\nallow = 'public'", "");
    assert_eq!(
        findings(&text),
        [
            "foregate.toml:2:21: the template of `X-R` speaks of roles, and there are none; fix: write a table such as [roles.editor], or remove it"
        ]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn all_findings_come_at_once_in_full() {
    let text = "\
public_url = \"http://auth.example.com/sso\"
alow = \"signed-in\"
[server]
listen = \":4180\"
tls = { lisen = \"x\" }
[session]
idle = \"5 minutes\"
[provider]
issuer = \"https://id.example.com\"
client_secret = \"hunter2\"
client_secret_file = \"/run/secret\"
[apps]
\"a.example.com\" = \"everyone\"
\"b.example.com\" = { allow = \"public\", rules = [{ path = \"/x\" }] }
";
    let variables = environment(&[("FOREGATE_PROVIDER__SCOPES", "profile"), ("FOREGATE_SECRET", "hunter2")]);
    let findings = Config::from_text(Some(("foregate.toml", text)), &variables).unwrap_err();
    let told = r#"foregate.toml:1:14: `public_url` is http, which is for localhost only; fix: write https://
  |
1 | public_url = "http://auth.example.com/sso"
  |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
foregate.toml:2:1: `alow` is not a setting; fix: did you mean `allow`?
  |
2 | alow = ***
  | ^^^^
foregate.toml:4:10: `server.listen` is not an address to listen on; fix: write 0.0.0.0:4180 for every address, or 127.0.0.1:4180
  |
4 | listen = ":4180"
  |          ^^^^^^^
foregate.toml:5:9: `lisen` is not a setting of [server.tls]; fix: did you mean `listen`?
  |
5 | tls = { lisen = *** }
  |         ^^^^^
foregate.toml:7:8: `session.idle` is not a length of time up to ten years; fix: write a number with s, m, h, d or w, such as 30s, 12h or 1h30m
  |
7 | idle = "5 minutes"
  |        ^^^^^^^^^^^
foregate.toml:8:2: `provider.client_id` is not set; fix: write client_id = "foregate" below [provider], or set FOREGATE_PROVIDER__CLIENT_ID
  |
8 | [provider]
  |  ^^^^^^^^
foregate.toml:11:22: both `provider.client_secret` (foregate.toml:10) and `provider.client_secret_file` (foregate.toml:11) are set; fix: keep one of the two
   |
11 | client_secret_file = "/run/secret"
   |                      ^^^^^^^^^^^^^
foregate.toml:13:19: `everyone` is not an allow term; fix: use public, signed-in, user:NAME, group:NAME, role:NAME, permission:NAME, email:PATTERN, claim:NAME=VALUE, tenant:NAME or network:CIDR
   |
13 | "a.example.com" = "everyone"
   |                   ^^^^^^^^^^
foregate.toml:14:48: this rule has no `allow`; fix: write allow = "nobody" if it lets nobody in
   |
14 | "b.example.com" = { allow = "public", rules = [{ path = "/x" }] }
   |                                                ^^^^^^^^^^^^^^^
FOREGATE_PROVIDER__SCOPES: `provider.scopes` lacks openid; fix: add "openid"
FOREGATE_SECRET: this variable is not a setting; fix: remove the variable; `foregate config show` lists all settings"#;
    let written = findings.to_string();
    for (line, wanted) in written.lines().zip(told.lines()) {
        assert_eq!(line, wanted);
    }
    assert_eq!(written.lines().count(), told.lines().count());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_setting_is_refused_for_its_own_reason() {
    for (top, rest, wanted) in [
        (
            "public_url = 'auth.example.com'",
            "",
            "1:14: `public_url` is not a URL; fix: write one such as https://auth.example.com",
        ),
        (
            "public_url = 'ftp://a.example.com'",
            "",
            "1:14: `public_url` is neither https nor http; fix: write https://",
        ),
        (
            "public_url = 'https://u:hunter2@a.example.com'",
            "",
            "1:14: `public_url` holds a user name or password; fix: remove everything up to the @",
        ),
        (
            "public_url = 'https://a.example.com?x'",
            "",
            "1:14: `public_url` has a query or a fragment; fix: remove everything from the ? or # on",
        ),
        (
            "public_url = 'https://a.example.com/x'",
            "",
            "1:14: `public_url` has a path, and foregate needs a host of its own; fix: write https://a.example.com",
        ),
        (
            "public_url = 'https://a.example.com.'",
            "",
            "1:14: `public_url` has no host, or one that ends in a dot; fix: write one such as https://auth.example.com",
        ),
        ("public_url = 5", "", "1:14: `public_url` is a number; fix: write text in quotes"),
        ("public_url = ''", "", "1:14: `public_url` is empty; fix: write a value, or remove it"),
        (
            "public_url = ' https://a.example.com'",
            "",
            "1:14: `public_url` begins or ends with white space, or holds control characters; fix: remove them",
        ),
        (
            "headers = 'remotes'",
            "",
            "2:11: `remotes` is not a set of headers; fix: write \"remote\", \"authentik\", \"oauth2-proxy\", or such as { \"X-User\" = \"{username}\" }",
        ),
        (
            "headers = {}",
            "",
            "2:11: `headers` is empty; fix: write \"remote\", \"authentik\", \"oauth2-proxy\", or such as { \"X-User\" = \"{username}\" }",
        ),
        (
            "headers = { 'Host' = 'x' }",
            "",
            "2:13: `Host` belongs to HTTP itself and cannot carry an identity; fix: write another one",
        ),
        (
            "headers = { 'X' = '{nope}' }",
            "",
            "2:13: the template of `X` holds `{nope}`; fix: placeholders are {username}, {name}, {email}, {groups}, {roles}, {permissions}, {uid}, {tenant}, {tenant_role} and {claim:NAME}",
        ),
        (
            "headers = { 'X' = 5 }",
            "",
            "2:19: the template of `X` is a number; fix: write text such as \"{username}\"",
        ),
        (
            "",
            "[server]\nadmin_listen = '127.0.0.1:4180'",
            "8:16: `server.listen` and `server.admin_listen` are the same address; fix: give one of them another port",
        ),
        (
            "",
            "[server]\nadmin_listen = '0.0.0.0:4181'",
            "8:16: `server.admin_token` is not set, and whoever reaches `server.admin_listen` could end sessions and disable people; fix: name a file with a long random text in server.admin_token_file, or listen on 127.0.0.1",
        ),
        (
            "",
            "[server]\nadmin_token = 'two words'",
            "8:15: `server.admin_token` holds characters that no bearer token can have; fix: write letters and digits only",
        ),
        (
            "",
            "[server]\nadmin_app = 'ops.example.com'",
            "8:13: `server.admin_app`: `ops.example.com` is no app; fix: name one as it stands in [apps]",
        ),
        (
            "",
            "[server]\nadmin_app = 'o.example.com'\n[apps]\n'o.example.com' = 'signed-in'",
            "8:13: `server.admin_app`: `o.example.com` has no `assertion`, by which the page knows whom it let in; fix: add assertion = true to the app",
        ),
        (
            "",
            "[server]\nadmin_app = 'o.example.com'\n[apps]\n'o.example.com' = { allow = 'signed-in', assertion = true }",
            "8:13: `server.admin_app`: `o.example.com` is not one whole host that foregate is the proxy of; fix: name an app of one host, with the admin listener as its upstream",
        ),
        (
            "",
            "[server]\nadmin_app = 'o.example.com'\n[apps]\n'o.example.com' = { allow = 'signed-in', assertion = true, upstream = 'http://127.0.0.1:4181' }\n'o.example.com/wiki' = { allow = 'signed-in', upstream = 'http://127.0.0.1:8080' }",
            "8:13: `server.admin_app`: `o.example.com/wiki` is on the same host, and its pages could do there what an operator may; fix: give the operator's page a host of its own",
        ),
        (
            "",
            "[server]\nadmin_listen = '0.0.0.0:4181'\nadmin_token = 'letmein'",
            "9:15: `server.admin_token` is shorter than 16 letters, and others than this machine could try it out; fix: write a long random text, such as `openssl rand -hex 32` prints",
        ),
        (
            "",
            "[apps]\n'o.example.com' = { allow = 'signed-in', upstream = 'http://localhost:4180' }",
            "8:1: the upstream of `o.example.com` is foregate itself, so that requests would go in a circle; fix: write the address of the app's own server",
        ),
        (
            "",
            "[apps]\n'o.example.com' = { allow = 'signed-in', upstream = 'http://127.0.0.1:4181' }",
            "8:1: the upstream of `o.example.com` is `server.admin_listen`: whoever the app lets in could end sessions and disable people; fix: name the app in server.admin_app, or write the address of its own server",
        ),
        (
            "",
            "[apps]\n'o.example.com' = { allow = 'signed-in', rules = [{ methods = ['*'], allow = 'group:a' }] }",
            "8:64: no request has the method `*`; fix: leave `methods` out for all methods",
        ),
        (
            "",
            "[apps]\n'o.example.com' = { allow = 'signed-in', rules = [{ methods = ['CONNECT'], allow = 'group:a' }] }",
            "8:64: `CONNECT` is always refused; fix: leave it out",
        ),
        (
            "",
            "[apps]\n'o.example.com' = { allow = 'signed-in', rules = [{ methods = ['GE_T'], allow = 'group:a' }] }",
            "8:64: no request has the method `GE_T`: they are of the letters A to Z; fix: write such as [\"GET\", \"POST\"], or leave it out for all methods",
        ),
        (
            "",
            "[apps]\n'o.example.com' = 'group:*'",
            "8:19: `group:*` is one name, letter by letter, and nobody has it; fix: write signed-in for everybody, or one term for each name",
        ),
        (
            "",
            "[server]\ntrusted_proxies = ['traefik']",
            "8:20: `server.trusted_proxies`: `traefik` is neither an address nor a network; fix: write such as 10.0.0.5 or 10.0.0.0/8",
        ),
        (
            "",
            "[server]\ntrusted_proxies = '10.0.0.1'",
            "8:19: `server.trusted_proxies` is text; fix: write an array of texts, such as [\"…\"]",
        ),
        (
            "",
            "[server]\nlimits.connections = 0",
            "8:22: `server.limits.connections` is 0; fix: write a whole number, at least 1",
        ),
        (
            "",
            "[server]\nlimits.connections = -5",
            "8:22: `server.limits.connections` is a number out of range; fix: write a whole number, at least 1",
        ),
        (
            "",
            "[server]\nlimits.head_timeout = '0s'",
            "8:23: `server.limits.head_timeout` is too short; fix: write 1s or more",
        ),
        ("", "[server]\ndrain = 30", "8:9: `server.drain` is a number; fix: write text in quotes"),
        (
            "",
            "[session]\nidle = '29d'",
            "8:8: `session.idle` is longer than `session.lifetime` and would have no effect; fix: make it as long as the lifetime, or shorter",
        ),
        (
            "",
            "[session]\nlifetime = '1d'",
            "8:12: `session.idle` is longer than `session.lifetime` and would have no effect; fix: make it as long as the lifetime, or shorter",
        ),
        (
            "",
            "[session]\nstore = 'redis://u:hunter2@x'",
            "8:9: `session.store` names no store that is known; fix: write sqlite:foregate.db, or postgres://user@host/database",
        ),
        (
            "",
            "[session]\nkeys = ['hunter2']",
            "8:9: `session.keys`: key 1 is not 32 bytes in base64; fix: make one with `foregate session new-key`",
        ),
        (
            "",
            "[session]\nkeys = []",
            "8:8: `session.keys` is empty; fix: make one with `foregate session new-key`",
        ),
        (
            "",
            "[session]\nkeys_file = '/nonexistent/keys'",
            "8:13: `session.keys_file` names /nonexistent/keys, which cannot be read (entity not found); fix: name a file that foregate may read",
        ),
        (
            "",
            "[session]\ncookie_domain = 'example.org'",
            "8:17: `session.cookie_domain`: `example.org` is neither auth.example.com, the host of public_url, nor a domain above it; fix: write example.com",
        ),
        (
            "",
            "[session]\ncookie_domain = 'com'",
            "8:17: `session.cookie_domain`: `com` is a public suffix, for which browsers keep no cookie; fix: write example.com",
        ),
        (
            "",
            "[session]\ncookie_domain = '127.0.0.1'",
            "8:17: `session.cookie_domain`: `127.0.0.1` is an address, and only a name can be a cookie domain; fix: remove it",
        ),
        (
            "",
            "[session]\ncookie_domain = 'a b'",
            "8:17: `session.cookie_domain`: `a b` is not a domain; fix: write such as example.com",
        ),
        (
            "",
            "[traces]\nratio = 0.5",
            "8:9: `traces.ratio` has no effect without `traces.endpoint`; fix: name the collector in traces.endpoint, or remove it",
        ),
        (
            "",
            "[traces]\nendpoint = 'http://c'\nratio = 1.5",
            "9:9: `traces.ratio` is not a number from 0 to 1; fix: write such as 0.1",
        ),
        (
            "",
            "[traces]\nendpoint = 'http://c'\nheaders = ['hunter2']",
            "9:12: `traces.headers`: a line is no header that can be sent to a collector; fix: write each as \"Name: value\", such as \"Authorization: Bearer TOKEN\"",
        ),
        (
            "",
            "[traces]\nendpoint = 'http://c'\nheaders = ['Host: c']",
            "9:12: `traces.headers`: a line is no header that can be sent to a collector; fix: write each as \"Name: value\", such as \"Authorization: Bearer TOKEN\"",
        ),
        (
            "",
            "[traces]\nendpoint = 'c:4318'",
            "8:12: `traces.endpoint` is not a URL; fix: write one such as https://auth.example.com",
        ),
        (
            "",
            "[tokens]\nmax_lifetime = '1d'",
            "8:16: `tokens.max_lifetime` has no effect, as people may not make app tokens; fix: set tokens.self_service = true, or remove it",
        ),
        (
            "",
            "issuer_file = 'x'",
            "7:1: `issuer_file` is not a setting of [provider]; fix: remove it; settings of provider are title, issuer, client_id, client_secret, client_secret_file, client_auth, scopes, prompt, internal_url, require_verified_email, claims",
        ),
        (
            "",
            "client_auth = 'private_key_jwt'",
            "7:15: `provider.client_auth`: `private_key_jwt` is not known to this version; fix: write one of basic, basic-raw, post, none",
        ),
        (
            "",
            "client_auth = 'Basic'",
            "7:15: `provider.client_auth`: `Basic` is not a way to authenticate; fix: write one of basic, basic-raw, post, none",
        ),
        (
            "",
            "client_auth = 'none'",
            "6:17: `provider.client_secret` has no effect with client_auth = \"none\"; fix: remove one of the two",
        ),
        (
            "",
            "scopes = ['openid profile']",
            "7:11: `provider.scopes`: `openid profile` is not one scope; fix: write each scope as an entry of its own",
        ),
        (
            "",
            "internal_url = 'http://authentik/o'",
            "7:16: `provider.internal_url` has a path; fix: write scheme, host and port only",
        ),
        (
            "",
            "require_verified_email = 'yes'",
            "7:26: `provider.require_verified_email` is text; fix: write true or false",
        ),
        (
            "",
            "claims.groups = 'a..b'",
            "7:17: `provider.claims.groups`: `a..b` is not a claim; fix: write a name such as groups, or a path such as realm_access.roles",
        ),
    ] {
        let text = file(&format!("{top}\nallow = 'signed-in'"), rest);
        let text = if top.is_empty() { text.replacen("\n\n", "\n", 1) } else { text };
        assert_eq!(findings(&text), [format!("foregate.toml:{wanted}")], "{text}");
        assert!(!load(&text).unwrap_err().to_string().contains("hunter2"), "{text}");
    }
}

#[test]
fn networks_that_are_written_as_none_are_not_all_of_them() {
    let user = "root:$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let rest = |networks: &str| {
        format!(
            "[emergency]\nusers = ['{user}']\n{networks}\n[apps]\n'a.example.com' = {{ allow = 'signed-in', emergency = true }}"
        )
    };
    let read = |networks: &str, variables: &[(&str, &str)]| {
        let text = file("", &rest(networks));
        Config::from_text(Some(("f", &text)), &environment(variables)).map(|loaded| loaded.config)
    };
    assert!(read("", &[]).is_ok_and(|config| config.emergency.is_some_and(|all| all.networks.is_empty())));
    for (networks, variables) in [
        ("networks = []", &[] as &[(&str, &str)]),
        ("networks = ['10.0.0.0/8']", &[("FOREGATE_EMERGENCY__NETWORKS", "")]),
        ("", &[("FOREGATE_EMERGENCY__NETWORKS", " ")]),
    ] {
        let told = lines(read(networks, variables).map(drop));
        let [only] = &told[..] else { panic!("{told:?}") };
        assert!(only.contains("`emergency.networks` is empty; fix: name networks"), "{only}");
    }
}

#[test]
fn each_app_is_refused_for_its_own_reason() {
    for (apps, wanted) in [
        (
            "'a b' = 'public'",
            "8:1: `a b` is not a host; fix: write a name such as `wiki.example.com`, or `*.example.com` for one label in front",
        ),
        (
            "'https://a.example.com' = 'public'",
            "8:1: `https://a.example.com` is a URL; fix: write the host alone, without https://",
        ),
        (
            "'a.example.com:0' = 'public'",
            "8:1: `a.example.com:0` has no valid port; fix: write a number up to 65535 behind the colon",
        ),
        (
            "'a.example.com/*' = 'public'",
            "8:1: `a.example.com/*` has a prefix that is no plain path; fix: write whole segments as they are, such as /api/v1, and patterns in its rules",
        ),
        (
            "a.example.com = 'public'",
            "8:1: `a` and `example` are parts of one host name; fix: put the whole host in quotes, such as \"wiki.example.com\"",
        ),
        (
            "'a.example.com' = 5",
            "8:19: `allow` is a number; fix: write such as \"signed-in\" or [\"group:family\", \"user:bob\"]",
        ),
        (
            "'a.example.com' = {}",
            "8:1: `a.example.com` has neither `allow` nor `rules`, so nobody is let in; fix: write allow = \"signed-in\", or whom you mean",
        ),
        (
            "'a.example.com' = { alow = 'public', rules = [{ path = '/', allow = 'public' }] }",
            "8:21: `alow` is not a setting of an app; fix: did you mean `allow`?",
        ),
        (
            "'a.example.com' = { allow = 'public', acr = 'mfa' }",
            "8:39: `acr` belongs into a rule; fix: write rules = [{ acr = …, allow = … }]",
        ),
        (
            "'a.example.com' = { allow = 'public', all = ['user:a'] }",
            "8:39: `all` belongs into `allow`; fix: write allow = { all = […] }",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'fcgi://a' }",
            "8:50: `upstream` begins with none of http://, https://, h2c:// and unix:/; fix: write such as http://wiki:8080, https://wiki, h2c://wiki:8080 or unix:/run/wiki.sock",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'http://u:hunter2@a' }",
            "8:50: `upstream` holds a user name or password, which would be sent nowhere; fix: write such as http://wiki:8080, https://wiki, h2c://wiki:8080 or unix:/run/wiki.sock",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = [] }",
            "8:50: `upstream` is empty; fix: write such as http://wiki:8080, https://wiki, h2c://wiki:8080 or unix:/run/wiki.sock",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 5 }",
            "8:50: `upstream` is a number; fix: write such as http://wiki:8080, https://wiki, h2c://wiki:8080 or unix:/run/wiki.sock",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = ['http://a', 'http://a:80'] }",
            "8:63: `upstream` names the same address twice; fix: keep one of the two",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = ['http://a/x', 'http://b/y'] }",
            "8:65: `upstream` has another path than the address before it; fix: write the same path behind all of them",
        ),
        (
            "'a.example.com' = { allow = 'public', preserve_host = false }",
            "8:39: `preserve_host` has no effect without `upstream`; fix: name the app's address in `upstream`, or remove it",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'http://a', insecure = true }",
            "8:62: `insecure` has no effect: no upstream is https://; fix: write https:// in `upstream`, or remove it",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'https://a', ca_file = '/none' }",
            "8:73: `ca_file` names /none, which cannot be read (entity not found); fix: name a PEM file that foregate may read",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'https://a', ca_file = 'Cargo.toml' }",
            "8:73: `ca_file` names Cargo.toml, which holds no certificate; fix: name a PEM file that foregate may read",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'https://a', server_name = 'a b' }",
            "8:77: `server_name` cannot be `a b`; fix: write the host its certificate is for",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'http://a', strip_prefix = true }",
            "8:1: `strip_prefix` has no effect: `a.example.com` has no prefix; fix: write the app as \"host/prefix\", or remove it",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'http://a', sticky = true }",
            "8:62: `sticky` has no effect: there is one upstream; fix: remove it",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'http://a', health_fails = 2 }",
            "8:62: `health_fails` has no effect without `health_path`; fix: write health_path = \"/health\", or remove it",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'http://a', health_path = 'health' }",
            "8:76: `health_path` cannot be `health`; fix: write a path such as /health",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'http://a', connect_timeout = '0s' }",
            "8:80: `connect_timeout` cannot be `0s`; fix: write a length of time such as 30s or 5m, at least 1s",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'http://a', max_connections = 0 }",
            "8:80: `max_connections` is a number; fix: write a whole number, at least 1",
        ),
        (
            "'a.example.com' = { allow = 'public', upstream = 'http://a', max_body_size = '10X' }",
            "8:78: `max_body_size` cannot be `10X`; fix: write a number with K, M or G behind it, such as \"10M\"",
        ),
        (
            "'a.example.com' = { allow = 'public', headers = 5 }",
            "8:49: `headers` is a number; fix: write \"remote\", \"authentik\", \"oauth2-proxy\", or such as { \"X-User\" = \"{username}\" }",
        ),
        (
            "'a.example.com' = { allow = 'public', rules = [{ allow = 'user:a' }] }",
            "8:21: this `allow` is never reached: a rule before it takes every request; fix: remove one of the two",
        ),
        (
            "'a.example.com' = 'public'\n'A.example.com.' = 'public'",
            "9:1: `A.example.com.` names the same app as `a.example.com` at foregate.toml:8; fix: keep one of the two",
        ),
        (
            "'a.example.com' = 'public'\n'a.example.com:8443' = 'public'",
            "9:1: `a.example.com:8443` names the same app as `a.example.com` at foregate.toml:8; fix: keep one of the two",
        ),
        (
            "'a.example.com/x' = 'public'\n'a.example.com/X' = 'public'",
            "9:1: `a.example.com/X` and `a.example.com/x` at foregate.toml:8 are one place to servers that do not mind letter case; fix: keep one of the two",
        ),
        (
            "'a.example.com/x' = 'public'\n'a.example.com:8443' = 'public'",
            "9:1: `a.example.com:8443` names another port than `a.example.com/x` at foregate.toml:8; fix: write the same port for all parts of a host",
        ),
        (
            "'auth.example.com:8443' = 'public'",
            "8:1: `auth.example.com:8443` names another port than public_url, which has the same host; fix: leave the port out",
        ),
        (
            "'auth.example.com/.foregate/x' = 'public'",
            "8:1: `auth.example.com/.foregate/x` is where foregate itself answers; fix: remove it",
        ),
        (
            "'nas' = 'public'",
            "8:1: `nas` lies outside the cookie domain example.com, and is no name within a domain; fix: give the app a name below example.com, or give it one, such as wiki.example.org",
        ),
        (
            "'*.org' = 'public'",
            "8:1: `*.org` lies outside the cookie domain example.com, and covers hosts that are nobody's in particular; fix: give the app a name below example.com, or name each host instead",
        ),
    ] {
        let text = file("allow = 'signed-in'", &format!("[apps]\n{apps}\n")).replacen("\n\n", "\n", 1);
        assert_eq!(findings(&text), [format!("foregate.toml:{wanted}")], "{text}");
        assert!(!load(&text).unwrap_err().to_string().contains("hunter2"), "{text}");
    }
    assert_eq!(
        findings(&file("apps = 'public'\nallow = 'signed-in'", "")),
        [
            "foregate.toml:2:8: `apps` is text; fix: write a line [apps], and below it such as \"wiki.example.com\" = \"signed-in\""
        ]
    );
}

#[test]
fn what_would_let_nobody_in_or_do_nothing_is_told() {
    let nobody = "nothing would ever be let in: there are no apps, and `allow` is nobody; fix: write allow = \"signed-in\" at the top, or a line below [apps] for each app";
    assert_eq!(findings(&file("", "")), [format!("foregate.toml:1:1: {nobody}")]);
    assert_eq!(findings(&file("allow = 'nobody'", "")), [format!("foregate.toml:2:9: {nobody}")]);
    assert_eq!(
        findings(&file(
            "headers = 'authentik'",
            "[apps]\n'a.example.com' = { allow = 'public', headers = 'remote' }"
        )),
        ["foregate.toml:2:11: `headers` has no effect: every app has its own; fix: remove it"]
    );
    let secretless = file("allow = 'signed-in'", "").replace("client_secret = \"hunter2\"\n", "");
    assert_eq!(
        findings(&secretless),
        [
            "foregate.toml:3:2: `provider.client_secret` is not set; fix: name its file in client_secret_file below [provider], or write client_auth = \"none\" for a public client"
        ]
    );
    assert!(load(&secretless.replace("client_id", "client_auth = 'none'\nclient_id")).is_ok());
}

#[cfg(feature = "postgres")]
#[test]
fn postgres_needs_keys_that_replicas_share() {
    let text = file("allow = 'signed-in'", "[session]\nstore = 'postgres://u:hunter2@db/f'");
    let told = load(&text).unwrap_err().to_string();
    assert!(told.starts_with("foregate.toml:8:9: `session.keys` is not set, and PostgreSQL needs keys that all replicas share; fix: make one with `foregate session new-key`, and name its file in session.keys_file"), "{told}");
    assert!(told.contains("8 | store = ***") && !told.contains("hunter2"), "{told}");
}

#[test]
fn the_cookie_domain_follows_the_apps() {
    let scope = |top: &str, rest: &str| usable(top, rest).cookies.domain;
    assert_eq!(scope("", "[apps]\n'auth.example.com' = 'public'"), None, "one host is host-only");
    assert_eq!(scope("", "[apps]\n'auth.example.com/x' = 'public'\n'auth.example.com/y' = 'public'"), None);
    assert_eq!(scope("", "[apps]\n'a.example.com' = 'public'").as_deref(), Some("example.com"));
    assert_eq!(scope("", "[apps]\n'*.example.com' = 'public'").as_deref(), Some("example.com"));
    assert_eq!(scope("allow = 'signed-in'", "").as_deref(), Some("example.com"));
    let wide = "[session]\ncookie_domain = 'example.com'\n[apps]\n'wiki.b.example.com' = 'public'";
    assert_eq!(scope("public_url = 'https://auth.a.example.com'", wide).as_deref(), Some("example.com"));

    let local = usable("public_url = 'http://127.0.0.1:4180'\nallow = 'signed-in'", "");
    assert_eq!(
        (local.cookies.clone(), local.session_domain()),
        (CookieScope { domain: None, secure: false }, "127.0.0.1")
    );
    for (public, app, wanted) in [
        (
            "http://localhost:4180",
            "127.0.0.1",
            "foregate.toml:7:1: `127.0.0.1` lies outside the cookie domain localhost, and is no name within a domain; fix: give it one, such as wiki.example.org",
        ),
        (
            "http://auth.apps.localhost",
            "photos.family.org",
            "foregate.toml:7:1: `photos.family.org` lies outside the cookie domain auth.apps.localhost, and its cookie would cross the network in the clear; fix: reach public_url and all apps by https",
        ),
    ] {
        let text = file(&format!("public_url = '{public}'"), &format!("[apps]\n'{app}' = 'public'"));
        assert_eq!(findings(&text), [wanted]);
    }
}

#[test]
fn apps_in_other_domains_have_cookies_of_their_own() {
    for (public, apps, domain, elsewhere) in [
        ("https://auth.example.com", "'photos.family.org' = 'public'", None, "photos.family.org"),
        (
            "https://auth.example.com",
            "'wiki.example.com' = 'public'\n'*.family.org:8443/x' = 'public'\n'b.test.co.uk' = 'public'",
            Some("example.com"),
            "*.family.org:8443/x b.test.co.uk",
        ),
        ("https://auth.a.example.com", "'wiki.b.example.com' = 'public'", None, "wiki.b.example.com"),
        ("https://auth.home.arpa", "'wiki.home.arpa' = 'public'", None, "wiki.home.arpa"),
        ("https://192.0.2.1", "'wiki.example.com' = 'public'", None, "wiki.example.com"),
        ("http://localhost:4180", "'wiki.localhost' = 'public'", None, "wiki.localhost"),
        ("https://auth.example.com", "'wiki.example.com' = 'public'", Some("example.com"), ""),
    ] {
        let config = usable(&format!("public_url = '{public}'"), &format!("[apps]\n{apps}"));
        assert_eq!(config.cookies.domain.as_deref(), domain, "{apps}");
        assert_eq!(config.apps_elsewhere().join(" "), elsewhere, "{apps}");
    }
}

#[test]
fn proxies_are_trusted_by_default_on_loopback_only() {
    for (server, networks, sockets) in [
        ("server.listen = '0.0.0.0:4180'", 0, false),
        ("server.listen = '[::1]:4180'", 2, false),
        ("server.listen = ['127.0.0.1:1', '[::1]:2']", 2, false),
        ("server.listen = ['127.0.0.1:1', '10.0.0.1:2']", 0, false),
        ("server.listen = 'unix:/s'", 2, true),
        ("server.listen = ['127.0.0.1:1', 'unix:/s']", 2, true),
        ("server.listen = ['0.0.0.0:1', 'unix:/s']", 0, false),
        ("server.listen = 'unix:/s'\nserver.trusted_proxies = ['unix']", 0, true),
        ("server.trusted_proxies = []", 0, false),
    ] {
        let settings = usable(&format!("allow = 'signed-in'\n{server}"), "").server;
        assert_eq!(
            (settings.trusted_proxies.len(), settings.trusted_sockets),
            (networks, sockets),
            "{server}"
        );
    }
}

#[test]
fn without_an_address_of_its_own_tls_takes_that_of_the_listener() {
    let dir = certificate();
    let files = ["crt", "key"].map(|name| dir.path().join(name).to_str().unwrap().to_owned());
    let tls = format!("server.tls.cert_file = '{}'\nserver.tls.key_file = '{}'", files[0], files[1]);
    for (more, listen) in [
        ("", &[("127.0.0.1:4180", true)][..]),
        ("server.tls.listen = '[::]:443'", &[("127.0.0.1:4180", false), ("[::]:443", true)]),
    ] {
        let found = usable(&format!("allow = 'signed-in'\n{tls}\n{more}"), "").listeners.listen;
        let found: Vec<_> = found.iter().map(|it| (it.address.to_string(), it.tls)).collect();
        let listen: Vec<_> = listen.iter().map(|(address, tls)| ((*address).to_owned(), *tls)).collect();
        assert_eq!(found, listen, "{more}");
    }
}

#[test]
fn the_environment_overrides_the_file_and_may_be_all_there_is() {
    let variables = environment(&[
        ("FOREGATE_PUBLIC_URL", "https://auth.example.org"),
        ("FOREGATE_SERVER__LISTEN", "[::1]:1, unix:/s"),
        ("FOREGATE_APPS", "{ 'wiki.example.org' = ['group:a'] }"),
        ("FOREGATE_PROVIDER__ISSUER", "https://id.example.org"),
        ("FOREGATE_PROVIDER__CLIENT_ID", "f"),
        ("FOREGATE_PROVIDER__CLIENT_SECRET", "hunter2"),
        ("FOREGATE_SERVER__TRUSTED_PROXIES", "10.0.0.0/8,192.168.0.1"),
    ]);
    for file in [None, Some(("f", file("", "[apps]\n'a.example.com' = 'x'")))] {
        let file = file
            .as_ref()
            .map(|(name, text)| (*name, text.as_str().split("client_secret =").next().unwrap_or_default()));
        let config =
            Config::from_text(file, &variables).unwrap_or_else(|findings| panic!("{findings}")).config;
        assert_eq!(config.public_url.host_str(), Some("auth.example.org"));
        assert_eq!((config.apps.len(), config.apps[0].name.as_str()), (1, "wiki.example.org"));
        assert_eq!(config.server.trusted_proxies.len(), 2);
        assert_eq!(config.listeners.listen.len(), 2);
    }
    let missing = Config::from_text(None, &environment(&[("FOREGATE_ALLOW", "signed-in")]));
    assert_eq!(
        lines(missing.map(|_| ()))[0],
        "environment: `public_url` is not set; fix: write public_url = \"https://auth.example.com\" at the top, or set FOREGATE_PUBLIC_URL"
    );
}

#[test]
fn secrets_come_from_files_and_both_is_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, keys, empty) =
        (dir.path().join("secret"), dir.path().join("keys"), dir.path().join("empty"));
    std::fs::write(&secret, "hunter2\n").unwrap();
    let (new, old) = (new_key().unwrap(), new_key().unwrap());
    std::fs::write(
        &keys,
        format!("# newest first\n{}\n\n{}\n", new.expose(), old.expose().trim_end_matches('=')),
    )
    .unwrap();
    std::fs::write(&empty, "\n").unwrap();
    let base = file("allow = 'signed-in'", "").replace("client_secret = \"hunter2\"\n", "");

    let text = format!("{base}client_secret_file = {secret:?}\n[session]\nkeys_file = {keys:?}\n");
    let loaded = load(&text).unwrap_or_else(|findings| panic!("{findings}"));
    assert_eq!(
        loaded.config.providers[0].settings.client_secret.as_ref().map(|secret| secret.expose()),
        Some("hunter2")
    );
    assert_eq!(loaded.config.session.keys.len(), 2);
    assert_eq!(loaded.config.session.keys[0], new);
    assert!(
        show(&loaded).contains(
            &format!("***  foregate.toml:6, from the file {}", secret.display()).replace("***  ", "")
        )
    );

    let told = findings(&format!("{base}client_secret_file = {empty:?}\n"));
    assert_eq!(
        told,
        [format!(
            "foregate.toml:6:22: `provider.client_secret_file` names {}, which is empty; fix: put the secret alone into the file",
            empty.display()
        )]
    );
    let wrong = findings(&format!("{base}client_secret = 'x'\n[session]\nkeys_file = {secret:?}\n"));
    assert_eq!(
        wrong,
        [
            "foregate.toml:8:13: `session.keys`: line 1 of the file is not 32 bytes in base64; fix: make one with `foregate session new-key`"
        ]
    );
    let both = environment(&[("FOREGATE_PROVIDER__CLIENT_SECRET", "hunter2")]);
    let text = format!("{base}client_secret_file = {secret:?}\n");
    let told = Config::from_text(Some(("foregate.toml", &text)), &both).map(|_| ());
    assert_eq!(
        lines(told),
        [
            "foregate.toml:6:22: both `provider.client_secret` (environment FOREGATE_PROVIDER__CLIENT_SECRET) and `provider.client_secret_file` (foregate.toml:6) are set; fix: keep one of the two"
        ]
    );
}

#[test]
fn the_file_is_looked_up_by_name_then_variable_then_here() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one.toml"), dir.path().join("other.toml"));
    std::fs::write(&one, file("allow = 'public'", "")).unwrap();
    std::fs::write(&other, file("allow = 'signed-in'", "")).unwrap();
    let variable = environment(&[("FOREGATE_CONFIG", &other.display().to_string())]);
    assert_eq!(Config::load(Some(&one), &variable).unwrap().config.fallback, Requirement::Public);
    assert_eq!(Config::load(None, &variable).unwrap().config.fallback, Requirement::SignedIn);

    let missing = dir.path().join("none.toml");
    let told = lines(Config::load(Some(&missing), &Environment::default()).map(|_| ()));
    assert_eq!(
        told,
        [format!(
            "{}: the configuration file cannot be read (No such file or directory (os error 2)); fix: name a file that is there with --config or FOREGATE_CONFIG",
            missing.display()
        )]
    );
    std::fs::write(&one, [0xff, 0xfe]).unwrap();
    assert!(
        lines(Config::load(Some(&one), &Environment::default()).map(|_| ()))[0].contains("is not UTF-8 text")
    );
    assert!(
        lines(Config::load(Some(Path::new("/dev/zero")), &Environment::default()).map(|_| ()))[0]
            .contains("longer than 1 MiB")
    );
}

#[test]
fn nothing_at_all_shows_the_smallest_file_and_that_file_works() {
    let told = Config::from_text(None, &environment(&[("FOREGATE_LOG", "debug")])).unwrap_err().to_string();
    assert!(told.starts_with("foregate.toml: there is no configuration: no such file here, and no FOREGATE_… variable; fix: write a file foregate.toml such as this:\n\n    public_url = "), "{told}");
    let smallest = SMALLEST.replace("client_secret_file", "client_secret");
    assert!(load(&smallest).is_ok());
}

#[test]
fn what_is_in_force_is_shown_with_its_origin() {
    let text = file(
        "allow = 'signed-in'",
        "[session]\nstore = 'sqlite:x.db'\n[apps]\n'a.example.com' = { allow = ['user:a'] }",
    );
    let variables = environment(&[("FOREGATE_SERVER__DRAIN", "1m")]);
    let loaded = Config::from_text(Some(("foregate.toml", &text)), &variables).unwrap();
    let shown = show(&loaded);
    let squeezed: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "public_url \"https://auth.example.com\" foregate.toml:1",
        "headers \"remote\" default",
        "server.trusted_proxies [\"127.0.0.0/8\", \"::1/128\"] default",
        "server.drain \"1m\" environment FOREGATE_SERVER__DRAIN",
        "server.limits.connections 20000 default",
        "session.store *** foregate.toml:8",
        "session.keys (in the file beside the database) default",
        "session.cookie_domain \"example.com\" default",
        "provider.client_secret *** foregate.toml:6",
        "provider.title \"id.example.com\" default",
        "provider.prompt (none) default",
        "apps.\"a.example.com\" { allow = [\"user:a\"] } foregate.toml:10",
    ] {
        assert!(squeezed.iter().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert!(!shown.contains("hunter2") && !format!("{loaded:?}").contains("hunter2"));
    let column =
        |name: &str| shown.lines().find(|line| line.starts_with(name)).and_then(|line| line.find("default"));
    assert_eq!(column("headers"), column("server.listen"), "origins are aligned");
}

#[test]
fn every_default_is_usable() {
    for key in keys::KEYS {
        if let keys::Unset::Value(text) = key.unset {
            let mut book = Notebook::default();
            let place = book.add(Origin::Default, text);
            assert!(environment::read(key.kind, text, &place, &mut book).is_some(), "{}", key.path);
        }
    }
}

/// Pieces of files, so that chance also makes some that are nearly right.
fn scraps() -> impl Strategy<Value = String> {
    let words: Vec<String> = keys::paths()
        .chain(keys::paths().map(|path| keys::split(&path).1.to_owned()))
        .chain(
            [
                "[",
                "]",
                "{",
                "}",
                "=",
                "\n",
                "\"",
                "'''",
                ",",
                ".",
                " ",
                "[apps]\n",
                "rules",
                "allow",
                "path",
                "methods",
                "\"a.example.com\"",
                "\"*.b\"",
                "\"public\"",
                "['user:a']",
                "'/x/**'",
                "5",
                "true",
                "é",
                "\u{0}",
                "[[",
                "1979-05-27",
                "\"https://auth.example.com\"",
                "'1h'",
                "\\",
                "#",
                "\r\n",
            ]
            .map(str::to_owned),
        )
        .collect();
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), scrap in scraps(), value in any::<String>()) {
        for text in [&text, &scrap, &file(&scrap, &text), &file("allow = 'public'", &scrap)] {
            let variables = environment(&[("FOREGATE_APPS", &value), ("FOREGATE_ALLOW", &scrap), ("FOREGATE_SESSION__KEYS", &value)]);
            for variables in [Environment::default(), variables] {
                match Config::from_text(Some(("f", text)), &variables) {
                    Ok(loaded) => drop(show(&loaded)),
                    Err(findings) => prop_assert!(!findings.to_string().is_empty() && findings.iter().len() > 0),
                }
            }
        }
    }

    #[test]
    fn no_variable_makes_it_panic(name in "FOREGATE_[A-Z_0-9]{0,24}", value in any::<String>()) {
        let _ = Config::from_text(None, &environment(&[(&name, &value)]));
    }
}
