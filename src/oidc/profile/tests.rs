//! How claims become a profile.

use serde_json::json;
use url::Url;

use super::super::settings::ClaimNames;
use super::*;

fn settings(names: ClaimNames) -> Settings {
    Settings {
        issuer: Url::parse("https://id.test/").unwrap(),
        issuer_text: "https://id.test".into(),
        client_id: "me".into(),
        client_secret: None,
        client_auth: None,
        scopes: None,
        prompt: None,
        internal_url: None,
        claims: names,
        redirect_uri: Url::parse("https://auth.test/cb").unwrap(),
        require_verified_email: false,
    }
}

fn claims(value: &Value) -> Claims {
    value.as_object().unwrap().clone()
}

fn mapped(value: Value) -> Mapped {
    let Value::Object(claims) = value else { panic!("no object") };
    map(&claims, &settings(ClaimNames::default())).unwrap()
}

#[test]
fn the_usual_claims_become_the_usual_fields() {
    let found = mapped(json!({
        "iss": "https://evil.test/", "sub": "s-1", "aud": "me", "exp": 1, "iat": 100, "nonce": "n", "at_hash": "h",
        "sid": "x", "azp": "me", "auth_time": 90.7, "acr": "mfa", "amr": ["pwd"], "preferred_username": "zoë",
        "name": "Zoë Ü", "email": "z@test", "email_verified": false, "groups": ["b", "a", "b", ""], "team": {"x": 1},
    }));
    let profile = found.profile;
    assert_eq!((profile.issuer.as_str(), profile.subject.as_str()), ("https://id.test", "s-1"));
    assert_eq!((profile.username.as_str(), profile.name.as_str()), ("zoë", "Zoë Ü"));
    assert_eq!((profile.email.as_str(), profile.auth_time), ("z@test", 90));
    assert_eq!(profile.groups, ["b", "a"]);
    let mut names: Vec<&str> = profile.claims.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["acr", "amr", "email", "email_verified", "groups", "name", "preferred_username", "sub", "team"]
    );
    assert_eq!(found.warnings, []);
}

#[test]
fn what_is_missing_is_empty_and_the_subject_stands_in() {
    for over in [json!({}), json!({"preferred_username": ""}), json!({"preferred_username": ["x"]})] {
        let mut value = json!({"sub": "s-1"});
        value.as_object_mut().unwrap().extend(claims(&over));
        let profile = mapped(value).profile;
        assert_eq!(
            (profile.username.as_str(), profile.name.as_str(), profile.email.as_str()),
            ("s-1", "", "")
        );
        assert_eq!((profile.groups.len(), profile.auth_time), (0, 0));
        assert!(profile.nameless, "and is nobody's name: {over}");
    }
    assert!(!mapped(json!({"sub": "s-1", "preferred_username": "s-1"})).profile.nameless, "told");
    let by_subject = settings(ClaimNames { username: "sub".into(), ..ClaimNames::default() });
    let profile = map(&claims(&json!({"sub": "s-1"})), &by_subject).unwrap().profile;
    assert_eq!((profile.username.as_str(), profile.nameless), ("s-1", false), "asked for");
    for value in [json!({}), json!({"sub": ""}), json!({"sub": 1})] {
        assert_eq!(
            map(&claims(&value), &settings(ClaimNames::default())).unwrap_err(),
            ProfileError::NoSubject
        );
    }
}

#[test]
fn groups_come_in_many_shapes() {
    let unreadable = |count| vec![Warning::GroupsUnreadable { count }];
    for (value, expected, warnings) in [
        (json!(["a b", "c,d"]), vec!["a b", "c,d"], vec![]),
        (json!("a b, c ,,d"), vec!["a b", "c", "d"], vec![]),
        (
            json!("x,\u{a0}admins, y\t,\u{2003}z\u{85}"),
            vec!["x", "\u{a0}admins", "y", "\u{2003}z\u{85}"],
            vec![],
        ),
        (json!(["\u{a0}admins"]), vec!["\u{a0}admins"], vec![]),
        (json!(""), vec![], vec![]),
        (json!({"admin": {"org": "x"}, "user": {}}), vec!["admin", "user"], vec![]),
        (json!({"admin": false, "x": null, "user": true}), vec!["user"], vec![]),
        (json!(null), vec![], vec![]),
        (json!([1, "a", null, {"name": "b"}]), vec!["1", "a"], unreadable(2)),
        (json!(true), vec![], unreadable(1)),
        (json!(7), vec![], unreadable(1)),
    ] {
        let found = mapped(json!({"sub": "s", "groups": value}));
        assert_eq!(found.profile.groups, expected, "{value}");
        assert_eq!(found.warnings, warnings, "{value}");
    }
}

