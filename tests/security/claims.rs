//! What people may write about themselves at an honest provider, or register there: it makes nobody somebody else. Found by an
//! attack on foregate itself, where no id is named.

use serde_json::{Value, json};

use super::world::{
    ADMINS, APP, ENTRANCES, Entrance, World, assert_closed, assert_open, bearer, cookie_of, stranger, told,
};
use crate::support::foregate::run;
use crate::support::hostile_provider::{API, HostileProvider, Mind, says};
use crate::support::http::Browser;
use crate::support::issuer::{By, key, now};
use crate::support::upstream::until;

const USER: &str = "user.foregate.localhost";
const JSON: &str = "Content-Type: application/json\r\n";

/// A provider that says these things of whoever signs in, in the ID token and at userinfo.
fn saying(claims: Value, userinfo: Value) -> Mind {
    Mind { claims, userinfo, ..Mind::default() }
}

/// Signs somebody in of whom the provider says this.
fn sign_in(world: &World, claims: &Value, userinfo: &Value) -> Browser {
    world.provider.is_of(saying(claims.clone(), userinfo.clone()));
    let mut browser = stranger("mallory");
    browser.open(&world.url("auth", "/.foregate/sign-in"));
    browser
}

#[test]
fn a_verified_flag_is_about_the_address_beside_it() {
    let world = World::with("", |config| {
        config.replace("client_id = \"foregate\"", "client_id = \"foregate\"\nrequire_verified_email = true")
    });
    let (mine, boss) = ("mallory@evil.test", "boss@example.com");
    let unsaid = json!(null);
    for (claims, userinfo, signed_in) in [
        (
            json!({"email": mine, "email_verified": true}),
            json!({"email": boss, "email_verified": unsaid}),
            false,
        ),
        (
            json!({"email": boss, "email_verified": unsaid}),
            json!({"email": unsaid, "email_verified": true}),
            false,
        ),
        (
            json!({"email": boss, "email_verified": false}),
            json!({"email": unsaid, "email_verified": "true"}),
            false,
        ),
        (
            json!({"email": boss, "email_verified": unsaid}),
            json!({"email": mine, "email_verified": true}),
            true,
        ),
    ] {
        let browser = sign_in(&world, &claims, &userinfo);
        assert_eq!(browser.cookie("foregate").is_some(), signed_in, "{claims} {userinfo}");
        if signed_in {
            let closed =
                world.ask(Entrance::Traefik, "mail.foregate.localhost", "/", &[&cookie_of(&browser)]);
            assert_closed(&closed, Entrance::Traefik, "the address that is verified is another");
        }
    }
}

#[test]
fn an_address_that_rules_read_is_one_that_must_be_verified() {
    let world = World::with("", |config| {
        let strict = "client_id = \"foregate\"\nrequire_verified_email = true\nclaims.email = \"upn\"";
        config
            .replace("client_id = \"foregate\"", strict)
            .replace("claim:level=3", "claim:email=boss@example.com")
    });
    for (said, passes) in [
        (json!({"email": "boss@example.com", "email_verified": true}), true),
        (json!({"email": "boss@example.com", "email_verified": false}), false),
        (json!({"email": "boss@example.com", "email_verified": null}), false),
    ] {
        let token = bearer(&world.provider.access_token("x", said.clone()));
        let reply = world.ask(Entrance::Traefik, "claim.foregate.localhost", "/", &[&token]);
        assert_eq!(reply.status == 200, passes, "{said}: {reply:?}");
    }
}

#[test]
fn a_member_that_says_no_is_no_membership() {
    let tables =
        "[tenants]\nclaim = \"tenants\"\n[apps.\"acme.foregate.localhost\"]\nallow = \"tenant:acme\"\n";
    let world = World::with(tables, |config| config.replace("claim:level=3", "claim:roles=admin"));
    let group = "Home Server Admins";
    let hosts = ["admins", "claim", "acme"];
    for (said, open) in [
        (json!(false), false),
        (json!(null), false),
        (json!({}), true),
        (json!({"1": "a.example"}), true),
        (json!(true), true),
    ] {
        let both = json!({
            "groups": {(group): said, "x": true}, "roles": {"admin": said, "x": true}, "tenants": {"acme": said, "x": true},
        });
        let cookie = cookie_of(&sign_in(&world, &both, &both));
        for host in hosts {
            let reply = world.ask(Entrance::Traefik, &format!("{host}.foregate.localhost"), "/", &[&cookie]);
            assert_eq!(reply.status, if open { 200 } else { 403 }, "{host} {said}: {reply:?}");
        }
    }
}

