//! Several providers: how they are named, and what is refused.

use std::collections::BTreeMap;

use crate::config::{Config, Environment, Findings, Loaded, show};

const HEAD: &str = "public_url = 'https://auth.example.com'\nallow = 'signed-in'\n";

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Findings> {
    let environment: Environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::from_text(Some(("f", text)), &environment)
}

fn usable(text: &str, variables: &[(&str, &str)]) -> Loaded {
    load(text, variables).unwrap_or_else(|findings| panic!("{findings}\n{text}"))
}

fn findings(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let told = load(text, variables).err();
    let all = told.iter().flat_map(|all| all.iter());
    all.map(|one| format!("{}: {}; {}", one.place, one.problem, one.fix)).collect()
}

/// A table that is complete, on lines of its own.
fn table(header: &str, issuer: &str, more: &str) -> String {
    format!("[{header}]\nissuer = 'https://{issuer}'\nclient_id = 'f'\nclient_secret = 'hunter2'\n{more}")
}

/// Two providers and these lines of apps; hosts without a line are closed.
fn two(apps: &str) -> String {
    let tables = table("providers.work", "work.test", "") + &table("providers.home", "home.test", "");
    format!("public_url = 'https://auth.example.com'\n{tables}[apps]\n{apps}")
}

fn names(loaded: &Loaded) -> Vec<(&str, &str, &str)> {
    let providers = loaded.config.providers.iter();
    providers.map(|one| (&*one.name, one.title.as_str(), one.settings.issuer_text.as_str())).collect()
}

fn issuers(loaded: &Loaded) -> Vec<(&str, String)> {
    let joined = |issuers: &Option<std::sync::Arc<[Box<str>]>>| {
        issuers.as_ref().map_or_else(|| "everybody's".to_owned(), |issuers| issuers.join(" "))
    };
    let apps = loaded.config.apps.iter().map(|app| (app.name.as_str(), joined(&app.issuers)));
    apps.chain([("", joined(&loaded.config.issuers))]).collect()
}

#[test]
fn providers_come_in_the_order_of_the_text_under_their_names() {
    let text = format!(
        "{HEAD}{}{}{}",
        table("providers.work", "work.test/a", "title = 'The office'\n"),
        table("provider", "id.test/", ""),
        table("providers.my-home", "home.test", "claims.groups = 'roles'\nrequire_verified_email = true\n"),
    );
    let loaded = usable(&text, &[]);
    assert_eq!(
        names(&loaded),
        [
            ("work", "The office", "https://work.test/a"),
            ("default", "id.test", "https://id.test/"),
            ("my-home", "my-home", "https://home.test"),
        ]
    );
    let [work, _, home] = loaded.config.providers.as_slice() else { panic!("{loaded:?}") };
    assert_eq!((&*work.settings.claims.groups, &*home.settings.claims.groups), ("groups", "roles"));
    assert!(!work.settings.require_verified_email && home.settings.require_verified_email);
    assert_eq!(home.settings.redirect_uri.as_str(), "https://auth.example.com/.foregate/callback");
}

