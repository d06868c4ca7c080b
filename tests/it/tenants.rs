//! Tenants: whoever belongs to some is in one of them, whichever way a request comes, and nobody is in another's.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port, run};
use crate::support::http::{Browser, Reply, raw, request};
use crate::support::issuer::now;
use crate::support::provider::Provider;
use crate::support::proxies::{FrontProxy, PROXIES};
use crate::support::scene::{DIALECTS, Scene, ask_raw};
use crate::support::stage::Stage;

const ACME: &str = "X-Tenant-ID: acme";
const BETA: &str = "X-Tenant-ID: beta";
const GAMMA: &str = "X-Tenant-ID: gamma";

/// A foregate whose people belong to tenants by a claim, and a backend that says what it was told.
struct House {
    scene: Scene,
    _backend: Backend,
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let backend = Backend::start();
        let users = json!({
            "anna": { "tenants": [{ "id": "acme", "role": "admin" }, { "id": "beta", "roles": ["user", "editor"] }] },
            "ben": { "tenants": ["beta"], "groups": ["staff"] },
            "odd": { "tenants": ["acme,beta", "a\r\nX-Roles: chief", "", "Ä b%41"] },
        });
        let options = json!({ "users": users, "scopes": { "org": ["tenants"] } });
        let scene = Scene::with(options, |public_url, provider| {
            config(public_url, &provider.config(), &backend.url(), "claim = \"tenants\"")
        });
        House { scene, _backend: backend }
    })
}

fn config(public_url: &str, provider: &str, upstream: &str, tenants: &str) -> String {
    let rules = r#"rules = [
  { path = "/open/**", allow = "public" },
  { path = "/t/{tenant}/**", allow = "tenant:{tenant}" },
  { path = "/support/{tenant}", allow = ["tenant:{tenant}", "group:staff"] },
  { path = "/beta", allow = "tenant:beta" },
  { path = "/chief", allow = "role:chief" },
  { path = "/delete", allow = "permission:kb:delete" },
]"#;
    format!(
        r#"
public_url = "{public_url}"
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[session]
store = "sqlite:DIR/foregate.db"
{provider}
scopes = ["openid", "profile", "email", "offline_access", "org"]
[bearer]
audiences = ["https://api.example.com"]
[tenants]
{tenants}
[roles.chief]
tenant_roles = ["admin"]
permissions = ["kb:delete"]
[roles.staff]
groups = ["staff"]
[apps."kb.foregate.localhost"]
allow = "signed-in"
{rules}
[apps."own.foregate.localhost"]
allow = "signed-in"
headers = {{ "X-User" = "{{username}} of {{tenant}} as {{tenant_role:|}}" }}
[apps."proxied.foregate.localhost"]
upstream = "{upstream}"
assertion = true
allow = "signed-in"
{rules}
[apps."stripped.foregate.localhost/kb"]
upstream = "{upstream}"
strip_prefix = true
allow = "signed-in"
rules = [{{ path = "/t/{{tenant}}/**", allow = "tenant:{{tenant}}" }}, {{ path = "/kb/t/*/owned/{{owner}}", allow = "user:{{owner}}" }}]
[apps."based.foregate.localhost"]
upstream = "{upstream}/files"
allow = "signed-in"
rules = [{{ path = "/files/{{owner}}/**", allow = "user:{{owner}}" }}]
"#
    )
}

/// Asks in a dialect, or foregate as the proxy, about a path as somebody or as nobody.
fn asked(way: &str, path: &str, who: &str, lines: &[&str]) -> Reply {
    let scene = &house().scene;
    let host = if way == "proxy" { "proxied.foregate.localhost" } else { "kb.foregate.localhost" };
    let all = [&[who], lines].concat();
    let bytes = if way == "proxy" {
        let all = [&["Host: proxied.foregate.localhost"], all.as_slice()].concat();
        request("GET", path, &all, "").into_bytes()
    } else {
        ask_raw(way, "GET", ("http", host, path), &all)
    };
    raw(scene.foregate.public, &bytes)
}