#[test]
fn a_subject_in_the_place_of_a_name_is_no_name() {
    let world = World::new();
    let unnamed = json!({"sub": "alice", "preferred_username": null});
    let cookie = cookie_of(&sign_in(&world, &unnamed, &unnamed));
    let token = bearer(&world.provider.access_token("x", unnamed));
    for shown in [&cookie, &token] {
        for entrance in ENTRANCES {
            assert_closed(&world.ask(entrance, USER, "/", &[shown]), entrance, shown);
        }
        let reply = world.ask(Entrance::Traefik, APP, "/", &[shown]);
        assert_eq!((reply.status, reply.header("remote-user")), (200, Some("alice")), "told: {reply:?}");
    }
    world.provider.is_of(Mind::default());
    let alice = world.cookie("alice");
    for entrance in ENTRANCES {
        assert_open(&world.ask(entrance, USER, "/", &[&alice]), entrance, "alice herself");
    }
}

#[test]
fn a_subject_is_a_name_where_the_configuration_says_so() {
    let world = World::with("\n[provider.claims]\nusername = \"sub\"\n", |config| {
        config.replace("user:alice", "user:sub-alice").replace("claim:level=3", "claim:sub=sub-bob")
    });
    for (user, app, open) in
        [("alice", "user", true), ("bob", "user", false), ("bob", "claim", true), ("alice", "claim", false)]
    {
        let reply =
            world.ask(Entrance::Traefik, &format!("{app}.foregate.localhost"), "/", &[&world.cookie(user)]);
        assert_eq!(reply.status, if open { 200 } else { 403 }, "{user} {app}: {reply:?}");
    }
}

/// A world whose provider is asked about opaque tokens, and says this of each.
pub fn introspecting(said: &str, username: &str) -> World {
    let claim = |config: String| config.replace("claim:level=3", "claim:client_id=alice");
    let world = World::with(&format!("\n[provider.claims]\nusername = \"{username}\"\n"), |config| {
        claim(config).replace("[bearer]\n", "[bearer]\nintrospection = \"default\"\n")
    });
    world.provider.is_of(knowing(&world.provider, said));
    world
}

pub fn knowing(provider: &HostileProvider, said: &str) -> Mind {
    Mind {
        discovery: json!({"introspection_endpoint": format!("{}introspect", provider.issuer())}),
        instead: [("/introspect", says("200 OK", JSON, said))].into(),
        ..Mind::default()
    }
}

#[test]
fn the_id_of_a_client_is_nobodys_name() {
    let said = json!({"active": true, "client_id": "alice", "aud": API, "token_type": "Bearer"}).to_string();
    for username in ["preferred_username", "sub"] {
        let world = introspecting(&said, username);
        let token = bearer("opaque");
        for entrance in ENTRANCES {
            assert_closed(&world.ask(entrance, USER, "/", &[&token]), entrance, username);
        }
        let reply = world.ask(Entrance::Traefik, APP, "/", &[&token]);
        assert_eq!((reply.status, reply.header("remote-user")), (200, Some("alice")), "{reply:?}");
        let named = world.ask(Entrance::Traefik, "claim.foregate.localhost", "/", &[&token]);
        assert_eq!(named.status, 200, "a program is named by its client_id: {named:?}");
    }
}

