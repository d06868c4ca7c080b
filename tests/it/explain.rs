//! Rules told and tried before they bite: `foregate explain`, `[[tests]]` and report mode.

use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, run};
use crate::support::http::{get, raw, request};
use crate::support::scene::{DIALECTS, Scene};

const HEAD: &str = r#"
public_url = "https://auth.example.com"
allow = "group:everybody"
server.listen = "LISTEN"
server.admin_listen = "ADMIN"
session.store = "sqlite:DIR/foregate.db"
[provider]
issuer = "https://id.example.com/"
client_id = "foregate"
client_secret = "not-a-secret"
"#;

const APPS: &str = r#"
[apps]
"wiki.example.com" = "group:family"
[apps."kb.example.com"]
allow = "role:reader"
rules = [
  { path = "/open/**", allow = "public" },
  { path = "/kb/{id}", methods = ["POST"], allow = ["group:owner:{id}", { all = ["role:writer", "network:10.0.0.0/8"] }] },
  { path = "/doc", query = { do = "edit" }, allow = "role:writer" },
  { path = "/admin/**", allow = "role:writer", max_auth_age = "10m", acr = "mfa" },
  { path = "/new/**", allow = "role:writer", mode = "report", meanwhile = "signed-in" },
]
[roles.reader]
groups = ["readers"]
[roles.writer]
groups = ["writers"]
inherits = ["reader"]
"#;

/// What `foregate explain` prints for these words.
fn explain(words: &[&str]) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("foregate.toml");
    let listen = |text: &str| text.replace("LISTEN", "127.0.0.1:1").replace("ADMIN", "127.0.0.1:2");
    std::fs::write(&file, listen(&format!("{HEAD}{APPS}"))).expect("a file");
    let words = [&["explain", "--config", file.to_str().expect("a path")], words].concat();
    let (code, out, err) = run(&words, dir.path());
    assert_eq!(code, Some(0), "{words:?}: {err}");
    out
}

#[test]
fn the_api_explains_as_the_command_does() {
    let foregate = Foregate::start(&format!("{HEAD}{APPS}"));
    let ask = |pairs: &[(&str, &str)]| {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        get(foregate.admin, &format!("/api/v1/explain?{query}"), &["Host: localhost", "Connection: close"])
    };
    for (path, method, who, alike, decision, missing) in [
        ("/", "GET", "nobody", &[][..], "sign-in", "the role reader"),
        (
            "/kb/7",
            "POST",
            "user=a,groups=readers",
            &[("user", "a"), ("groups", "readers")],
            "forbid",
            "membership in the group owner:7",
        ),
        ("/kb/7", "post", "user=a,groups=owner:7;x", &[("user", "a"), ("groups", "owner:7;x")], "allow", ""),
        ("/admin/x", "GET", "user=a,groups=writers", &[("user", "a"), ("groups", "writers")], "step-up", ""),
        ("/a/../b", "GET", "user=a", &[("user", "a")], "malformed", ""),
    ] {
        let url = format!("https://kb.example.com{path}");
        let said = explain(&[&url, "--method", method, "--as", who]);
        let about = [("url", url.as_str()), ("method", method)];
        let told = ask(&[&about[..], &[("as", who)]].concat());
        assert_eq!(
            (told.status, &told.json()["decision"]),
            (200, &Value::from(decision)),
            "{path}: {told:?}"
        );
        assert!(said.contains(&format!("decision: {decision}\n")), "{said}");
        let (steps, lacks) = (told.json()["steps"].clone(), told.json()["missing"].to_string());
        let steps: Vec<&str> = steps.as_array().expect("steps").iter().filter_map(Value::as_str).collect();
        assert!(!steps.is_empty() && steps.iter().all(|step| said.contains(step)), "{steps:?} {said}");
        assert!(lacks.contains(missing) && said.contains(missing), "{lacks} {said}");
        let apart = ask(&[&about[..], alike].concat());
        assert_eq!(apart.json(), told.json(), "{path}");
    }
    let url = ("url", "https://kb.example.com/");
    for (pairs, told) in [
        (&[("method", "GET")][..], "url is missing or empty"),
        (&[url, ("as", "user=a"), ("user", "a")], "either in as or in parameters"),
        (&[url, ("groups", "a")], "nobody is named"),
        (&[url, ("method", "G T")], "is not a method"),
        (&[url, ("from", "here")], "`here` is not an address"),
        (&[url, ("role", "a")], "`role` is not a parameter here"),
    ] {
        let reply = ask(pairs);
        assert_eq!((reply.status, &reply.json()["reason"]), (400, &Value::from("malformed")), "{reply:?}");
        assert!(reply.json()["detail"].as_str().is_some_and(|detail| detail.contains(told)), "{reply:?}");
    }
}