#[test]
fn a_name_from_the_path_is_the_one_that_the_backend_is_asked_for() {
    let scene = &house().scene;
    for (user, host, path, got) in [
        ("anna", "based", "/anna/x", Some("/files/anna/x")),
        ("ben", "based", "/anna/x", None),
        // The visitor's own name, at another place.
        ("ben", "based", "/anna/ben/x", None),
        ("ben", "based", "/ben/anna/x", Some("/files/ben/anna/x")),
        ("anna", "stripped", "/kb/t/acme/x", Some("/t/acme/x")),
        ("anna", "stripped", "/kb/t/beta/x", Some("/t/beta/x")),
        ("ben", "stripped", "/kb/t/acme/x", None),
        ("ben", "stripped", "/kb/t/acme/beta", None),
        ("carol", "stripped", "/kb/t/t/x", None),
        ("ben", "stripped", "/kb/t/beta/owned/ben", Some("/t/beta/owned/ben")),
        ("ben", "stripped", "/kb/t/beta/owned/anna", None),
        ("ben", "stripped", "/kb/t/acme/owned/ben", None),
    ] {
        let host = format!("Host: {host}.foregate.localhost");
        let reply = raw(scene.foregate.public, request("GET", path, &[&host, &who(user)], "").as_bytes());
        let case = format!("{user} {host} {path}: {reply:?}");
        match got {
            Some(got) => {
                assert!(reply.status == 200 && reply.body.starts_with(&format!("GET {got} ")), "{case}");
                let tenant = got.strip_prefix("/t/").and_then(|rest| rest.split('/').next());
                if let Some(tenant) = tenant {
                    assert_eq!(self::got(&reply.body, "X-Tenant-ID"), [tenant], "{case}");
                }
            }
            None => assert_eq!(reply.status, 403, "{case}"),
        }
    }
}

/// All headers of this name that the backend gets, in any spelling, by the answer of a check or of the backend.
fn told(way: &str, reply: &Reply, name: &str) -> Vec<String> {
    if way != "proxy" {
        return reply.all(name).into_iter().map(str::to_owned).collect();
    }
    got(&reply.body, name)
}

fn got(request: &str, name: &str) -> Vec<String> {
    let fold = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "").to_ascii_lowercase();
    let lines = request.split("\r\n").filter_map(|line| line.split_once(':'));
    let named = lines.filter(|(found, _)| fold(found) == fold(name));
    named.map(|(_, value)| value.trim().to_owned()).collect()
}

fn who(user: &str) -> String {
    if user.is_empty() { "X-Nobody: here".to_owned() } else { house().scene.cookie(user) }
}

