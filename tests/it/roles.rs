//! Roles, permissions, claims, networks and names from the path, as front proxies and browsers meet them.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{Browser, NAVIGATES, Reply, raw, request};
use crate::support::provider::Provider;
use crate::support::proxies::FrontProxy;
use crate::support::scene::{DIALECTS, Scene, ask_raw};

const KB: &str = "http://kb.foregate.localhost";

/// A foregate with the knowledge base of the interface, and the people who may use parts of it.
struct House {
    scene: Scene,
    backend: Backend,
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let backend = Backend::start();
        let users = json!({
            "reader": { "groups": ["kb-viewer"], "team": "red" },
            "writer": { "groups": ["kb-editor", "kb-owner:7"], "team": ["red", "blue"] },
            "chief": { "groups": ["kb-admin"], "team": { "blue": {} } },
            "alice": { "groups": ["kb-viewers", "Home Server Admins"] },
        });
        let options = json!({ "users": users, "scopes": { "team": ["team"] } });
        let scene = Scene::with(options, |public_url, provider| {
            config(public_url, &provider.config(), &backend.url())
        });
        House { scene, backend }
    })
}

fn config(public_url: &str, provider: &str, upstream: &str) -> String {
    format!(
        r#"
public_url = "{public_url}"
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[session]
store = "sqlite:DIR/foregate.db"
{provider}
scopes = ["openid", "profile", "email", "offline_access", "team"]

[apps."kb.foregate.localhost"]
allow = "role:kb-viewer"
rules = [
  {{ path = "/open/**", allow = "public" }},
  {{ path = "/kb", methods = ["POST"], allow = "permission:kb:create" }},
  {{ path = "/kb/{{kb_id}}/**", methods = ["DELETE"], allow = ["role:kb-admin", "group:kb-owner:{{kb_id}}"] }},
  {{ path = "/teams/{{team}}", allow = "claim:team={{team}}" }},
  {{ path = "/blue", allow = {{ all = ["claim:team=blue", {{ any = ["role:kb-editor", "user:alice"] }}] }} }},
  {{ path = "/office", allow = {{ all = ["network:192.0.2.0/24", "signed-in"] }} }},
  {{ path = "/lan", allow = ["network:192.0.2.0/24", "network:2001:db8::/32"] }},
]
[apps."own.foregate.localhost"]
allow = "signed-in"
headers = {{ "X-May" = "{{permissions:|}}", "X-Is" = "{{roles}}" }}
[apps."proxied.foregate.localhost"]
upstream = "{upstream}"
allow = "signed-in"
rules = [
  {{ path = "/open/**", allow = "public" }},
  {{ path = "/kb/{{kb_id}}/**", allow = "group:kb-owner:{{kb_id}}" }},
  {{ path = "/lan", allow = "network:192.0.2.0/24" }},
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
permissions = ["kb:delete"]
"#
    )
}

/// Asks about a path of the knowledge base as somebody, or as nobody.
fn status(dialect: &str, method: &str, path: &str, user: &str, more: &[&str]) -> u16 {
    about(dialect, method, path, user, more).status
}

fn about(dialect: &str, method: &str, path: &str, user: &str, more: &[&str]) -> Reply {
    let scene = &house().scene;
    let cookie = if user.is_empty() { "X-Nobody: here".to_owned() } else { scene.cookie(user) };
    let lines = [&[cookie.as_str()], more].concat();
    let host = KB.trim_start_matches("http://");
    raw(scene.foregate.public, &ask_raw(dialect, method, ("http", host, path), &lines))
}

#[test]
fn roles_and_permissions_are_what_groups_give_in_every_dialect() {
    for (method, path, user, wanted) in [
        ("GET", "/", "reader", 200),
        ("GET", "/", "writer", 200),
        ("GET", "/", "chief", 200),
        ("GET", "/", "alice", 403),
        ("GET", "/", "carol", 403),
        ("GET", "/", "", 401),
        ("POST", "/kb", "reader", 403),
        ("POST", "/kb", "writer", 200),
        ("POST", "/kb", "chief", 200),
        ("POST", "/%6bb", "reader", 403),
        ("DELETE", "/kb/8", "chief", 200),
        ("DELETE", "/kb/8", "writer", 403),
        ("GET", "/teams/red", "reader", 200),
        ("GET", "/teams/blue", "reader", 403),
        ("GET", "/teams/blue", "writer", 200),
        ("GET", "/teams/blue", "chief", 200),
        ("GET", "/teams/red", "carol", 403),
        ("GET", "/blue", "writer", 200),
        ("GET", "/blue", "reader", 403),
    ] {
        for dialect in DIALECTS {
            assert_eq!(status(dialect, method, path, user, &[]), wanted, "{dialect} {method} {path} {user}");
        }
    }
}

#[test]
fn a_name_from_the_path_never_reaches_further_than_its_segment() {
    for (path, wanted) in [
        ("/kb/7", 200),
        ("/kb/7/page/1", 200),
        ("/%6bb/7", 200),
        ("/kb/8", 403),
        ("/kb/%37", 403),
        ("/kb/7%20", 403),
        ("/kb/7:x", 403),
        ("/kb/7%3Ax", 403),
        ("/kb/7,8", 403),
        ("/kb/07", 403),
        ("/kb/7;8", 400),
        ("/kb/7%2f8", 400),
        ("/kb/8/../7", 400),
        ("/kb//7", 400),
    ] {
        for dialect in DIALECTS {
            assert_eq!(status(dialect, "DELETE", path, "writer", &[]), wanted, "{dialect} {path}");
        }
    }
    assert_eq!(status("traefik", "DELETE", "/kb/8", "", &[]), 401);
    let hopeless = status("traefik", "DELETE", "/kb/%37", "", &[]);
    assert_eq!(hopeless, 401, "an admin may still come in");
}

#[test]
fn a_network_is_the_one_the_front_proxy_names() {
    for (line, wanted) in [
        ("X-Forwarded-For: 192.0.2.7", 200),
        ("X-Forwarded-For: 203.0.113.7, 192.0.2.7", 200),
        ("X-Forwarded-For: 192.0.2.7, 127.0.0.9", 200),
        ("X-Forwarded-For: ::ffff:192.0.2.7", 200),
        ("X-Forwarded-For: 2001:db8::7", 200),
        ("X-Forwarded-For: 192.0.2.7, 203.0.113.7", 403),
        ("X-Forwarded-For: 192.0.3.7", 403),
        ("X-Forwarded-For: 192.0.2.7, rubbish", 403),
        ("X-Forwarded-For: 192.0.2.7:99", 403),
        ("X-Forwarded-For:", 403),
        ("X-Real-IP: 192.0.2.7", 403),
        ("Forwarded: for=192.0.2.7", 403),
        ("X-Client-IP: 192.0.2.7", 403),
    ] {
        for dialect in DIALECTS {
            assert_eq!(status(dialect, "GET", "/lan", "", &[line]), wanted, "{dialect} {line}");
        }
    }
    for dialect in DIALECTS {
        let here = "X-Forwarded-For: 192.0.2.7";
        assert_eq!(status(dialect, "GET", "/office", "carol", &[here]), 200, "{dialect}");
        assert_eq!(status(dialect, "GET", "/office", "carol", &[]), 403, "{dialect}");
        assert_eq!(status(dialect, "GET", "/office", "", &[here]), 401, "{dialect}");
        assert_eq!(status(dialect, "GET", "/office", "", &[]), 403, "{dialect}: signing in moves nobody");
        let several = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 192.0.2.7"];
        assert_eq!(status(dialect, "GET", "/lan", "", &several), 200, "{dialect}");
        assert_eq!(status(dialect, "GET", "/lan", "", &[several[1], several[0]]), 403, "{dialect}");
    }
    assert_eq!(status("traefik", "GET", "/lan", "", &["X_Forwarded_For: 192.0.2.7"]), 400);
}

#[test]
fn backends_are_told_roles_and_permissions_and_never_a_clients_own() {
    let house = house();
    for dialect in DIALECTS {
        for (user, path, roles, permissions) in [
            ("reader", "/", "kb-viewer", "kb:read"),
            ("writer", "/", "kb-editor,kb-viewer", "kb:create,kb:read,kb:update"),
            ("chief", "/", "kb-admin,kb-editor,kb-viewer", "kb:create,kb:delete,kb:read,kb:update"),
            ("carol", "/open/x", "", ""),
            ("", "/open/x", "", ""),
        ] {
            let forged = ["X-Roles: kb-admin", "X-Permissions: kb:delete"];
            let reply = about(dialect, "GET", path, user, &forged);
            let told = (reply.status, reply.header("x-roles"), reply.header("x-permissions"));
            assert_eq!(told, (200, Some(roles), Some(permissions)), "{dialect} {user}");
        }
        let own = "http://own.foregate.localhost/";
        let reply = house.scene.ask(dialect, "GET", own, &[&house.scene.cookie("writer")]);
        assert_eq!(reply.header("x-may"), Some("kb:create|kb:read|kb:update"), "{dialect}");
        assert_eq!(reply.header("x-is"), Some("kb-editor,kb-viewer"), "{dialect}");
        assert!(reply.header("x-roles").is_none(), "a table of its own says all there is");
    }
    let lines = ["Host: proxied.foregate.localhost", &house.scene.cookie("writer")];
    let session =
        raw(house.scene.foregate.public, request("GET", "/.foregate/session", &lines, "").as_bytes());
    let told = session.json();
    assert_eq!(
        (&told["roles"], &told["permissions"]),
        (&json!(["kb-editor", "kb-viewer"]), &json!(["kb:create", "kb:read", "kb:update"]))
    );
    let reply = about("envoy", "GET", "/", "reader", &[]);
    assert!(reply.header("x-envoy-auth-headers-to-remove").unwrap().contains("x_roles,x_permissions"));
}

#[test]
fn a_refusal_names_the_role_the_permission_or_the_group_that_is_missing() {
    for (method, path, missing) in [
        ("POST", "/kb", json!(["the permission kb:create"])),
        ("DELETE", "/kb/8", json!(["the role kb-admin", "membership in the group kb-owner:8"])),
        ("GET", "/teams/blue", json!(["a certain value of team"])),
        (
            "GET",
            "/blue",
            json!(["a certain value of team, together with the role kb-editor or a certain account"]),
        ),
        ("GET", "/office", json!(["a visit from a certain network"])),
    ] {
        let problem = about("traefik", method, path, "reader", &[]);
        assert_eq!((problem.status, &problem.json()["missing"]), (403, &missing), "{method} {path}");
        assert_eq!(problem.json()["reason"], "not-allowed");
    }
    let page = about("traefik", "GET", "/blue", "reader", &[NAVIGATES]);
    assert!(page.body.contains("the role kb-editor") && !page.body.contains("blue</"), "{}", page.body);
    let page = about("traefik", "GET", "/", "carol", &[NAVIGATES]);
    assert!(page.body.contains("<bdi>the role kb-viewer</bdi>"), "{}", page.body);
}

#[test]
fn the_auth_address_may_also_ask_for_roles_and_never_for_a_part_of_a_path() {
    let scene = &house().scene;
    for (term, user, wanted) in [
        ("role:kb-editor", "writer", 200),
        ("role:kb-editor", "reader", 403),
        ("permission:kb:read", "reader", 200),
        ("role:nobody-knows", "chief", 403),
        ("permission:kb", "chief", 403),
        ("group:kb-owner:{kb_id}", "writer", 403),
        ("network:192.0.2.0/24", "chief", 403),
    ] {
        let lines = [
            "X-Forwarded-Method: GET",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: kb.foregate.localhost",
            "X-Forwarded-Uri: /kb/7",
            &scene.cookie(user),
        ];
        let address = format!("/.foregate/auth/traefik?allow={term}");
        let reply = raw(scene.foregate.public, request("GET", &address, &lines, "").as_bytes());
        assert_eq!(reply.status, wanted, "{term} {user}");
    }
}

#[test]
fn foregate_as_the_proxy_asks_for_the_same_and_tells_the_same() {
    let house = house();
    let asked = |path: &str, lines: &[&str]| {
        let lines = [&["Host: proxied.foregate.localhost"], lines].concat();
        raw(house.scene.foregate.public, request("GET", path, &lines, "").as_bytes())
    };
    let writer = house.scene.cookie("writer");
    for (path, lines, wanted) in [
        ("/kb/7/x", vec![writer.as_str()], 200),
        ("/kb/8/x", vec![writer.as_str()], 403),
        ("/kb/%37/x", vec![writer.as_str()], 403),
        ("/kb/7:x/x", vec![writer.as_str()], 403),
        ("/lan", vec!["X-Forwarded-For: 192.0.2.9"], 200),
        ("/lan", vec!["X-Forwarded-For: 192.0.2.9, 203.0.113.1"], 403),
        ("/lan", vec![], 403),
    ] {
        assert_eq!(asked(path, &lines).status, wanted, "{path} {lines:?}");
    }
    let forged = ["X-Roles: kb-admin", "X_Roles: kb-admin", "x.permissions: kb:delete", "X-Permissions: all"];
    let told = asked("/kb/7/told", &[&[writer.as_str()], forged.as_slice()].concat()).body;
    assert!(told.contains("x-roles: kb-editor,kb-viewer\r\n"), "{told}");
    assert!(told.contains("x-permissions: kb:create,kb:read,kb:update\r\n"), "{told}");
    assert!(!told.contains("kb-admin") && !told.contains("kb:delete") && !told.contains("all\r\n"), "{told}");
    let told = asked("/open/told", &forged).body;
    assert!(told.contains("x-roles: \r\n") && !told.contains("kb-admin"), "{told}");
    assert!(house.backend.seen().iter().all(|request| !request.to_ascii_lowercase().contains("x_roles")));
}

#[test]
fn without_a_trusted_proxy_the_network_is_that_of_the_peer() {
    let backend = Backend::start();
    let provider = house().scene.provider.config();
    let public_url = "http://auth.foregate.localhost";
    let config = config(public_url, &provider, &backend.url())
        .replace("[server]", "[server]\ntrusted_proxies = []")
        .replace("allow = \"network:192.0.2.0/24\"", "allow = \"network:127.0.0.0/8\"");
    let foregate = Foregate::start(&config);
    let asked = |path: &str, line: &str| {
        let lines = ["Host: proxied.foregate.localhost", line];
        raw(foregate.public, request("GET", path, &lines, "").as_bytes()).status
    };
    assert_eq!(asked("/lan", "X-Other: x"), 200);
    assert_eq!(asked("/lan", "X-Forwarded-For: 192.0.2.7"), 200, "nobody is believed who names another");
    assert_eq!(asked("/other", "X-Forwarded-For: 127.0.0.1"), 401);
}

#[test]
fn roles_that_make_no_sense_stop_the_start() {
    let config =
        config("http://auth.foregate.localhost", &house().scene.provider.config(), "http://127.0.0.1:1");
    for (from, to, told) in [
        (
            "inherits = [\"kb-viewer\"]",
            "inherits = [\"kb-admin\"]",
            "inherits itself: kb-editor inherits kb-admin inherits kb-editor",
        ),
        (
            "allow = \"role:kb-viewer\"",
            "allow = \"role:kb-vewer\"",
            "there is no role `kb-vewer`; fix: did you mean `kb-viewer`?",
        ),
        ("permission:kb:create", "permission:kb:creat", "no role has the permission `kb:creat`"),
        ("/kb/{kb_id}/**", "/kb/{id}/**", "speaks of {kb_id}, which the path of its rule does not have"),
        ("inherits = [\"kb-viewer\"]", "inherits = [\"viewer\"]", "there is no role `viewer` to inherit"),
    ] {
        let (code, told_by) = Foregate::refuses(&config.replacen(from, to, 1));
        assert!(code == Some(1) && told_by.contains(told), "{to}: {told_by}");
    }
}

/// Everybody's groups in thousands of bytes, and an app for each way to tell them.
fn crowded(public_url: &str, provider: &str, upstream: &str) -> String {
    format!(
        r#"
public_url = "{public_url}"
server.listen = "LISTEN"
server.admin_listen = "ADMIN"
session.store = "sqlite:DIR/foregate.db"
{provider}
[apps]
"all.foregate.localhost" = "signed-in"
[apps."app.foregate.localhost"]
allow = "signed-in"
groups = "matching"
rules = [
  {{ path = "/open/**", allow = "public" }},
  {{ path = "/team/{{team}}", allow = "group:team-{{team}}-x" }},
  {{ path = "/zoo", allow = ["group:zoo", "role:keeper"] }},
]
[apps."some.foregate.localhost"]
allow = "group:zoo"
groups = ["department-00*", "zoo"]
[apps."limit.foregate.localhost"]
allow = "group:zoo"
header_limit = 1000
headers = "authentik"
[apps."proxied.foregate.localhost"]
upstream = "{upstream}"
allow = "group:zoo"
groups = "matching"
[roles.keeper]
groups = ["department-017-of-the-whole-house"]
"#
    )
}

fn departments() -> Value {
    let groups: Vec<String> =
        (0..500).map(|number| format!("department-{number:03}-of-the-whole-house")).collect();
    json!([groups.as_slice(), &["zoo".to_owned(), "team-7-x".to_owned(), "team-7-y".to_owned()]].concat())
}

#[test]
fn somebody_with_500_groups_is_told_as_an_app_wants_it() {
    let backend = Backend::start();
    let options = json!({ "users": { "dora": { "groups": departments() } } });
    let scene =
        Scene::with(options, |public_url, provider| crowded(public_url, &provider.config(), &backend.url()));
    let foregate = &scene.foregate;
    let heavy = || foregate.metric("foregate_heavy_answers_total") as usize;
    let cookie = scene.cookie("dora");
    let matching = "department-017-of-the-whole-house,team-7-x,zoo";
    for dialect in DIALECTS {
        let told = |host: &str, name: &str| {
            let reply = scene.ask(dialect, "GET", &format!("http://{host}.foregate.localhost/"), &[&cookie]);
            assert_eq!(reply.status, 200, "{dialect} {host}");
            (reply.header(name).expect("groups").to_owned(), reply.header("x-roles").map(str::to_owned))
        };
        let before = heavy();
        assert_eq!(
            told("app", "remote-groups"),
            (matching.to_owned(), Some("keeper".to_owned())),
            "{dialect}"
        );
        let (some, _) = told("some", "remote-groups");
        assert!(some.split(',').count() == 11 && some.ends_with(",zoo"), "{dialect}: {some}");
        assert_eq!(heavy(), before, "{dialect}");
        let (all, _) = told("all", "remote-groups");
        assert_eq!(all.split(',').count(), 503, "{dialect}");
        let (fitting, _) = told("limit", "x-authentik-groups");
        assert!(fitting.ends_with("|zoo") && (400..1000).contains(&fitting.len()), "{dialect}: {fitting}");
        assert_eq!(heavy(), before + 2, "{dialect}");
    }
    let line = foregate.wait_for_log("\"app\":\"all.foregate.localhost\"");
    for part in [
        "the identity headers of this person are large",
        "\"user\":\"dora\"",
        "\"limit_bytes\":3500",
        "\"left_out\":0",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(
        foregate.logged("the identity headers of this person are large"),
        2,
        "once for each person and app"
    );
    let bob = scene.ask("nginx", "GET", "http://all.foregate.localhost/", &[&scene.cookie("bob")]);
    assert_eq!(bob.header("remote-groups"), Some("family"));
    let rules = scene.ask("nginx", "GET", "http://app.foregate.localhost/team/7", &[&cookie]);
    assert_eq!(rules.status, 200, "rules look at all groups");
    let lines = ["Host: proxied.foregate.localhost", &cookie];
    let reply = raw(foregate.public, request("GET", "/told", &lines, "").as_bytes());
    assert!(reply.body.contains("remote-groups: zoo\r\n"), "as the proxy: {reply:?}");
}

#[test]
fn nginx_as_it_is_takes_somebody_with_500_groups_from_an_app_that_tells_what_matters() {
    let (port, behind) = (free_port(), free_port());
    let public_url = format!("http://auth.foregate.localhost:{port}");
    let options = json!({ "users": { "dora": { "groups": departments() } } });
    let provider = Provider::for_foregate(&public_url, options);
    let backend = Backend::start();
    let foregate = Foregate::start_at(&crowded(&public_url, &provider.config(), &backend.url()), behind);
    let without_buffers = |text: &str| {
        let as_it_is: Vec<&str> =
            text.lines().filter(|line| !line.trim_start().starts_with("proxy_b")).collect();
        assert!(as_it_is.len() < text.lines().count(), "the snippet enlarges the buffers");
        as_it_is.join("\n")
    };
    let nginx =
        |host: &str| FrontProxy::by_snippet("nginx", port, host, (&foregate, &backend), without_buffers);
    let mut browser = Browser::default();
    for (host, status) in [("app.foregate.localhost", 200), ("all.foregate.localhost", 500)] {
        let proxy = nginx(host);
        let url = format!("http://{host}:{port}/x");
        let reply = if status == 200 { browser.sign_in(&url, "dora") } else { browser.open(&url) };
        assert!(
            reply.status == status || (status == 500 && reply.status > 500),
            "{host}: {reply:?} {}",
            proxy.log()
        );
        assert!(
            status == 500
                || reply.body.contains("remote-groups: department-017-of-the-whole-house,team-7-x,zoo")
        );
        drop(proxy);
    }
}

#[test]
fn a_budget_without_effect_stops_the_start() {
    let config =
        crowded("http://auth.foregate.localhost", &house().scene.provider.config(), "http://127.0.0.1:1");
    for (from, to, told) in [
        (
            "header_limit = 1000",
            "header_limit = 100",
            "`header_limit` is no number of bytes from 256 to 65536",
        ),
        (
            "headers = \"authentik\"",
            "headers = { \"X-U\" = \"{username}\" }",
            "no header of this app tells groups",
        ),
        ("groups = [\"department-00*\", \"zoo\"]", "groups = \"some\"", "`groups` does not say which groups"),
        ("groups = [\"department-00*\", \"zoo\"]", "groups = []", "`groups` is empty"),
        (
            "allow = \"group:zoo\"\ngroups = \"matching\"",
            "allow = \"signed-in\"\ngroups = \"matching\"",
            "no rule of this app speaks of a group",
        ),
    ] {
        let changed = config.replacen(from, to, 1);
        assert_ne!(changed, config, "{from}");
        let (code, found) = Foregate::refuses(&changed);
        assert!(code == Some(1) && found.contains(told), "{to}: {found}");
    }
}