#[test]
fn variables_make_and_change_providers() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "hunter3\n").unwrap();
    let file = secret.display().to_string();
    let text = HEAD.to_owned() + &table("providers.my-home", "home.test", "");
    let loaded = usable(
        &text,
        &[
            ("FOREGATE_PROVIDERS__MY_HOME__TITLE", "Home, sweet home"),
            ("FOREGATE_PROVIDERS__MY_HOME__CLAIMS__GROUPS", "roles"),
            ("FOREGATE_PROVIDERS__WORK__ISSUER", "https://work.test"),
            ("FOREGATE_PROVIDERS__WORK__CLIENT_ID", "f"),
            ("FOREGATE_PROVIDERS__WORK__CLIENT_SECRET_FILE", &file),
            ("FOREGATE_PROVIDERS__WORK__SCOPES", "openid,groups"),
        ],
    );
    assert_eq!(
        names(&loaded),
        [("my-home", "Home, sweet home", "https://home.test"), ("work", "work", "https://work.test")]
    );
    let [home, work] = loaded.config.providers.as_slice() else { panic!("{loaded:?}") };
    assert_eq!(home.settings.claims.groups, "roles");
    assert_eq!(work.settings.client_secret.as_ref().map(|secret| secret.expose()), Some("hunter3"));
    assert_eq!(work.settings.scopes.as_deref(), Some(&["openid".to_owned(), "groups".to_owned()][..]));

    let shown = show(&loaded);
    let lines: BTreeMap<&str, String> = shown
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name, rest.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect();
    for (name, rest) in [
        ("providers.my-home.issuer", "\"https://home.test\" f:4".to_owned()),
        ("providers.my-home.client_secret", "*** f:6".to_owned()),
        (
            "providers.my-home.title",
            "\"Home, sweet home\" environment FOREGATE_PROVIDERS__MY_HOME__TITLE".to_owned(),
        ),
        ("providers.work.title", "\"work\" default".to_owned()),
        ("providers.work.claims.name", "\"name\" default".to_owned()),
        (
            "providers.work.client_secret",
            format!("*** environment FOREGATE_PROVIDERS__WORK__CLIENT_SECRET_FILE, from the file {file}"),
        ),
    ] {
        assert_eq!(lines.get(name), Some(&rest), "{shown}");
    }
    assert!(!shown.lines().any(|line| line.starts_with("provider.")), "{shown}");
    assert!(!shown.contains("hunter") && !format!("{loaded:?}").contains("hunter"), "{shown}");
}