#[test]
fn whoever_belongs_to_tenants_is_in_the_one_they_name_and_in_no_other() {
    let ways: Vec<&str> = DIALECTS.into_iter().chain(["proxy"]).collect();
    for (user, path, lines, status, tenant, role) in [
        ("anna", "/", &[][..], 200, "acme", "admin"),
        ("anna", "/", &[ACME], 200, "acme", "admin"),
        ("anna", "/", &[BETA], 200, "beta", "editor,user"),
        ("anna", "/", &["x-tenant-id:   beta  "], 200, "beta", "editor,user"),
        ("anna", "/", &["X-Tenant-ID:"], 200, "acme", "admin"),
        ("anna", "/", &["X_Tenant_ID: beta"], 200, "acme", "admin"),
        ("anna", "/", &["X-Tenant-Role: owner", "X_Tenant_Role: owner"], 200, "acme", "admin"),
        ("anna", "/", &[GAMMA], 403, "", ""),
        ("anna", "/", &["X-Tenant-ID: Beta"], 403, "", ""),
        ("anna", "/open/x", &[GAMMA], 403, "", ""),
        ("anna", "/", &["X-Tenant-ID: acme,beta"], 400, "", ""),
        ("anna", "/", &[ACME, BETA], 400, "", ""),
        ("anna", "/", &[ACME, ACME], 400, "", ""),
        ("anna", "/open/x", &[ACME, BETA], 400, "", ""),
        ("anna", "/", &["X-Tenant-ID: acme\tbeta"], 400, "", ""),
        ("ben", "/", &[], 200, "beta", ""),
        ("ben", "/", &[ACME], 403, "", ""),
        ("carol", "/", &[], 200, "", ""),
        ("carol", "/", &[ACME], 403, "", ""),
        ("", "/", &[ACME], 401, "", ""),
        ("", "/open/x", &[ACME], 200, "", ""),
        ("", "/open/x", &[ACME, "X-Tenant-Role: admin", "x.tenant.id: acme"], 200, "", ""),
        ("odd", "/", &[], 200, "Ä b%2541", ""),
        ("odd", "/", &["X-Tenant-ID: Ä b%41"], 200, "Ä b%2541", ""),
        // What a rule speaks of is where one is who names nothing else.
        ("anna", "/t/beta/x", &[], 200, "beta", "editor,user"),
        ("anna", "/t/acme/x", &[], 200, "acme", "admin"),
        ("anna", "/t/beta/x", &[ACME], 403, "", ""),
        ("anna", "/t/gamma/x", &[], 403, "", ""),
        ("anna", "/t/bet%61/x", &[], 403, "", ""),
        ("anna", "/beta", &[], 200, "beta", "editor,user"),
        ("ben", "/t/acme/x", &[], 403, "", ""),
        ("ben", "/support/acme", &[], 200, "beta", ""),
        ("carol", "/t/acme/x", &[], 403, "", ""),
        // Roles in a tenant count in that tenant.
        ("anna", "/chief", &[], 200, "acme", "admin"),
        ("anna", "/chief", &[BETA], 403, "", ""),
        ("anna", "/delete", &[ACME], 200, "acme", "admin"),
        ("anna", "/delete", &[BETA], 403, "", ""),
        ("ben", "/chief", &[], 403, "", ""),
    ] {
        for way in &ways {
            let reply = asked(way, path, &who(user), lines);
            let case = format!("{way} {user} {path} {lines:?}: {reply:?}");
            assert_eq!(reply.status, status, "{case}");
            if status == 200 {
                assert_eq!(told(way, &reply, "X-Tenant-ID"), [tenant], "{case}");
                assert_eq!(told(way, &reply, "X-Tenant-Role"), [role], "{case}");
                let roles = if role == "admin" {
                    "chief"
                } else if user == "ben" {
                    "staff"
                } else {
                    ""
                };
                assert_eq!(told(way, &reply, "X-Roles"), [roles], "{case}");
            }
        }
    }
    assert_eq!(
        asked("envoy", "/", &who("anna"), &[])
            .header("x-envoy-auth-headers-to-remove")
            .map(|twins| twins.contains("x_tenant_id,x_tenant_role")),
        Some(true)
    );
}

#[test]
fn a_table_of_its_own_cannot_leave_the_header_of_the_client_in_place() {
    let scene = &house().scene;
    for dialect in DIALECTS {
        let lines = [who("anna"), BETA.to_owned()];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let reply = scene.ask(dialect, "GET", "http://own.foregate.localhost/", &lines);
        assert_eq!(reply.header("x-user"), Some("anna of beta as editor|user"), "{dialect}");
        assert_eq!(reply.header("x-tenant-id"), Some("beta"), "{dialect}");
    }
}

#[test]
fn a_refusal_says_what_is_missing_and_never_names_what_was_asked_for() {
    for (user, path, lines, missing) in [
        ("anna", "/", &[GAMMA][..], "membership in the tenant that X-Tenant-ID names"),
        ("anna", "/t/beta/x", &[ACME], "the tenant beta"),
        ("anna", "/chief", &[BETA], "the role chief"),
    ] {
        let reply = asked("traefik", path, &who(user), lines);
        assert_eq!((reply.status, &reply.json()["missing"]), (403, &json!([missing])), "{path}");
        assert!(!reply.body.contains("gamma"), "{reply:?}");
    }
}

