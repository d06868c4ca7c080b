//! Whom each kind of term admits, and what it says is missing.

use std::borrow::Cow;

use http::{HeaderMap, Method};
use serde_json::json;

use super::*;
use crate::identity::{Profile, Role, Roles};
use crate::policy::{PathPattern, Terms};
use crate::visit::{
    AskedTenant, Authorization, Client, Credential, Destination, Nearest, Overrides, Path, Scheme, Target,
};

fn bob() -> Identity {
    let profile = Profile {
        username: "bob".into(),
        email: "bob@example.com".into(),
        groups: ["family", "a|b", "kb-owner:7"].map(String::from).to_vec(),
        claims: [("team".to_owned(), json!("red")), ("org".to_owned(), json!({ "ids": [7, "x"] }))]
            .into_iter()
            .collect(),
        ..Profile::default()
    };
    Identity::pack(&profile, "i".into(), &["team".to_owned(), "org.ids".to_owned()])
}

fn roles() -> Roles {
    let role = |name: &str, group: &str, inherits: &str, permission: &str| Role {
        name: name.into(),
        groups: vec![group.into()],
        inherits: inherits.split_whitespace().map(str::to_owned).collect(),
        permissions: vec![permission.into()],
        ..Role::default()
    };
    Roles::new(&[
        role("viewer", "readers", "", "kb:read"),
        role("editor", "family", "viewer", "kb:create"),
        role("admin", "chiefs", "editor", "kb:delete"),
    ])
}

fn parse(term: &str) -> Requirement {
    let (roles, path) = (roles(), PathPattern::parse("/kb/{kb_id}/**").unwrap());
    Terms { roles: &roles, path: Some(&path), tenants: true }.parse(term).unwrap()
}

fn visit<'r>(path: &'r str, client: Option<Client<'r>>) -> Visit<'r> {
    let target = Target {
        scheme: Scheme::Https,
        host: Cow::Borrowed("kb.test"),
        path: Path::parse(path.as_bytes()).unwrap(),
        query: None,
        method: Method::GET,
        overrides: Overrides::Nowhere,
        destination: Destination::Nowhere,
    };
    let (authorization, tenant) = (Authorization::default(), AskedTenant::Nothing);
    Visit { target, credential: Credential::None, authorization, tenant, client }
}

#[test]
fn a_subject_in_the_place_of_a_name_is_nobody_that_a_term_names() {
    let profile = Profile {
        subject: "bob".into(),
        username: "bob".into(),
        nameless: true,
        claims: [("sub".to_owned(), json!("bob"))].into_iter().collect(),
        ..Profile::default()
    };
    let nameless = Identity::pack(&profile, "i".into(), &["sub".to_owned()]);
    for (term, admitted) in [("user:bob", false), ("claim:sub=bob", true), ("signed-in", true)] {
        assert_eq!(parse(term).met_by(Some(&nameless), &visit("/kb/bob/x", None)), admitted, "{term}");
    }
    let captured = parse("user:{kb_id}");
    assert!(!captured.met_by(Some(&nameless), &visit("/kb/bob/x", None)));
    assert!(captured.met_by(Some(&bob()), &visit("/kb/bob/x", None)));
}

#[test]
fn a_term_admits_whom_it_names_and_no_one_else() {
    for (term, anyone, bob_too) in [
        ("public", true, true),
        ("nobody", false, false),
        ("signed-in", false, true),
        ("user:bob", false, true),
        ("user:Bob", false, false),
        ("user:bo", false, false),
        ("group:family", false, true),
        ("group:a|b", false, true),
        ("group:a", false, false),
        ("group:Family", false, false),
        ("email:*@example.com", false, true),
        ("email:bob@example.com", false, true),
        ("email:*@example.org", false, false),
        ("role:editor", false, true),
        ("role:viewer", false, true),
        ("role:admin", false, false),
        ("permission:kb:create", false, true),
        ("permission:kb:read", false, true),
        ("permission:kb:delete", false, false),
        ("claim:team=red", false, true),
        ("claim:team=re", false, false),
        ("claim:team=", false, false),
        ("claim:org.ids=7", false, true),
        ("claim:org.ids=x", false, true),
        ("claim:org.ids=8", false, false),
        ("claim:nothing=", false, false),
        ("group:kb-owner:{kb_id}", false, true),
        ("claim:org.ids={kb_id}", false, true),
        ("user:{kb_id}", false, false),
    ] {
        let (wanted, visit) = (parse(term), visit("/kb/7/x", None));
        assert_eq!(wanted.met_by(None, &visit), anyone, "{term}");
        assert_eq!(wanted.met_by(Some(&bob()), &visit), bob_too, "{term}");
        assert_eq!(wanted.admits_strangers(), anyone, "{term}");
        assert_eq!(wanted.can_be_met_at(&visit), term != "nobody", "{term}");
    }
}