#[test]
fn explain_names_the_rule_and_the_reason() {
    let kb = "https://kb.example.com";
    for (path, more, parts) in [
        (
            "/",
            "",
            vec![
                "decision: sign-in",
                "rule: kb.example.com allow",
                "no  role:reader, which is any of the groups readers, writers",
            ],
        ),
        ("/", "--as user=a,groups=readers", vec!["decision: allow", "yes role:reader"]),
        ("/", "--as user=a", vec!["decision: forbid", "missing: the role reader"]),
        ("/open/x", "", vec!["decision: allow", "rule: kb.example.com rule 1", "yes public"]),
        (
            "/kb/7",
            "--method POST --as user=a,groups=owner:7",
            vec![
                "decision: allow",
                "not kb.example.com rule 1 (all methods, /open/**): another path",
                "yes group:owner:{id}, here `owner:7`",
            ],
        ),
        (
            "/kb/%37",
            "--method post --as user=a,groups=owner:7",
            vec!["decision: forbid", "which this path cannot fill in"],
        ),
        (
            "/kb/7",
            "--as user=a,groups=owner:7",
            vec!["decision: forbid", "rule 2 (POST, /kb/{id}): another method"],
        ),
        (
            "/kb/8",
            "--method POST --as user=a,groups=writers --from 10.1.2.3",
            vec!["decision: allow", "yes network:10.0.0.0/8, from 10.1.2.3"],
        ),
        (
            "/kb/8",
            "--method POST --as user=a,groups=writers",
            vec!["decision: forbid", "from nobody knows where"],
        ),
        (
            "/doc?do=edit",
            "--as user=a,groups=readers",
            vec!["decision: forbid", "rule: kb.example.com rule 3 (all methods, /doc?do=edit)"],
        ),
        (
            "/doc?do=show",
            "--as user=a,groups=readers",
            vec!["decision: allow", "rule 3 (all methods, /doc?do=edit): another query"],
        ),
        (
            "/doc?do=show&do=edit",
            "--as user=a,groups=readers",
            vec!["decision: malformed", "the query means different things"],
        ),
        ("/a/../admin", "--as user=a,groups=writers", vec!["decision: malformed", "path is not a valid"]),
        (
            "/a%2fb",
            "--as user=a,groups=writers",
            vec!["decision: malformed", "the path means different things"],
        ),
        ("/admin/x", "--as user=a,groups=writers,acr=mfa", vec!["decision: allow", "yes the sign-in proves"]),
        (
            "/admin/x",
            "--as user=a,groups=writers,acr=mfa,auth_age=11m",
            vec!["decision: step-up", "no  the sign-in proves"],
        ),
        ("/admin/x", "--as user=a,groups=writers", vec!["decision: step-up"]),
        (
            "/new/x",
            "--as user=a",
            vec!["decision: allow", "in report mode; when it bites:", "no  role:writer"],
        ),
        ("/%6fpen/x", "", vec!["decision: allow"]),
    ] {
        let url = format!("{kb}{path}");
        let told =
            explain(&[&[url.as_str()], more.split_whitespace().collect::<Vec<_>>().as_slice()].concat());
        for part in parts {
            assert!(told.contains(part), "{path} {more}: {part} is not in\n{told}");
        }
    }
    for (url, part) in [
        ("https://other.example.com/", "app: allow\n"),
        ("https://other.example.org/", "no line of [apps] speaks of other.example.org"),
        ("https://auth.example.com/.foregate/sign-in", "foregate's own page"),
        ("https://evil kb.example.com/", "decision: malformed"),
        ("kb.example.com", "decision: malformed"),
    ] {
        let told = explain(&[url]);
        assert!(told.contains(part), "{url}: {told}");
    }
}