#[test]
fn trailers_cannot_bring_what_heads_may_not() {
    let stage = Stage::with("[tenants]\nclaim = \"tenants\"", "allow = \"public\"");
    let lines = [
        "X_Tenant-ID: acme",
        "X-Tenant-ID: acme",
        "x.tenant_role: owner",
        "TE: trailers",
        "Trailer: X-Tenant-ID, X_Tenant_ID, X-Tenant-Role, X-Sum",
        "Transfer-Encoding: chunked",
    ];
    let mut visitor = stage.ask("POST /told", &lines);
    visitor.write(b"3\r\nabc\r\n0\r\nX-Tenant-ID: acme\r\nX_Tenant_ID: acme\r\nX-Tenant-Role: owner\r\nX-Sum: 1\r\n\r\n");
    let mut backend = stage.accept();
    let (head, rest) = (backend.head(), backend.read_until("\r\n\r\n"));
    assert_eq!(got(&head, "X-Tenant-ID"), [""], "{head}");
    assert_eq!(got(&head, "X-Tenant-Role"), [""], "{head}");
    assert!(rest.to_ascii_lowercase().contains("x-sum: 1") && !rest.contains("acme"), "{rest}");
    assert!(!rest.contains("owner"), "{rest}");
}

#[test]
fn an_assertion_is_about_the_tenant_that_the_headers_tell() {
    for (line, tenant) in [(ACME, "acme"), (BETA, "beta"), (ACME, "acme")] {
        let reply = asked("proxy", "/told", &who("anna"), &[line]);
        let token = got(&reply.body, "Foregate-Assertion").remove(0);
        let claims = claims_of(&token);
        assert_eq!(claims["tenant"], tenant, "{claims}");
        assert_eq!(claims["roles"], if tenant == "acme" { json!(["chief"]) } else { json!([]) }, "{claims}");
    }
}

fn claims_of(token: &str) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(1).expect("claims");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn a_script_learns_the_tenants_and_asks_for_one() {
    let scene = &house().scene;
    let session = |user: &str, lines: &[&str]| {
        let who = who(user);
        let lines = [&["Host: proxied.foregate.localhost", who.as_str()], lines].concat();
        raw(scene.foregate.public, request("GET", "/.foregate/session", &lines, "").as_bytes())
    };
    for (user, lines, tenant, tenants, tenant_roles, roles) in [
        ("anna", &[][..], json!("acme"), json!(["acme", "beta"]), json!(["admin"]), json!(["chief"])),
        ("anna", &[BETA], json!("beta"), json!(["acme", "beta"]), json!(["editor", "user"]), json!([])),
        ("ben", &[], json!("beta"), json!(["beta"]), json!([]), json!(["staff"])),
        ("carol", &[], json!(null), json!([]), json!([]), json!([])),
    ] {
        let told = session(user, lines).json();
        assert_eq!(
            (&told["tenant"], &told["tenants"], &told["tenant_roles"], &told["roles"]),
            (&tenant, &tenants, &tenant_roles, &roles),
            "{user} {lines:?}: {told}"
        );
    }
    assert_eq!(session("anna", &[GAMMA]).status, 403);
    assert_eq!(session("anna", &[ACME, BETA]).status, 400);
    let lines = ["Host: auth.foregate.localhost", "Origin: http://x.foregate.localhost"];
    let reply = raw(scene.foregate.public, request("OPTIONS", "/.foregate/session", &lines, "").as_bytes());
    assert_eq!(reply.header("access-control-allow-headers"), Some("accept, x-requested-with, x-tenant-id"));
}

