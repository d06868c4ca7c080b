//! Which rule decides, for every kind of host, prefix, path and method.

use std::borrow::Cow;

use http::Method;

use super::*;
use crate::headers::Person;
use crate::identity::{Field, Identity, Profile, Proof};
use crate::visit::{self, Credential, Path, Scheme, Visit};

fn term(text: &str) -> Requirement {
    Terms { roles: &Roles::default(), path: None, tenants: true }.parse(text).unwrap()
}

fn visit(host: &'static str) -> Visit<'static> {
    let path = Path::parse(b"/").unwrap();
    let target = Target {
        scheme: Scheme::Https,
        host: host.into(),
        path,
        query: None,
        method: Method::GET,
        overrides: visit::Overrides::Nowhere,
        destination: Destination::Nowhere,
    };
    Visit {
        target,
        credential: Credential::None,
        authorization: visit::Authorization::default(),
        tenant: visit::AskedTenant::Nothing,
        client: None,
    }
}

fn app(key: &str, allow: &str, rules: &[(&str, &str, &str)]) -> App {
    let (host, prefix) =
        key.split_once('/').map_or((key, None), |(host, path)| (host, Some(format!("/{path}"))));
    let rules = rules
        .iter()
        .map(|(path, methods, allow)| {
            let path = (!path.is_empty()).then(|| PathPattern::parse(path).unwrap());
            let methods = methods.split_whitespace().map(|method| method.parse().unwrap()).collect();
            Rule::new((*allow).to_owned(), path, methods, term(allow))
        })
        .collect();
    App {
        name: key.to_owned(),
        host: HostPattern::parse(host).unwrap(),
        prefix,
        port: None,
        rules,
        last: Rule::new(allow.to_owned(), None, Vec::new(), term(allow)),
        headers: Arc::new(HeaderSet::preset("remote").unwrap()),
        route: None,
        assertion: false,
        limits: Limits::default(),
        issuers: None,
        emergency: false,
        tenants: None,
    }
}

const NOW: u64 = 2000;

fn own() -> App {
    app("auth.test", "nobody", &[("/.foregate/sign-in", "", "public")])
}

#[test]
fn our_own_pages_are_open_by_their_exact_names_on_our_own_host() {
    let policy = Policy::new(vec![app("auth.test", "group:staff", &[])], own(), None);
    for (host, path, decision) in [
        ("auth.test", "/.foregate/sign-in", "auth.test public"),
        ("auth.test", "/%2efo%72egate/sign-in", "auth.test group:staff"),
        ("auth.test", "/.foregate/sign-in/x", "auth.test group:staff"),
        ("auth.test", "/.foregate/other", "auth.test group:staff"),
        ("auth.test", "/.foregate//sign-in", "auth.test group:staff"),
        ("other.test", "/.foregate/sign-in", "unknown"),
    ] {
        assert_eq!(decide(&policy, host, path, "GET"), decision, "{host}{path}");
    }
}

fn decide(policy: &Policy, host: &str, path: &str, method: &str) -> String {
    let target = Target {
        scheme: Scheme::Https,
        host: Cow::Borrowed(host),
        path: Path::parse(path.as_bytes()).unwrap(),
        query: None,
        method: method.parse().unwrap(),
        overrides: visit::Overrides::Nowhere,
        destination: Destination::Nowhere,
    };
    match policy.rule_for(&target) {
        Ruling::Rule(app, rule) => format!("{} {}", app.name, rule.name),
        Ruling::UnknownHost => "unknown".to_owned(),
        Ruling::AmbiguousPath => "ambiguous".to_owned(),
        Ruling::AmbiguousQuery => "ambiguous query".to_owned(),
        Ruling::AmbiguousMethod => "ambiguous method".to_owned(),
        Ruling::OtherDestination => "other destination".to_owned(),
    }
}

#[test]
fn the_most_specific_line_decides() {
    let policy = Policy::new(
        vec![
            app("wiki.test", "signed-in", &[]),
            app("*.test", "group:staff", &[]),
            app("shared.test/a", "user:a", &[]),
            app("shared.test/a/b", "user:b", &[]),
        ],
        own(),
        None,
    );
    for (host, path, decision) in [
        ("wiki.test", "/", "wiki.test signed-in"),
        ("other.test", "/", "*.test group:staff"),
        ("deep.other.test", "/", "unknown"),
        ("test", "/", "unknown"),
        ("evilwiki.test", "/", "*.test group:staff"),
        ("shared.test", "/a", "shared.test/a user:a"),
        ("shared.test", "/a/x", "shared.test/a user:a"),
        ("shared.test", "/a/b/c", "shared.test/a/b user:b"),
        ("shared.test", "/ab", "unknown"),
        ("shared.test", "/", "unknown"),
    ] {
        assert_eq!(decide(&policy, host, path, "GET"), decision, "{host}{path}");
    }
}

#[test]
fn rules_are_tried_in_order_before_the_apps_own_allow() {
    let rules =
        [("/health", "", "public"), ("/api/**", "GET", "signed-in"), ("/api/**", "", "group:writers")];
    let policy = Policy::new(vec![app("kb.test", "group:kb", &rules)], own(), None);
    for (path, method, decision) in [
        ("/health", "GET", "kb.test public"),
        ("/health", "DELETE", "kb.test public"),
        ("/api/x", "GET", "kb.test signed-in"),
        ("/api/x", "HEAD", "kb.test signed-in"),
        ("/api/x", "POST", "kb.test group:writers"),
        ("/%61pi/x", "POST", "kb.test group:writers"),
        ("/", "GET", "kb.test group:kb"),
    ] {
        assert_eq!(decide(&policy, "kb.test", path, method), decision, "{method} {path}");
    }
}

#[test]
fn an_ambiguous_path_is_never_judged_by_its_looks() {
    let policy = Policy::new(
        vec![
            app("rules.test", "signed-in", &[("/public/**", "", "public")]),
            app("plain.test", "signed-in", &[]),
            app("open.test", "public", &[]),
            app("part.test/a", "public", &[]),
        ],
        own(),
        None,
    );
    for path in ["/public/a%2fb", "/public//x", "/public/a;x", "/x%5cy"] {
        assert_eq!(decide(&policy, "rules.test", path, "GET"), "ambiguous", "{path}");
        assert_eq!(decide(&policy, "plain.test", path, "GET"), "plain.test signed-in", "{path}");
        assert_eq!(decide(&policy, "open.test", path, "GET"), "ambiguous", "{path}");
        assert_eq!(decide(&policy, "part.test", path, "GET"), "ambiguous", "{path}");
    }
}

#[test]
fn unnamed_hosts_fall_back_only_within_the_domain() {
    let fallback = Fallback { app: app("fallback", "signed-in", &[]), within: "example.com".into() };
    let policy = Policy::new(vec![app("wiki.example.com", "public", &[])], own(), Some(fallback));
    for (host, decision) in [
        ("wiki.example.com", "wiki.example.com public"),
        ("any.example.com", "fallback signed-in"),
        ("a.b.example.com", "fallback signed-in"),
        ("example.com", "fallback signed-in"),
        ("evilexample.com", "unknown"),
        ("example.com.evil.test", "unknown"),
    ] {
        assert_eq!(decide(&policy, host, "/", "GET"), decision, "{host}");
    }
    assert_eq!(policy.app_of("any.example.com").map(|app| app.name.as_str()), Some("fallback"));
    assert!(policy.app_of("evilexample.com").is_none());
}

#[test]
fn signing_in_is_offered_only_where_it_could_help() {
    let staff = app("a.test", "group:staff", &[]);
    assert!(matches!(staff.last.admits(&staff, None, &visit("a.test"), NOW), Decision::SignIn));
    let closed = app("b.test", "nobody", &[]);
    assert!(
        matches!(closed.last.admits(&closed, None, &visit("b.test"), NOW), Decision::Forbid(Refusal::NotAllowed { missing, .. }) if missing.is_empty())
    );
}

#[test]
fn a_limit_counts_from_its_own_moment() {
    for (idle, lifetime, now, good) in [
        (None, None, u64::MAX, true),
        (Some(60), None, 259, true),
        (Some(60), None, 260, false),
        (None, Some(150), 249, true),
        (None, Some(150), 250, false),
        (Some(60), Some(150), 249, true),
        (Some(60), Some(150), 255, false),
        (Some(60), Some(150), 50, true),
    ] {
        let limits = Limits { idle, lifetime };
        assert_eq!(limits.admit(100, 200, now), good, "{limits:?} at {now}");
    }
}

#[test]
fn people_of_an_issuer_that_an_app_does_not_take_are_nobody_there() {
    let alice = |issuer: &str| {
        let profile = Profile {
            subject: "1".into(),
            username: "alice".into(),
            email: "alice@example.com".into(),
            groups: vec!["staff".into()],
            ..Profile::default()
        };
        Some(Arc::new(Person::new(Identity::pack(&profile, issuer.into(), &[]))))
    };
    for (allow, issuers, issuer, decided) in [
        ("user:alice", Some("https://a"), "https://a", "alice"),
        ("user:alice", Some("https://a https://b"), "https://b", "alice"),
        ("user:alice", None, "https://b", "alice"),
        ("user:alice", Some("https://a"), "https://b", "sign in"),
        ("user:alice", Some("https://a"), "https://a/", "sign in"),
        ("group:staff", Some("https://a"), "https://b", "sign in"),
        ("email:*@example.com", Some("https://a"), "https://b", "sign in"),
        ("signed-in", Some("https://a"), "https://b", "sign in"),
        ("user:bob", Some("https://a"), "https://a", "forbidden"),
        ("user:bob", Some("https://a"), "https://b", "sign in"),
        ("nobody", Some("https://a"), "https://b", "forbidden"),
        ("public", Some("https://a"), "https://a", "alice"),
        ("public", Some("https://a"), "https://b", "nobody in particular"),
    ] {
        let mut app = app("a.test", allow, &[]);
        app.issuers = issuers.map(|issuers: &str| issuers.split(' ').map(Box::from).collect());
        let decision = match app.last.admits(&app, alice(issuer), &visit("a.test"), NOW) {
            Decision::Allow(grant) => grant
                .person()
                .map_or("nobody in particular", |person| person.identity().field(Field::Username))
                .to_owned(),
            Decision::SignIn => "sign in".to_owned(),
            Decision::StepUp(_) => "step up".to_owned(),
            Decision::Forbid(_) => "forbidden".to_owned(),
            Decision::BadToken(reason) => reason,
            Decision::Emergency => "emergency".to_owned(),
            Decision::Limited { .. } => "limited".to_owned(),
            Decision::Unavailable => "unavailable".to_owned(),
        };
        assert_eq!(decision, decided, "{allow} of {issuers:?} for one of {issuer}");
    }
}

#[test]
fn a_page_belongs_to_the_app_that_would_decide_about_it() {
    let fallback = Fallback { app: app("fallback", "signed-in", &[]), within: "example.com".into() };
    let apps = vec![app("a.example.com/x", "signed-in", &[]), app("a.example.com", "signed-in", &[])];
    let policy = Policy::new(apps, own(), Some(fallback));
    for (host, path, name) in [
        ("a.example.com", "/x/y", Some("a.example.com/x")),
        ("a.example.com", "/xy", Some("a.example.com")),
        ("b.example.com", "/x", Some("fallback")),
        ("b.test", "/x", None),
    ] {
        assert_eq!(policy.app_at(host, path).map(|app| app.name.as_str()), name, "{host}{path}");
    }
}

#[test]
fn a_rule_for_some_queries_is_passed_over_only_if_no_server_would_apply_it() {
    let mut app = app("a.test", "signed-in", &[("/x", "", "nobody"), ("/x", "GET", "public")]);
    let wanted = [("do".to_owned(), vec!["delete".to_owned()])];
    app.rules[0] = app.rules[0].clone().with_query(QueryPattern::new(&wanted).unwrap());
    let policy = Policy::new(vec![app], own(), None);
    for (path, query, decided) in [
        ("/x", None, "public"),
        ("/x", Some("do=show"), "public"),
        ("/x", Some("do=delete"), "nobody"),
        ("/x", Some("%64o=delete"), "nobody"),
        ("/x", Some("do=show&do=delete"), "ambiguous query"),
        ("/x", Some("DO=delete"), "ambiguous query"),
        ("/x", Some("do=show;do=delete"), "ambiguous query"),
        ("/y", Some("do=show&do=delete"), "signed-in"),
    ] {
        let target = Target {
            scheme: Scheme::Https,
            host: "a.test".into(),
            path: Path::parse(path.as_bytes()).unwrap(),
            query: query.map(str::as_bytes),
            method: Method::GET,
            overrides: visit::Overrides::Nowhere,
            destination: Destination::Nowhere,
        };
        let found = match policy.rule_for(&target) {
            Ruling::Rule(_, rule) => rule.name.clone(),
            Ruling::AmbiguousQuery => "ambiguous query".to_owned(),
            Ruling::UnknownHost
            | Ruling::AmbiguousPath
            | Ruling::AmbiguousMethod
            | Ruling::OtherDestination => "other".to_owned(),
        };
        assert_eq!(found, decided, "{path} {query:?}");
    }
}

fn rewriting(key: &str, base: Option<&str>, strip_prefix: bool, rules: &[(&str, &str, &str)]) -> App {
    let base = base.map(str::to_owned);
    let authorization = Authorization::Keep;
    let route = Route { backend: Backend(0), preserve_host: true, base, strip_prefix, authorization };
    App { route: Some(route), ..app(key, "signed-in", rules) }
}

#[test]
fn a_path_that_is_changed_on_the_way_is_judged_under_both_names() {
    let open_below = [("/a/open/**", "", "public"), ("/admin/**", "", "group:staff")];
    let open_all = [("/a/**", "", "public"), ("/open/admin/**", "POST", "group:staff")];
    let based = [("/base/**", "", "group:staff"), ("/**", "", "public")];
    for (key, base, strip, rules, method, asked, decided) in [
        ("x.test/a", None, true, &open_below[..], "GET", "/a/open/x", "/open/x"),
        ("x.test/a", None, true, &open_below, "GET", "/%61/open/x%20y", "/open/x%20y"),
        ("x.test/a", None, true, &open_below, "GET", "/a/admin/x", "sign in"),
        ("x.test/a", None, true, &open_below, "GET", "/%61/%61dmin/x", "sign in"),
        ("x.test/a", None, true, &open_below, "GET", "/a/open%2fx", "ambiguous"),
        ("x.test/a", None, true, &open_below, "GET", "/a//admin", "ambiguous"),
        ("x.test/a", None, true, &open_all, "GET", "/a", "/"),
        ("x.test/a", None, true, &open_all, "GET", "/a/", "/"),
        ("x.test/a", None, true, &open_all, "GET", "/a/open/admin/x", "/open/admin/x"),
        ("x.test/a", None, true, &open_all, "POST", "/a/open/admin/x", "sign in"),
        ("x.test/a", Some("/open"), true, &open_all, "POST", "/a/admin/x", "sign in"),
        ("x.test/a", Some("/open"), true, &open_all, "POST", "/a", "/open"),
        ("x.test/a", Some("/b/c"), false, &open_all, "GET", "/a/x", "/b/c/a/x"),
        ("x.test", Some("/base"), false, &based, "GET", "/x", "sign in"),
        ("x.test", Some("/other"), false, &based, "GET", "/x", "/other/x"),
        ("x.test", Some("/other"), false, &based, "GET", "/", "/other/"),
        ("x.test/a/b", None, true, &[("/a/b/**", "", "public")], "GET", "/a/b/c/d", "/c/d"),
    ] {
        let policy = Policy::new(vec![rewriting(key, base, strip, rules)], own(), None);
        let mut visit = visit("x.test");
        visit.target.path = Path::parse(asked.as_bytes()).unwrap();
        visit.target.method = method.parse().unwrap();
        let found = match policy.rule_for(&visit.target) {
            Ruling::Rule(app, rule) => match rule.admits(app, None, &visit, NOW) {
                Decision::Allow(grant) => grant.path().unwrap().to_owned(),
                Decision::SignIn => "sign in".to_owned(),
                Decision::StepUp(_)
                | Decision::Forbid(_)
                | Decision::BadToken(_)
                | Decision::Emergency
                | Decision::Limited { .. }
                | Decision::Unavailable => "ambiguous".to_owned(),
            },
            Ruling::UnknownHost
            | Ruling::AmbiguousPath
            | Ruling::AmbiguousQuery
            | Ruling::AmbiguousMethod
            | Ruling::OtherDestination => "ambiguous".to_owned(),
        };
        assert_eq!(found, decided, "{method} {asked}");
    }
}

#[test]
fn a_rule_that_wants_a_proof_is_open_to_nobody_without_it() {
    let proof = Proof { max_age: Some(600), ..Proof::default() };
    let person = |auth_time| {
        let profile = Profile { username: "alice".into(), auth_time, ..Profile::default() };
        Some(Arc::new(Person::new(Identity::pack(&profile, "i".into(), &[]))))
    };
    for (allow, who, decided) in [
        ("signed-in", person(1500), "allow"),
        ("signed-in", person(1399), "step up"),
        ("signed-in", person(0), "step up"),
        ("signed-in", None, "sign in"),
        ("public", None, "sign in"),
        ("public", person(0), "step up"),
        ("user:bob", person(1500), "forbid"),
        ("user:bob", person(0), "forbid"),
    ] {
        let app = app("a.test", allow, &[]);
        let rule = app.last.clone().with_proof(proof.clone());
        let found = match rule.admits(&app, who, &visit("a.test"), NOW) {
            Decision::Allow(_) => "allow",
            Decision::SignIn => "sign in",
            Decision::StepUp(_) => "step up",
            Decision::Forbid(_) => "forbid",
            Decision::BadToken(_) => "bad token",
            Decision::Emergency => "emergency",
            Decision::Limited { .. } => "limited",
            Decision::Unavailable => "unavailable",
        };
        assert_eq!(found, decided, "{allow}");
    }
}

#[test]
fn where_nothing_changes_the_backend_is_asked_for_what_was_asked() {
    let app = rewriting("x.test", None, false, &[]);
    let mut visit = visit("x.test");
    visit.target.path = Path::parse(b"/a%2fb").unwrap();
    let open = Rule::new("open".to_owned(), None, Vec::new(), Requirement::Public);
    assert!(matches!(open.admits(&app, None, &visit, NOW), Decision::Allow(grant) if grant.path().is_none()));
}