#[test]
fn an_app_takes_people_of_those_it_names_and_else_of_any() {
    let apps = "'a.example.com' = { allow = 'signed-in', provider = 'home' }\n\
                'b.example.com' = { allow = 'signed-in', provider = ['home', 'work'] }\n\
                'c.example.com' = 'signed-in'\n";
    assert_eq!(
        issuers(&usable(&two(apps), &[])),
        [
            ("a.example.com", "https://home.test".to_owned()),
            ("b.example.com", "https://work.test https://home.test".to_owned()),
            ("c.example.com", "https://work.test https://home.test".to_owned()),
            ("", "https://work.test https://home.test".to_owned()),
        ]
    );
    let one = HEAD.to_owned() + &table("provider", "id.test", "[apps]\n'a.example.com' = 'signed-in'\n");
    let named = one.replace("'signed-in'\n", "{ allow = 'signed-in', provider = 'default' }\n").replacen(
        "allow = { allow = 'signed-in', provider = 'default' }",
        "allow = 'signed-in'",
        1,
    );
    let open = "everybody's".to_owned();
    assert_eq!(issuers(&usable(&one, &[])), [("a.example.com", open.clone()), ("", open.clone())]);
    assert_eq!(issuers(&usable(&named, &[])), [("a.example.com", "https://id.test".to_owned()), ("", open)]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_cannot_be_meant_is_refused_with_its_place() {
    let work = table("providers.work", "work.test", "");
    for (text, wanted) in [
        (
            format!("{HEAD}{work}{}", table("providers.job", "WORK.test/", "")),
            "f:7:12: `job` has the same issuer as `work`; keep one of the two: whoever an issuer vouches for is one person in all apps",
        ),
        (
            format!("{HEAD}{work}{}", table("provider", "work.test", "")),
            "f:7:2: `default` has the same issuer as `work`; keep one of the two: whoever an issuer vouches for is one person in all apps",
        ),
        (
            format!("{HEAD}{work}{}", table("providers.job", "job.test", "title = 'work'\n")),
            "f:7:12: `job` has the same title as `work`; give one of them another title",
        ),
        (
            format!("{HEAD}{}{}", table("provider", "a.test", ""), table("providers.default", "b.test", "")),
            "f:7:12: [provider] and [providers.default] have one name; give the second another name",
        ),
        (
            HEAD.to_owned() + &table("providers.Work", "work.test", ""),
            "f:3:12: `Work` is not a name for a provider; write up to 40 small letters and digits, with single dashes between them",
        ),
        (
            HEAD.to_owned() + &table("providers.'my.idp'", "work.test", ""),
            "f:3:12: `my.idp` is not a name for a provider; write up to 40 small letters and digits, with single dashes between them",
        ),
        (
            format!("{HEAD}{work}isuer = 'x'\n"),
            "f:7:1: `isuer` is not a setting of [providers.work]; did you mean `issuer`?",
        ),
        (
            format!("{HEAD}{work}[providers.work.claims]\nname = ''\n"),
            "f:8:8: `providers.work.claims.name` is empty; write a value, or remove it",
        ),
        (
            format!("{HEAD}{}", work.replace("client_id = 'f'\n", "")),
            "f:3:12: `providers.work.client_id` is not set; write client_id = \"foregate\" below [providers.work], or set FOREGATE_PROVIDERS__WORK__CLIENT_ID",
        ),
        (
            format!("{HEAD}{}", work.replace("client_secret = 'hunter2'\n", "")),
            "f:3:12: `providers.work.client_secret` is not set; name its file in client_secret_file below [providers.work], or write client_auth = \"none\" for a public client",
        ),
        (
            format!("{HEAD}{work}client_auth = 'none'\n"),
            "f:6:17: `providers.work.client_secret` has no effect with client_auth = \"none\"; remove one of the two",
        ),
        (
            format!("{HEAD}[providers]\n"),
            "f:3:2: `providers` names no provider; remove it, or write a table such as [providers.work] for each provider",
        ),
        (
            format!("{HEAD}{work}[[provider]]\nissuer = 'https://x'\n"),
            "f:7:3: `provider` is a table, not a value; write `[provider]` on a line of its own, and its settings below it",
        ),
        (
            two("'a.example.com' = { allow = 'signed-in', provider = 'hom' }\n'b.example.com' = 'public'\n"),
            "f:11:53: there is no provider `hom`; did you mean `home`?",
        ),
        (
            two(
                "'a.example.com' = { allow = 'signed-in', provider = ['home', 'google'] }\n'b.example.com' = 'public'\n",
            ),
            "f:11:62: there is no provider `google`; write one of work, home, or add a table [providers.NAME]",
        ),
        (
            two("'a.example.com' = { allow = 'signed-in', provider = ['home', 'home', 'work'] }\n"),
            "f:11:62: `home` stands there twice; remove one of the two",
        ),
        (
            two("'a.example.com' = { allow = 'signed-in', provider = [] }\n'b.example.com' = 'public'\n"),
            "f:11:53: `provider` names nobody; remove it for any provider, or name those you mean",
        ),
        (
            two("'a.example.com' = { allow = 'signed-in', provider = true }\n'b.example.com' = 'public'\n"),
            "f:11:53: `provider` is true or false; write a name, or an array of names",
        ),
        (
            two("'a.example.com' = { allow = 'signed-in', provider = [5] }\n'b.example.com' = 'public'\n"),
            "f:11:54: this entry of `provider` is a number; write a name",
        ),
        (
            two("'a.example.com' = { allow = 'signed-in', provider = 'home' }\n"),
            "f:2:12: nobody ever signs in at `work`: every app names other providers; name it in the `provider` of an app, or remove its table",
        ),
        (
            two("'a.example.com' = { rules = [{ allow = 'signed-in', provider = 'home' }] }\n"),
            "f:11:53: `provider` is not a setting of a rule; remove it; a rule has path, methods, query, allow, mode, meanwhile, max_auth_age, acr, amr",
        ),
    ] {
        let told = findings(&text, &[]);
        assert!(told.iter().any(|one| one.starts_with(wanted)), "{wanted}\n{told:#?}\n{text}");
        assert!(!told.iter().any(|one| one.contains("hunter2")), "{told:?}");
    }
}

#[test]
fn a_slip_in_a_variable_finds_its_word_and_hides_its_value() {
    let text = HEAD.to_owned() + &table("provider", "id.test", "");
    for (name, fix) in [
        ("FOREGATE_PROVIDERS__WORK__ISUER", "did you mean FOREGATE_PROVIDERS__WORK__ISSUER?"),
        ("FOREGATE_PROVIDERS__MY_IDP__CLIENTID", "did you mean FOREGATE_PROVIDERS__MY_IDP__CLIENT_ID?"),
        ("FOREGATE_PROVIDERS__WORK", "remove the variable; `foregate config show` lists all settings"),
    ] {
        let told = findings(&text, &[(name, "hunter2")]);
        assert_eq!(told, [format!("{name}: this variable is not a setting; {fix}")]);
    }
}