#[test]
fn a_program_is_in_a_tenant_by_its_token() {
    let scene = &house().scene;
    let token = |tenants: Value| {
        let claims = json!({
            "iss": scene.provider.issuer, "sub": "s-1", "aud": "https://api.example.com", "exp": now() + 300,
            "iat": now(), "scope": "api", "preferred_username": "robot", "tenants": tenants,
        });
        let header = json!({ "typ": "at+jwt" });
        let signed = scene.provider.control("sign", &json!({ "header": header, "claims": claims }));
        format!("Authorization: Bearer {}", signed["token"].as_str().expect("a token"))
    };
    let (two, none) = (token(json!({ "acme": "admin", "beta": [] })), token(json!(null)));
    for (who, line, status, tenant) in [
        (&two, "X-Other: x", 200, "acme"),
        (&two, BETA, 200, "beta"),
        (&two, GAMMA, 403, ""),
        (&none, "X-Other: x", 200, ""),
        (&none, ACME, 403, ""),
    ] {
        for way in DIALECTS.into_iter().chain(["proxy"]) {
            let reply = asked(way, "/", who, &[line]);
            assert_eq!(reply.status, status, "{way} {line}: {reply:?}");
            if status == 200 {
                assert_eq!(told(way, &reply, "X-Tenant-ID"), [tenant], "{way} {line}");
            }
        }
    }
}

#[test]
fn who_leaves_a_tenant_is_out_of_it_at_the_next_renewal() {
    let backend = Backend::start();
    let port = free_port();
    let public_url = format!("http://auth.foregate.localhost:{port}");
    let users = json!({ "anna": { "tenants": ["acme", "beta"] } });
    let options = json!({ "users": users, "scopes": { "org": ["tenants"] }, "accessTokenTtl": 2 });
    let provider = Provider::for_foregate(&public_url, options);
    let config = config(&public_url, &provider.config(), &backend.url(), "claim = \"tenants\"");
    let foregate = Foregate::start_at(&config, port);
    let mut browser = Browser::default();
    browser.sign_in(&format!("{public_url}/.foregate/sign-in"), "anna");
    let cookie = format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value);
    let asked = |lines: &[&str]| {
        let lines = [&["Host: proxied.foregate.localhost", cookie.as_str()], lines].concat();
        raw(foregate.public, request("GET", "/told", &lines, "").as_bytes())
    };
    assert_eq!(asked(&[ACME]).status, 200);
    provider.control("user", &json!({ "login": "anna", "claims": { "tenants": ["beta"] } }));
    let end = Instant::now() + Duration::from_secs(30);
    while asked(&[ACME]).status == 200 {
        assert!(Instant::now() < end, "still in: {:?}", foregate.log_lines());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(asked(&[ACME]).status, 403);
    assert_eq!(got(&asked(&[]).body, "X-Tenant-ID"), ["beta"]);
}

#[test]
fn a_backend_is_shown_the_token_of_whoever_is_in_a_tenant() {
    let backend = Backend::start();
    let port = free_port();
    let public_url = format!("http://auth.foregate.localhost:{port}");
    let users = json!({ "anna": { "tenants": ["acme", "beta"] } });
    let options = json!({ "users": users, "scopes": { "org": ["tenants"] } });
    let provider = Provider::for_foregate(&public_url, options);
    let config = config(&public_url, &provider.config(), &backend.url(), "claim = \"tenants\"");
    let shown = |token: &str| {
        format!(
            "[apps.\"{token}.foregate.localhost\"]\nupstream = \"{}\"\nauthorization = \"{token}\"\nallow = \"signed-in\"\n",
            backend.url()
        )
    };
    let foregate = Foregate::start_at(&(config + &shown("access-token") + &shown("id-token")), port);
    let mut browser = Browser::default();
    browser.sign_in(&format!("{public_url}/.foregate/sign-in"), "anna");
    let cookie = format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value);
    let asked = |host: &str, lines: &[&str]| {
        let host = format!("Host: {host}.foregate.localhost");
        let lines = [&[host.as_str(), cookie.as_str()], lines].concat();
        raw(foregate.public, request("GET", "/told", &lines, "").as_bytes())
    };
    for host in ["access-token", "id-token"] {
        for (lines, tenant) in [(&[][..], "acme"), (&[BETA], "beta")] {
            let reply = asked(host, lines);
            assert_eq!(got(&reply.body, "X-Tenant-ID"), [tenant], "{reply:?}");
            let token = got(&reply.body, "Authorization");
            assert!(token.len() == 1 && token[0].starts_with("Bearer "), "{host}: {reply:?}");
        }
        assert_eq!(asked(host, &[GAMMA]).status, 403);
    }
}