#[test]
fn paths_lead_into_claims_and_names_may_have_dots() {
    let names = ClaimNames {
        username: "account.login".into(),
        name: "https://id.test/claims.name".into(),
        email: "a.b.c".into(),
        groups: "realm_access.roles".into(),
    };
    let value = json!({
        "sub": "s", "account": {"login": "zoe"}, "https://id.test/claims": {"name": "Zoe"}, "a.b": {"c": "z@test"},
        "a": {"b": 1}, "realm_access": {"roles": ["x"]},
    });
    let profile = map(&claims(&value), &settings(names)).unwrap().profile;
    assert_eq!(
        (profile.username.as_str(), profile.name.as_str(), profile.email.as_str()),
        ("zoe", "Zoe", "z@test")
    );
    assert_eq!(profile.groups, ["x"]);
    let names = ClaimNames {
        username: "account.login.x".into(),
        groups: "none.at.all".into(),
        ..ClaimNames::default()
    };
    let profile = map(&claims(&value), &settings(names)).unwrap().profile;
    assert_eq!((profile.username.as_str(), profile.groups.len()), ("s", 0));
}

#[test]
fn too_much_is_cut_and_told() {
    let many: Vec<String> = (0..1500).map(|index| format!("g{index}")).collect();
    let found = mapped(json!({"sub": "s", "groups": many}));
    assert_eq!(found.profile.groups.len(), 1000);
    assert_eq!(found.profile.groups[999], "g999");
    assert_eq!(found.warnings, [Warning::GroupsCut { kept: 1000, of: 1500 }]);
    let long: Vec<String> = (0..100).map(|index| format!("{index:01000}")).collect();
    let found = mapped(json!({"sub": "s", "name": "n", "groups": long, "team": "red"}));
    assert_eq!(found.profile.groups.len(), 65);
    let left_out = Warning::ClaimLeftOut { name: "groups".into() };
    assert_eq!(found.warnings, [Warning::GroupsCut { kept: 65, of: 100 }, left_out]);
    assert_eq!(found.profile.claims["team"], "red", "the largest go first");
    let value = json!({"sub": "s", "name": "n".repeat(65 * 1024)});
    assert_eq!(map(&claims(&value), &settings(ClaimNames::default())).unwrap_err(), ProfileError::TooLong);
}

#[test]
fn names_that_people_are_found_by_are_short_enough_for_an_index() {
    let settings = settings(ClaimNames::default());
    let (fits, long) = ("n".repeat(1024), "n".repeat(1025));
    for (value, passes) in [
        (json!({"sub": fits, "preferred_username": fits}), true),
        (json!({"sub": long}), false),
        (json!({"sub": "s", "preferred_username": long}), false),
        (json!({"sub": "s", "preferred_username": "\0".repeat(400)}), false),
        (json!({"sub": "s", "name": long, "email": long}), true),
    ] {
        let found = map(&claims(&value), &settings).map(drop);
        assert_eq!(found, if passes { Ok(()) } else { Err(ProfileError::TooLong) }, "{value}");
    }
    for (sid, kept) in [(json!(fits), true), (json!(long), false), (json!("a\0b"), false)] {
        assert_eq!(session_of(&claims(&json!({"sid": sid}))).is_ok(), kept, "{sid}");
    }
    assert_eq!(session_of(&claims(&json!({}))), Ok(None));
}