#[test]
fn a_captured_name_is_the_segment_as_it_was_sent() {
    let owner = parse("group:kb-owner:{kb_id}");
    for (path, owns) in [
        ("/kb/7", true),
        ("/kb/7/", true),
        ("/%6bb/7", true),
        ("/kb/8", false),
        ("/kb/07", false),
        ("/kb/%37", false),
        ("/kb/7%20", false),
        ("/kb/7:x", false),
        ("/kb/", false),
        ("/kb", false),
    ] {
        assert_eq!(owner.met_by(Some(&bob()), &visit(path, None)), owns, "{path}");
    }
    let hopeless = visit("/kb/%37", None);
    assert!(!owner.can_be_met_at(&hopeless), "no sign-in helps where the path names nothing");
    assert_eq!(owner.missing(None, &hopeless), ["membership in the group kb-owner:{kb_id}"]);
    assert_eq!(owner.missing(None, &visit("/kb/8", None)), ["membership in the group kb-owner:8"]);
}

#[test]
fn a_network_is_where_the_visitor_surely_is() {
    let nothing = HeaderMap::new();
    let from = |address: &str| Client::new(Nearest::Visitor(address.parse().unwrap()), &nothing, &[]);
    let silent = Client::new(Nearest::Proxy("10.0.0.1".parse().unwrap()), &nothing, &[]);
    for (term, client, met) in [
        ("network:10.0.0.0/8", Some(from("10.1.2.3")), true),
        ("network:10.0.0.0/8", Some(from("11.1.2.3")), false),
        ("network:10.1.2.3", Some(from("10.1.2.3")), true),
        ("network:2001:db8::/32", Some(from("2001:db8::7")), true),
        ("network:0.0.0.0/1", Some(from("2001:db8::7")), false),
        ("network:10.0.0.0/8", Some(silent), false),
        ("network:0.0.0.0/1", None, false),
    ] {
        let (wanted, visit) = (parse(term), visit("/", client));
        assert_eq!(wanted.met_by(None, &visit), met, "{term} {client:?}");
        assert_eq!(wanted.can_be_met_at(&visit), met, "{term}: no sign-in moves anybody");
        assert!(wanted.admits_strangers());
        let both = Requirement::All(vec![wanted, Requirement::SignedIn]);
        assert_eq!(both.met_by(Some(&bob()), &visit), met);
        assert!(!both.met_by(None, &visit) && !both.admits_strangers());
    }
}

#[test]
fn empty_combinations_admit_nobody() {
    let here = visit("/", None);
    for wanted in [Requirement::Any(vec![]), Requirement::All(vec![])] {
        assert!(!wanted.met_by(Some(&bob()), &here) && !wanted.can_be_met());
        assert!(!wanted.can_be_met_at(&here) && !wanted.admits_strangers());
    }
}

#[test]
fn what_is_missing_is_what_somebody_does_not_have() {
    let both =
        Requirement::All(vec![parse("group:family"), parse("role:admin"), parse("network:10.0.0.0/8")]);
    let here = visit("/", None);
    assert!(!both.met_by(Some(&bob()), &here) && both.can_be_met());
    assert_eq!(
        both.missing(Some(&bob()), &here),
        ["the role admin, together with a visit from a certain network"]
    );
    assert_eq!(
        both.missing(None, &here),
        [
            "membership in the group family, together with the role admin, together with a visit from a certain network"
        ]
    );
    let either =
        Requirement::Any(vec![parse("permission:kb:delete"), parse("claim:team=blue"), parse("user:x")]);
    assert_eq!(
        either.missing(Some(&bob()), &here),
        ["the permission kb:delete", "a certain value of team", "a certain account"]
    );
}