#[test]
fn groups_name_tenants_as_well() {
    let options =
        json!({ "users": { "anna": { "groups": ["t:beta:user", "t:acme:admin", "t:a:b:c", "staff"] } } });
    let scene = Scene::with(options, |public_url, provider| {
        config(
            public_url,
            &provider.config(),
            "http://127.0.0.1:1",
            "groups = \"t:{tenant}:{role}\"\nheader = \"X-Org\"",
        )
        .replace(", \"org\"]", "]")
    });
    let cookie = scene.cookie("anna");
    for (line, status, tenant) in [
        ("X-Other: x", 200, "acme"),
        ("X-Org: beta", 200, "beta"),
        ("X-Org: a", 403, ""),
        ("X-Org: a:b", 403, ""),
        ("X-Tenant-ID: beta", 200, "acme"),
    ] {
        let reply = scene.ask("caddy", "GET", "http://kb.foregate.localhost/", &[&cookie, line]);
        assert_eq!(reply.status, status, "{line}: {reply:?}");
        if status == 200 {
            assert_eq!(reply.header("x-org"), Some(tenant), "{line}");
            assert_eq!(reply.header("x-tenant-role"), Some(if tenant == "acme" { "admin" } else { "user" }));
        }
    }
}

#[test]
fn front_proxies_carry_it_by_the_configurations_that_users_are_given() {
    for name in PROXIES {
        let (port, behind) = (free_port(), free_port());
        let public_url = format!("http://auth.foregate.localhost:{port}");
        let users = json!({ "anna": { "tenants": { "acme": "admin", "beta": "user" } } });
        let options = json!({ "users": users, "scopes": { "org": ["tenants"] } });
        let provider = Provider::for_foregate(&public_url, options);
        let backend = Backend::start();
        let config = config(&public_url, &provider.config(), "http://127.0.0.1:1", "claim = \"tenants\"");
        let foregate = Foregate::start_at(&config, behind);
        let host = "kb.foregate.localhost";
        let proxy = FrontProxy::by_snippet(name, port, host, (&foregate, &backend), str::to_owned);
        proxy.wait_for(&format!("http://{host}:{port}/open/ready"), |reply| reply.status == 200);
        let mut browser = Browser::default();
        let page = browser.sign_in(&format!("http://{host}:{port}/"), "anna");
        assert_eq!(page.status, 200, "{name}: {page:?}\n{}", proxy.log());
        let cookie = format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value);
        for (who, path, lines, status, tenant) in [
            (cookie.as_str(), "/", &[][..], 200, "acme"),
            (&cookie, "/", &[BETA], 200, "beta"),
            (&cookie, "/t/beta/x", &[], 200, "beta"),
            (&cookie, "/", &["X_Tenant_ID: beta", "X-Tenant-Role: owner"], 200, "acme"),
            // What Connection names is for one hop, so that either is right, and none at all is not.
            (&cookie, "/", &[ACME, "Connection: X-Tenant-ID"], 200, "acme"),
            (&cookie, "/", &[GAMMA], 403, ""),
            (&cookie, "/", &[ACME, BETA], 400, ""),
            ("X-Nobody: x", "/open/x", &[ACME, "X-Tenant-Role: owner"], 200, ""),
            ("X-Nobody: x", "/open/x", &["X_Tenant_ID: acme", "x_tenant_role: owner"], 200, ""),
        ] {
            let host = format!("Host: {host}:{port}");
            let lines = [&[host.as_str(), who, "Connection: close"], lines].concat();
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let reply = raw(address, request("GET", path, &lines, "").as_bytes());
            let case = format!("{name} {path} {lines:?}: {reply:?}");
            assert_eq!(reply.status, status, "{case}");
            if status == 200 {
                let found = got(&reply.body, "X-Tenant-ID");
                assert!(found == [tenant] || (tenant.is_empty() && found.is_empty()), "{case}");
                assert!(!reply.body.contains("owner"), "{case}");
            }
        }
    }
}