#[test]
fn a_verified_address_can_be_required() {
    let strict = Settings { require_verified_email: true, ..settings(ClaimNames::default()) };
    for (verified, accepted) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("false"), false),
        (json!(1), false),
        (json!(null), false),
    ] {
        let value = json!({"sub": "s", "email": "z@test", "email_verified": verified});
        let found = map(&claims(&value), &strict);
        assert_eq!(found.is_ok(), accepted, "{verified}");
    }
    assert_eq!(map(&claims(&json!({"sub": "s"})), &strict).unwrap_err(), ProfileError::EmailNotVerified);
}

#[test]
fn a_number_beyond_64_bits_is_nobodys_name() {
    let claims: Claims = serde_json::from_str(
        r#"{"sub": "s-1", "preferred_username": 100000000000000000001, "groups": [100000000000000000002, 7]}"#,
    )
    .unwrap();
    let found = mapped(Value::Object(claims));
    assert_eq!((found.profile.username.as_str(), found.profile.nameless), ("s-1", true));
    assert_eq!(found.profile.groups, ["7"]);
    assert_eq!(found.warnings, [Warning::GroupsUnreadable { count: 1 }]);
}

#[test]
fn absurd_times_of_proof_count_as_none() {
    for (proved, expected) in [
        (json!(90), 90),
        (json!(0), 0),
        (json!(-5), 0),
        (json!(1e300), 0),
        (json!("90"), 0),
        (json!(500), 100),
    ] {
        let found = mapped(json!({"sub": "s", "iat": 100, "auth_time": proved}));
        assert_eq!(found.profile.auth_time, expected, "{proved}");
    }
}

#[test]
fn userinfo_fills_in_but_cannot_touch_the_protocol() {
    let token = json!({"iss": "i", "sub": "s", "aud": "me", "nonce": "n", "sid": "x", "iat": 5, "auth_time": 4, "acr": "1", "name": "Old"});
    let userinfo = json!({
        "iss": "e", "sub": "e", "aud": "e", "nonce": "e", "sid": "e", "iat": 9, "auth_time": 9, "acr": "9", "amr": ["e"],
        "exp": 9, "events": {}, "name": "New", "groups": ["a"],
    });
    let merged = merge(claims(&token), claims(&userinfo), &ClaimNames::default());
    let expected = json!({
        "iss": "i", "sub": "s", "aud": "me", "nonce": "n", "sid": "x", "iat": 5, "auth_time": 4, "acr": "1", "name": "New",
        "groups": ["a"],
    });
    assert_eq!(Value::Object(merged), expected);
}

#[test]
fn a_nul_is_in_nothing_that_is_kept() {
    let found = mapped(json!({
        "sub": "s-1", "preferred_username": "a\0b", "name": "\0", "groups": ["x\0", "y"],
        "team": {"deep": ["\0"]}, "good": "a",
    }));
    let kept = serde_json::to_string(&found.profile).unwrap();
    assert!(!kept.contains("\\u0000"), "{kept}");
    assert_eq!(found.profile.username, "a\u{fffd}b");
    assert_eq!(found.profile.groups, ["x\u{fffd}", "y"]);
    assert_eq!(
        mapped(json!({"sub": "s", "groups": {"x\0": {}, "y": {}}})).profile.groups,
        ["x\u{fffd}", "y"]
    );
    assert!(found.profile.claims.contains_key("good") && !found.profile.claims.contains_key("team"));
    let refused = map(&claims(&json!({ "sub": "s\x001" })), &settings(ClaimNames::default()));
    assert!(matches!(refused, Err(ProfileError::NoSubject)));
}