/// The findings of a configuration with these tests.
fn refused(tests: &str) -> String {
    let (code, told) = Foregate::refuses(&format!("{HEAD}{APPS}{tests}"));
    assert_eq!(code, Some(1), "{told}");
    told
}

#[test]
fn a_test_that_fails_stops_the_start_at_its_place() {
    let told = refused(
        "[[tests]]\nurl = \"https://kb.example.com/\"\nas = \"user=a,groups=readers\"\nexpect = \"forbid\"\n\
         [[tests]]\nurl = \"https://kb.example.com/open/x\"\nexpect = \"allow\"\n\
         [[tests]]\nurl = \"https://kb.example.com/admin\"\nas = \"user=a,groups=writers\"\nexpect = \"allow\"\n",
    );
    assert!(
        told.contains(
            "this test fails: GET https://kb.example.com/ is `allow`, by `kb.example.com allow`, not `forbid`"
        ),
        "{told}"
    );
    assert!(told.contains("is `step-up`, by `kb.example.com rule 4`, not `allow`"), "{told}");
    assert!(!told.contains("open/x"), "{told}");
    let line = |text: &str| format!("{HEAD}{APPS}").lines().count() + text.matches('\n').count() + 1;
    assert!(told.contains(&format!("foregate.toml:{}:10", line("\n\n\n"))), "{told}");
    for (test, told) in [
        ("url = \"https://a/\"", "this test has no `expect`"),
        ("expect = \"allow\"", "this test has no `url`"),
        ("url = \"https://a/\"\nexpect = \"yes\"", "`yes` is nothing to expect"),
        ("url = \"https://a/\"\nexpect = \"allow\"\nas = \"alice\"", "`alice` has no value"),
        ("url = \"https://a/\"\nexpect = \"allow\"\nmethod = \"get\"", "`get` is not a method"),
        ("url = \"https://a/\"\nexpect = \"allow\"\nfrom = \"home\"", "`home` is not an address"),
        ("url = \"https://a/\"\nexpect = \"allow\"\nfrm = \"1.1.1.1\"", "did you mean `from`?"),
        ("url = 5\nexpect = \"allow\"", "`url` is a number"),
    ] {
        assert!(refused(&format!("[[tests]]\n{test}\n")).contains(told), "{test}");
    }
}

#[test]
fn tests_that_pass_let_it_start() {
    let tests = "[[tests]]\nurl = \"https://wiki.example.com/\"\nas = \"user=a,groups=family\"\nexpect = \"allow\"\n\
                 [[tests]]\nurl = \"https://wiki.example.com/\"\nexpect = \"sign-in\"\n\
                 [[tests]]\nurl = \"https://kb.example.com/kb/1\"\nmethod = \"POST\"\nas = \"user=a,groups=writers\"\nfrom = \"10.0.0.1\"\nexpect = \"allow\"\n\
                 [[tests]]\nurl = \"https://elsewhere.example.org/\"\nas = \"user=a,groups=everybody\"\nexpect = \"forbid\"\n\
                 [[tests]]\nurl = \"https://kb.example.com//x\"\nexpect = \"malformed\"\n";
    let mut foregate = Foregate::start(&format!("{HEAD}{APPS}{tests}"));
    assert!(foregate.is_running());
}