#[test]
fn what_makes_no_sense_of_tenants_stops_the_start() {
    let good = config(
        "http://auth.foregate.localhost",
        &house().scene.provider.config(),
        "http://127.0.0.1:1",
        "claim = \"tenants\"",
    );
    for (from, to, told) in [
        ("claim = \"tenants\"", "", "`tenants.claim` is not set"),
        ("claim = \"tenants\"", "claim = \"a..b\"", "`a..b` is not a claim"),
        (
            "claim = \"tenants\"",
            "groups = \"tenant:{role}\"",
            "does not say where in a group's name the tenant is",
        ),
        ("claim = \"tenants\"", "groups = []", "`tenants.groups` is empty"),
        ("claim = \"tenants\"", "claim = \"a\"\nheader = \"Cookie\"", "belongs to HTTP itself"),
        ("claim = \"tenants\"", "claims = \"a\"", "did you mean `claim`?"),
        ("[tenants]\nclaim = \"tenants\"", "", "`tenant_roles` has no effect without tenants"),
        ("[tenants]\nclaim = \"tenants\"", "", "`tenant:beta` speaks of a tenant, and there are none"),
        (
            "[tenants]\nclaim = \"tenants\"",
            "",
            "the template of `X-User` speaks of tenants, and there are none",
        ),
        ("/t/{tenant}/**", "/t/{org}/**", "speaks of {tenant}, which the path of its rule does not have"),
    ] {
        let (code, told_by) = Foregate::refuses(&good.replacen(from, to, 1));
        assert!(code == Some(1) && told_by.contains(told), "{to}: {told_by}");
    }
}

#[test]
fn rules_about_tenants_can_be_tried_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("foregate.toml");
    let text = config(
        "http://auth.foregate.localhost",
        &house().scene.provider.config(),
        "http://127.0.0.1:1",
        "claim = \"tenants\"",
    );
    let text =
        text.replace("LISTEN", "127.0.0.1:4180").replace("ADMIN", "127.0.0.1:4181").replace("DIR", "/tmp");
    std::fs::write(&file, text).expect("a file");
    for (path, who, wanted) in [
        (
            "/chief",
            "user=a,claim:tenants=acme;beta",
            &["  tenant: acme of acme, beta\n", "decision: forbid"][..],
        ),
        (
            "/chief",
            "user=a,claim:tenants={\"beta\": \"admin\"}",
            &[
                "  tenant: beta of beta, as admin\n",
                "yes role:chief, which is any of the roles in a tenant admin",
                "decision: allow",
            ],
        ),
        (
            "/t/beta/x",
            "user=a,claim:tenants=acme;beta",
            &["  tenant: beta of acme, beta\n", "decision: allow"],
        ),
        (
            "/t/beta/x",
            "user=a,tenant=acme,claim:tenants=acme;beta",
            &["no  tenant:{tenant}, here `beta`", "decision: forbid"],
        ),
        (
            "/",
            "user=a,tenant=gamma,claim:tenants=acme",
            &[
                "  tenant: none of acme\n",
                "decision: forbid",
                "missing: membership in the tenant that X-Tenant-ID names",
            ],
        ),
        ("/", "user=a", &["  tenant: none\n", "decision: allow"]),
    ] {
        let url = format!("http://kb.foregate.localhost{path}");
        let (code, out, err) =
            run(&["explain", &url, "--as", who, "--config", file.to_str().expect("a path")], dir.path());
        assert_eq!(code, Some(0), "{err}");
        for part in wanted {
            assert!(out.contains(part), "{part} is not in {out}");
        }
    }
}