#[test]
fn an_answer_that_says_two_things_is_none() {
    let sound = r#""client_id":"robot","aud":"https://api.example.com","token_type":"Bearer""#;
    let twice = format!(r#"{{"active":false,"active":true,{sound}}}"#);
    let world = introspecting(&twice, "preferred_username");
    for entrance in ENTRANCES {
        let reply = world.ask(entrance, APP, "/", &[&bearer("opaque")]);
        assert!(reply.status >= 400, "{entrance:?}: {reply:?}");
    }
    let once = format!(r#"{{"active":true,{sound}}}"#);
    world.provider.is_of(knowing(&world.provider, &once));
    assert_eq!(world.ask(Entrance::Traefik, APP, "/", &[&bearer("another")]).status, 200);
    let keys = format!(r#"{{"keys":[],"keys":{}}}"#, Mind::default().keys);
    let people = r#"{"sub":"sub-mallory","sub":"sub-alice","preferred_username":"alice"}"#.to_owned();
    for (what, path, body) in [("userinfo", "/userinfo", people), ("keys", "/jwks", keys)] {
        let world = World::new();
        let instead = [(path, says("200 OK", JSON, body))].into();
        world.provider.is_of(Mind { instead, ..Mind::default() });
        let mut browser = stranger("alice");
        browser.open(&world.url("auth", "/.foregate/sign-in"));
        assert!(browser.cookie("foregate").is_none(), "{what}");
    }
}

#[test]
fn an_old_token_or_one_that_is_signed_otherwise_signs_nobody_in() {
    let world = World::new();
    let year = 365 * 86_400;
    for (what, mind) in [
        ("a year old", Mind { claims: json!({"iat": now() - year, "exp": now() + 300}), ..Mind::default() }),
        ("b64", Mind { header: json!({"alg": "RS256", "kid": "rs", "b64": false}), ..Mind::default() }),
    ] {
        world.provider.is_of(mind);
        let mut browser = stranger("alice");
        browser.open(&world.url("auth", "/.foregate/sign-in"));
        assert!(browser.cookie("foregate").is_none(), "{what}");
    }
    let claims = json!({
        "iss": world.provider.issuer(), "aud": API, "exp": now() + 300, "sub": "s", "scope": "api",
    });
    let token = key(By::Rsa).token(&json!({"alg": "RS256", "kid": "rs", "b64": false}), &claims);
    assert_eq!(world.ask(Entrance::Traefik, APP, "/", &[&bearer(&token)]).status, 401, "as an access token");
}

#[test]
fn an_address_that_says_what_sign_ins_say_is_refused() {
    let world = World::new();
    let evil =
        format!("{}authorize?redirect_uri=https%3A%2F%2Fevil.test&client_id=evil", world.provider.issuer());
    world.provider.is_of(Mind { discovery: json!({"authorization_endpoint": evil}), ..Mind::default() });
    let reply = stranger("alice").open(&world.url("auth", "/.foregate/sign-in"));
    assert_eq!((reply.status, reply.header("location")), (502, None), "{reply:?}");
    assert_eq!(world.provider.asked("/authorize"), 0);
    world.foregate.wait_for_log("has redirect_uri in its query");
}

/// `CVE-2024-45808` Envoy: whoever asks writes into the log what acts on the screen of whoever reads it.
///
/// Tried: a name that the provider tells, with controls of C1, DEL, breaks of line and every mark of direction; the log, the audit
/// log, the access log and what the commands list: each line is JSON, says that very name, and holds none of them.
#[test]
fn cve_2024_45808_no_line_acts_on_the_screen_of_its_reader() {
    let acts: String = ACTS.iter().collect();
    let name = format!("mal{acts}lory \u{a0}Zoë 名\\");
    let tables = "[audit]\noutput = \"DIR/audit.log\"\n[access_log]\noutput = \"DIR/access.log\"\n";
    let world = World::with(tables, |config| config);
    let claims = json!({"preferred_username": name, "name": name, "groups": [name]});
    let shown = cookie_of(&sign_in(&world, &claims, &claims));
    assert_open(&world.ask(Entrance::Traefik, APP, "/", &[&shown]), Entrance::Traefik, "somebody");
    assert_closed(&world.ask(Entrance::Traefik, ADMINS, "/", &[&shown]), Entrance::Traefik, "no admin");
    let dir = world.foregate.dir();
    let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
    let all = || [world.foregate.log_lines().join("\n"), read("audit.log"), read("access.log")];
    until("each log says who it was", || {
        ["\"message\":\"somebody was refused\"", "\"event\":\"denied\"", "\"status\":403"]
            .iter()
            .zip(all())
            .all(|(part, text)| text.lines().any(|line| line.contains(part)))
    });
    let commands = ["user", "session"].map(|list| {
        let (code, out, err) = run(&[list, "list", "--json"], dir);
        assert_eq!(code, Some(0), "{err}");
        out
    });
    for text in all().into_iter().chain(commands) {
        assert!(!text.contains(ACTS), "{text:?}");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let of_them = lines.filter(|line| line["user"] == *name);
        assert!(of_them.count() > 0, "nobody is named so in {text}");
    }
}

/// Controls, breaks of line and marks of direction.
const ACTS: [char; 20] = [
    '\u{7f}', '\u{80}', '\u{85}', '\u{9b}', '\u{9d}', '\u{9f}', '\u{2028}', '\u{2029}', '\u{61c}',
    '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}',
    '\u{2067}', '\u{2068}', '\u{2069}',
];
/// `CVE-2026-30852` Caddy: a text of somebody's own that is a template, and is filled in.
///
/// Tried: all entrances with a session and with a token; templates of a dozen languages and foregate's own placeholders as name,
/// group and claim, in headers of every form; and in a group that a rule puts together from the path.
#[test]
fn cve_2026_30852_what_people_are_called_is_no_template() {
    let backend = crate::support::backend::Backend::start();
    let tables = r#"
[apps."texts.foregate.localhost"]
upstream = "BACKEND"
allow = "signed-in"
headers = { "X-User" = "{username}", "X-Both" = "{name} <{claim:note}>", "X-Groups" = "{groups}", "X-Uid" = "{uid}" }
rules = [
  { path = "/kb/{kb}/**", allow = "group:owner:{kb}" },
]
"#;
    let world = World::with(&tables.replace("BACKEND", &backend.url()), |config| config);
    let host = "texts.foregate.localhost";
    for text in [
        "{{.User}}",
        "{{7*7}}",
        "${x}",
        "${jndi:ldap://127.0.0.1/x}",
        "#{7*7}",
        "<%= 7*7 %>",
        "{http.request.header.X}",
        "{http.vars.secret}",
        "{env.HOME}",
        "$HOME",
        "$1",
        "\\1",
        "%{REMOTE_USER}e",
        "%[env(HOME)]",
        "{username}",
        "{groups}",
        "{claim:note}",
        "{kb}",
        "{",
        "}",
        "{}",
    ] {
        let said = json!({"preferred_username": text, "name": text, "note": text, "groups": [text, "owner:{kb}", "owner:*", "owner:ours"]});
        let session = cookie_of(&sign_in(&world, &said, &said));
        let token = bearer(&world.provider.access_token("mallory", said));
        let mut groups = [text, "owner:{kb}", "owner:*", "owner:ours"].map(str::to_owned).to_vec();
        groups.sort();
        groups.dedup();
        for (shown, entrance) in
            [&session, &token].into_iter().flat_map(|line| ENTRANCES.map(|entrance| (line, entrance)))
        {
            let lines = [shown, "X: expanded", "Secret: expanded", "Note: expanded"];
            let reply = world.ask(entrance, host, "/x", &lines);
            assert_open(&reply, entrance, text);
            assert_eq!(told(entrance, &reply, "x-user"), [text], "{entrance:?}");
            assert_eq!(told(entrance, &reply, "x-both"), [format!("{text} <{text}>")], "{entrance:?}");
            let mut found: Vec<String> =
                told(entrance, &reply, "x-groups").concat().split(',').map(str::to_owned).collect();
            found.sort();
            found.dedup();
            assert_eq!(found, groups, "{entrance:?} {text}");
            // A part of the path is put in where it is plain, and what comes of it is no pattern and nobody's template.
            for uri in ["/kb/7/x", "/kb/kb/x", "/kb/%2a/x", "/kb/*/x", "/kb/%7Bkb%7D/x", "/kb/{kb}/x"] {
                assert_closed(&world.ask(entrance, host, uri, &lines), entrance, (text, uri));
            }
            assert_open(&world.ask(entrance, host, "/kb/ours/x", &lines), entrance, "the rule is there");
        }
    }
}