#[test]
fn report_mode_says_who_is_let_in_meanwhile_or_stops_the_start() {
    for (from, to, told) in [
        (", meanwhile = \"signed-in\"", "", "nothing says who is let in until it bites"),
        ("mode = \"report\", ", "", "`meanwhile` has no effect without mode"),
        ("mode = \"report\"", "mode = \"off\"", "this is no mode that a rule can have"),
        ("meanwhile = \"signed-in\"", "meanwhile = \"role:writer\"", "is the same as `allow`"),
        ("meanwhile = \"signed-in\"", "meanwhile = \"role:writr\"", "did you mean `writer`?"),
        (
            "\"wiki.example.com\" = \"group:family\"",
            "\"wiki.example.com\" = { allow = \"group:family\", mode = \"report\" }",
            "nothing says who is let in",
        ),
    ] {
        let (code, found) = Foregate::refuses(&format!("{HEAD}{}", APPS.replace(from, to)));
        assert!(code == Some(1) && found.contains(told), "{to}: {found}");
    }
}

#[test]
fn a_rule_in_report_mode_tells_whom_it_would_keep_out_and_lets_in_nobody_else() {
    let backend = Backend::start();
    let scene = Scene::with(Value::Null, |public_url, provider| {
        format!(
            r#"
public_url = "{public_url}"
server.listen = "LISTEN"
server.admin_listen = "ADMIN"
session.store = "sqlite:DIR/foregate.db"
{}
[apps."app.foregate.localhost"]
allow = "group:Home Server Admins"
mode = "report"
meanwhile = "group:family"
rules = [
  {{ path = "/all/**", allow = "signed-in", mode = "report", meanwhile = "public" }},
  {{ path = "/firm/**", allow = "group:Home Server Admins" }},
]
[apps."proxied.foregate.localhost"]
upstream = "{}"
allow = "user:alice"
mode = "report"
meanwhile = "signed-in"
"#,
            provider.config(),
            backend.url()
        )
    });
    let warned = scene.foregate.wait_for_log("app.foregate.localhost allow");
    assert!(
        warned.contains("THIS RULE IS IN REPORT MODE") && warned.contains("\"meanwhile\":\"group:family\""),
        "{warned}"
    );
    assert_eq!(scene.foregate.logged("THIS RULE IS IN REPORT MODE"), 3);
    let denied = || scene.foregate.metric("foregate_would_deny_total") as usize;
    let app = "http://app.foregate.localhost";
    for dialect in DIALECTS {
        for (path, user, status, told) in [
            ("/x?secret=1", "bob", 200, 1),
            ("/x", "alice", 200, 0),
            ("/x", "carol", 403, 0),
            ("/x", "", 401, 0),
            ("/all/x", "", 200, 1),
            ("/all/x", "carol", 200, 0),
            ("/firm/x", "bob", 403, 0),
        ] {
            let before = denied();
            let cookie = if user.is_empty() { "X-Nobody: here".to_owned() } else { scene.cookie(user) };
            let reply = scene.ask(dialect, "GET", &format!("{app}{path}"), &[&cookie]);
            assert_eq!((reply.status, denied() - before), (status, told), "{dialect} {path} {user}");
        }
    }
    let line = scene.foregate.wait_for_log("a rule in report mode would deny this");
    for part in [
        "\"user\":\"bob\"",
        "\"path\":\"/x\"",
        "membership in the group Home Server Admins",
        "app.foregate.localhost allow",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(scene.foregate.logged("secret"), 0, "no query is told");
    let before = denied();
    let lines = ["Host: proxied.foregate.localhost", &scene.cookie("bob")];
    let reply = raw(scene.foregate.public, request("GET", "/told", &lines, "").as_bytes());
    assert_eq!((reply.status, denied() - before), (200, 1), "as the proxy");
    assert_eq!(raw(scene.foregate.public, request("GET", "/x", &lines[..1], "").as_bytes()).status, 401);
}