#[test]
fn a_claim_that_vouches_for_another_counts_beside_that_value_alone() {
    let (mine, boss) = ("mallory@evil.test", "boss@example.com");
    for (token, userinfo, expected) in [
        // Both of one source, each for itself.
        (json!({"email": mine, "email_verified": true}), json!({}), Some(mine)),
        (json!({}), json!({"email": mine, "email_verified": true}), Some(mine)),
        (json!({"email": boss}), json!({"email": mine, "email_verified": true}), Some(mine)),
        (
            json!({"email": mine, "email_verified": false}),
            json!({"email": mine, "email_verified": true}),
            Some(mine),
        ),
        // The very same address, which the token vouches for.
        (json!({"email": mine, "email_verified": true}), json!({"email": mine}), Some(mine)),
        // One source's address by the other's word.
        (json!({"email": mine, "email_verified": true}), json!({"email": boss}), None),
        (json!({"email_verified": true}), json!({"email": boss}), None),
        (json!({"email": boss}), json!({"email_verified": true}), None),
        (json!({"email": boss, "email_verified": false}), json!({"email_verified": "true"}), None),
        (
            json!({"email": mine, "email_verified": true}),
            json!({"email": boss, "email_verified": false}),
            None,
        ),
        // A no to nothing in particular is one.
        (json!({"email": mine, "email_verified": true}), json!({"email_verified": false}), None),
    ] {
        let strict = Settings { require_verified_email: true, ..settings(ClaimNames::default()) };
        let mut merged = merge(claims(&token), claims(&userinfo), &strict.claims);
        merged.insert("sub".into(), "s".into());
        let found = map(&merged, &strict).map(|mapped| mapped.profile.email).ok();
        assert_eq!(found.as_deref(), expected, "{token} {userinfo}");
        let rules = mapped(Value::Object(merged)).profile.claims;
        let told = rules.get("email_verified").is_some_and(|said| said == true || said == "true");
        assert_eq!(told, expected.is_some(), "rules see no more: {token} {userinfo}");
    }
    let phones = merge(
        claims(&json!({"phone_number": "1", "phone_number_verified": true})),
        claims(&json!({"phone_number": "2"})),
        &ClaimNames::default(),
    );
    assert_eq!(Value::Object(phones), json!({"phone_number": "2"}));
}

#[test]
fn a_verified_address_is_the_one_that_is_taken() {
    let names = ClaimNames { email: "work.mail".into(), ..ClaimNames::default() };
    let strict = Settings { require_verified_email: true, ..settings(names) };
    let (mine, boss) = ("mallory@evil.test", "boss@example.com");
    for (token, userinfo, accepted) in [
        (json!({"work": {"mail": boss}, "email_verified": true}), json!({}), true),
        (
            json!({"work": {"mail": boss}, "email": "Boss@Example.com", "email_verified": true}),
            json!({}),
            true,
        ),
        (json!({"work": {"mail": boss}, "email": mine, "email_verified": true}), json!({}), false),
        (json!({"email": mine, "email_verified": true}), json!({"work": {"mail": boss}}), false),
        (json!({"work": {"mail": boss}}), json!({"email": mine, "email_verified": true}), false),
    ] {
        let mut merged = merge(claims(&token), claims(&userinfo), &strict.claims);
        merged.insert("sub".into(), "s".into());
        assert_eq!(map(&merged, &strict).is_ok(), accepted, "{token} {userinfo}");
    }
}

#[test]
fn userinfo_tells_anew_what_nothing_judged_is_left_of_in_an_old_token() {
    let token = json!({"iss": "i", "sub": "s", "exp": 1, "acr": "mfa", "preferred_username": "zoë", "email": "z@test",
        "groups": ["a"], "team": "x", "realm": {"roles": ["r"]}, "shoe": 38});
    let whole = json!({"sub": "s", "preferred_username": "zoë", "email": "z@test", "groups": [], "team": "x", "realm": {}});
    let wanted = ["team", "realm.roles", "acr", "sub", "absent"].map(str::to_owned);
    let names = ClaimNames::default();
    let tells = |userinfo: &Value, wanted: &[String]| {
        tells_anew(&claims(&token), &claims(userinfo), (&names, wanted))
    };
    assert!(tells(&whole, &wanted), "also that there are no groups any more");
    for (without, counts) in
        [("groups", true), ("email", true), ("preferred_username", true), ("team", true), ("sub", false)]
    {
        let mut part = whole.clone();
        part.as_object_mut().unwrap().remove(without);
        assert_eq!(tells(&part, &wanted), !counts, "{without}");
        assert_eq!(tells(&part, &[]), !counts || without == "team", "{without}, and nothing else is wanted");
    }
    assert!(!tells(&json!({}), &[]), "there is no userinfo");
}
