//! Several providers in one foregate: whose people count where, who finishes which sign-in, and what people see.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;

use crate::browser::browse;
use crate::flow::is_page;
use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::house::callback_for;
use crate::support::http::{Browser, Reply, get};
use crate::support::provider::Provider;

/// A foregate between two providers that know the same people under the same subjects.
struct House {
    work: Provider,
    home: Provider,
    backend: Backend,
    foregate: Foregate,
    port: u16,
}

impl House {
    fn new() -> Self {
        Self::with(&Value::Null)
    }

    fn with(options: &Value) -> Self {
        let port = free_port();
        let public_url = format!("http://auth.foregate.localhost:{port}");
        let named = |origin: &str| {
            let told = format!("http://127.0.0.1:{port}/.foregate/backchannel-logout");
            let mut all = json!({ "publicOrigin": origin, "backchannelLogoutUri": told });
            if let (Value::Object(all), Value::Object(more)) = (&mut all, options.clone()) {
                all.extend(more);
            }
            Provider::for_foregate(&public_url, all)
        };
        // Names of their own, as cookies do not tell ports apart.
        let (work, home) = (named("http://work.localhost:PORT"), named("http://home.localhost:PORT"));
        let backend = Backend::start();
        let config = config(port, ["work", "home"], [&work, &home], &backend);
        Self { foregate: Foregate::start_at(&config, port), work, home, backend, port }
    }

    fn url(&self, host: &str, page: &str) -> String {
        format!("http://{host}.foregate.localhost:{}{page}", self.port)
    }

    /// Opens a page of an app, and signs in at the only provider it takes.
    fn sign_in(&self, browser: &mut Browser, host: &str, user: &str) -> Reply {
        browser.sign_in(&self.url(host, "/"), user)
    }

    /// Where a browser is.
    fn place(&self, browser: &Browser) -> &'static str {
        let here = browser.visited.last().expect("a page");
        match (here.host_str(), here.path()) {
            (Some("work.localhost"), path) if path.starts_with("/if/flow/login/") => "work's sign-in",
            (Some("home.localhost"), path) if path.starts_with("/if/flow/login/") => "home's sign-in",
            (Some("auth.foregate.localhost"), "/.foregate/sign-in") => "foregate's sign-in",
            (Some(host), _) if host.ends_with(".foregate.localhost") => "an app",
            _ => "elsewhere",
        }
    }

    fn tokens_asked(&self) -> [usize; 2] {
        [self.work.asked("/token/"), self.home.asked("/token/")]
    }
}

fn config(
    port: u16,
    [work_name, home_name]: [&str; 2],
    [work, home]: [&Provider; 2],
    backend: &Backend,
) -> String {
    let upstream = backend.url();
    let table = |name: &str, title: &str, provider: &Provider| {
        let table = provider.table(&format!("providers.{name}"));
        format!("{table}title = \"{title}\"\ninternal_url = \"http://127.0.0.1:{}\"\n", provider.port)
    };
    let work = table(work_name, "The Office & Co", work);
    let home = table(home_name, "Family", home);
    format!(
        r#"
public_url = "http://auth.foregate.localhost:{port}"
[server]
listen = "LISTEN"
admin_listen = "ADMIN"
[session]
store = "sqlite:DIR/foregate.db"
{work}{home}
[apps."any.foregate.localhost"]
upstream = "{upstream}"
allow = "signed-in"
[apps."both.foregate.localhost"]
upstream = "{upstream}"
provider = ["{home_name}", "{work_name}"]
allow = "signed-in"
[apps."both.family.localhost"]
upstream = "{upstream}"
provider = ["{home_name}", "{work_name}"]
allow = "signed-in"
[apps."work.friends.localhost"]
upstream = "{upstream}"
provider = "{work_name}"
allow = "signed-in"
[apps."work.foregate.localhost"]
upstream = "{upstream}"
provider = "{work_name}"
allow = "signed-in"
rules = [{{ path = "/open/**", allow = "public" }}]
[apps."home.foregate.localhost"]
upstream = "{upstream}"
provider = "{home_name}"
allow = "signed-in"
[apps."admins.foregate.localhost"]
upstream = "{upstream}"
provider = "{work_name}"
allow = ["group:Home Server Admins", "user:alice", "email:*@example.com"]
[apps."fresh.foregate.localhost"]
upstream = "{upstream}"
lifetime = "3s"
allow = "signed-in"
[apps."parts.foregate.localhost/work"]
upstream = "{upstream}"
provider = "{work_name}"
allow = "signed-in"
[apps."parts.foregate.localhost"]
upstream = "{upstream}"
provider = "{home_name}"
allow = "signed-in"
"#
    )
}

/// The links of a page that lead to a provider.
fn choices(reply: &Reply) -> Vec<String> {
    let links = reply.body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links
        .map(|link| link.replace("&#38;", "&").replace("&amp;", "&"))
        .filter(|link| link.contains("provider="))
        .collect()
}

fn is_let_in(reply: &Reply, user: &str) -> bool {
    reply.status == 200 && reply.body.contains(&format!("remote-user: {user}\r\n"))
}

#[test]
fn whoever_has_a_choice_is_asked_and_each_choice_signs_in() {
    let house = House::new();
    for host in ["any", "both"] {
        let page = house.url(host, "/deep?x=1&y=%20");
        let mut browser = Browser::default();
        let reply = browser.open(&page);
        assert_eq!((reply.status, house.place(&browser)), (200, "foregate's sign-in"), "{reply:?}");
        assert_eq!(browser.visited.len(), 2, "straight there");
        for part in [&format!("{host}.foregate.localhost"), "The Office &#38; Co", "Family"] {
            assert!(is_page(&reply, part), "{part}: {}", reply.body);
        }
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'none'"), "{policy}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let links = choices(&reply);
        let wanted: &[&str] = &["work's sign-in", "home's sign-in"];
        assert_eq!(links.len(), wanted.len(), "{links:?}");
        for (link, place) in links.iter().zip(wanted) {
            let mut browser = browser.clone();
            browser.open(link);
            assert_eq!(house.place(&browser), *place, "{link}");
            let here = browser.visited.last().expect("a page").clone();
            let reply = browser.submit(&here, "login=alice");
            assert!(is_let_in(&reply, "alice"), "{reply:?}");
            assert_eq!(browser.visited.last().map(Url::as_str), Some(page.as_str()));
        }
    }
}

#[test]
fn with_one_possible_provider_nobody_is_asked() {
    let house = House::new();
    for (page, place) in [
        (house.url("work", "/"), "work's sign-in"),
        (house.url("home", "/x"), "home's sign-in"),
        (house.url("parts", "/work/x"), "work's sign-in"),
        (house.url("parts", "/workers"), "home's sign-in"),
        (
            house.url("auth", &format!("/.foregate/sign-in?rd={}", house.url("parts", "/work"))),
            "work's sign-in",
        ),
        (house.url("auth", "/.foregate/sign-in?provider=home"), "home's sign-in"),
        (house.url("auth", "/.foregate/sign-in?provider=nobody"), "foregate's sign-in"),
        (house.url("auth", "/.foregate/sign-in"), "foregate's sign-in"),
        (house.url("auth", "/"), "an app"),
    ] {
        let mut browser = Browser::default();
        let reply = browser.open(&page);
        assert_eq!((reply.status, house.place(&browser)), (200, place), "{page}");
    }
    // An app's own providers come before what an address asks for.
    let rd = house.url("work", "/");
    let mut browser = Browser::default();
    browser.open(&house.url("auth", &format!("/.foregate/sign-in?provider=home&rd={rd}")));
    assert_eq!(house.place(&browser), "work's sign-in");
}

#[test]
fn an_identity_of_another_provider_is_nobody() {
    let house = House::new();
    let mut browser = Browser::default();
    let reply = house.sign_in(&mut browser, "home", "alice");
    assert!(is_let_in(&reply, "alice"), "{reply:?}");
    for host in ["any", "both", "home"] {
        assert!(is_let_in(&browser.clone().open(&house.url(host, "/")), "alice"), "{host}");
    }
    // The same name, groups, address and subject, but of the wrong provider.
    let cookie = browser.cookie("foregate").expect("a session").value.clone();
    for host in ["work", "admins"] {
        let (mut browser, before) = (browser.clone(), browser.visited.len());
        browser.open(&house.url(host, "/page"));
        assert_eq!(house.place(&browser), "work's sign-in", "{host}");
        assert_eq!(browser.visited.len() - before, 3, "without a loop: {:?}", browser.visited);
        let cookie = format!("Cookie: foregate={cookie}");
        let checked = house.foregate.check(&house.url(host, "/page"), &[&cookie]);
        assert_eq!(checked.status, 401, "{checked:?}");
        let narrowed = get(
            house.foregate.public,
            "/.foregate/auth/traefik?allow=user:alice",
            &[crate::support::foregate::traefik("GET", &house.url(host, "/page")).as_slice(), &[&cookie]]
                .concat(),
        );
        assert_eq!(narrowed.status, 401, "{narrowed:?}");
        // The way out of a program's 401 leads to the right provider, and not back to the app.
        let mut person = browser.clone();
        person.open(checked.json()["sign_in_url"].as_str().expect("an address"));
        assert_eq!(house.place(&person), "work's sign-in", "{host}");
    }
    // A public part is open to them, and does not know them.
    let open = browser.clone().open(&house.url("work", "/open/x"));
    assert!(open.status == 200 && open.body.contains("remote-user: \r\n"), "{open:?}");
    // Signed in there, they are somebody.
    let mut browser = browser.clone();
    let reply = browser.sign_in(&house.url("admins", "/page"), "alice");
    assert!(is_let_in(&reply, "alice"), "{reply:?}");
    assert_eq!(house.tokens_asked(), [1, 1]);
}

#[test]
fn going_to_and_fro_between_providers_is_no_circle() {
    let house = House::new();
    let mut browser = Browser::default();
    house.sign_in(&mut browser, "home", "alice");
    house.sign_in(&mut browser, "work", "bob");
    for _ in 0..4 {
        assert!(is_let_in(&browser.open(&house.url("home", "/")), "alice"));
        assert!(is_let_in(&browser.open(&house.url("work", "/")), "bob"));
    }
    // A browser that loses each session goes in a circle all the same.
    let mut last = Reply::default();
    for _ in 0..3 {
        browser.jar.retain(|cookie| cookie.name != "foregate");
        last = browser.open(&house.url("work", "/"));
    }
    assert!(last.status == 403 && is_page(&last, "circle"), "{last:?}");
}

#[test]
fn who_is_signed_in_elsewhere_is_told_why_that_does_not_count() {
    let house = House::new();
    let page = house.url("both", "/");
    let mut browser = Browser::default();
    house.sign_in(&mut browser, "home", "alice");
    // Another account than now: the choice stays open, and is kept.
    let other = house.url("auth", &format!("/.foregate/sign-in?account=other&rd={page}"));
    let reply = browser.open(&other);
    assert!(reply.status == 200 && !reply.body.contains("does not count"), "{reply:?}");
    let links = choices(&reply);
    assert!(links.len() == 2 && links.iter().all(|link| link.contains("account=other")), "{links:?}");
    browser.open(&links[1]);
    assert_eq!(house.place(&browser), "home's sign-in", "asked again although known there");
    let here = browser.visited.last().expect("a page").clone();
    assert!(is_let_in(&browser.submit(&here, "login=bob"), "bob"));
    // A choice of the provider that the session is of changes nothing; that of another one does.
    let choose = |name: &str| house.url("auth", &format!("/.foregate/sign-in?provider={name}&rd={page}"));
    assert!(is_let_in(&browser.open(&choose("home")), "bob"));
    browser.open(&choose("work"));
    assert_eq!(house.place(&browser), "work's sign-in");
}

#[test]
fn a_sign_out_reaches_the_provider_that_signed_in() {
    let house = House::new();
    for (host, own, other) in [("work", &house.work, &house.home), ("home", &house.home, &house.work)] {
        let mut browser = Browser::default();
        house.sign_in(&mut browser, host, "alice");
        let others = other.log().len();
        let choices = {
            let mut browser = browser.clone();
            browser.lines = vec!["Sec-Fetch-Site: cross-site".into()];
            browser.open(&house.url("auth", "/.foregate/sign-out"))
        };
        let title = if host == "work" { "The Office &#38; Co" } else { "Family" };
        assert!(is_page(&choices, &format!("Also sign out of {title}")), "{choices:?}");
        let policy = choices.header("content-security-policy").expect("a policy");
        assert!(policy.contains(&format!("http://{host}.localhost:{}", own.port)), "{policy}");
        let reply = browser.open(&house.url("auth", "/.foregate/sign-out"));
        assert!(reply.status == 200 && is_page(&reply, "signed out"), "{reply:?}");
        let ended = own
            .log()
            .into_iter()
            .find(|entry| entry["path"].as_str().is_some_and(|path| path.ends_with("/end-session/")));
        assert!(ended.is_some_and(|entry| entry["query"]["id_token_hint"].is_string()), "{host}");
        assert_eq!(own.asked("/revoke/"), 2, "both tokens");
        assert_eq!(other.log().len(), others, "the other provider hears nothing");
        browser.open(&house.url(host, "/"));
        assert_eq!(house.place(&browser), format!("{host}'s sign-in"), "signed out there too");
    }
}

#[test]
fn a_provider_signs_out_people_of_its_own_only() {
    let house = House::new();
    let (mut at_work, mut at_home) = (Browser::default(), Browser::default());
    assert!(is_let_in(&house.sign_in(&mut at_work, "work", "alice"), "alice"));
    assert!(is_let_in(&house.sign_in(&mut at_home, "home", "alice"), "alice"));
    // The same subject at both.
    let told = house.home.control("logout", &json!({ "login": "alice" }));
    assert_eq!(told["told"], json!(["ok"]), "{told}");
    at_home.open(&house.url("home", "/"));
    assert_eq!(house.place(&at_home), "home's sign-in");
    assert!(is_let_in(&at_work.open(&house.url("work", "/")), "alice"));
    let framed = Browser::default().open(&house.url("auth", "/.foregate/frontchannel-logout"));
    let policy = framed.header("content-security-policy").expect("a policy");
    for (name, provider) in [("work", &house.work), ("home", &house.home)] {
        assert!(policy.contains(&format!("http://{name}.localhost:{}", provider.port)), "{policy}");
    }
}

/// The parameters of a callback, some of them from another one.
fn mixed(state: &Url, rest: &Url, issuer: Option<&str>) -> Url {
    let one = |url: &Url, name: &str| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let mut url = state.clone();
    url.query_pairs_mut()
        .clear()
        .append_pair("state", &one(state, "state").expect("a state"))
        .append_pair("code", &one(rest, "code").expect("a code"))
        .extend_pairs(issuer.map(|issuer| ("iss", issuer)));
    url
}

#[test]
fn a_callback_is_finished_by_the_provider_it_was_begun_with() {
    let house = House::new();
    let mut browser = Browser::default();
    let at_work = callback_for(&mut browser, &house.url("work", "/"), "alice");
    let at_home = callback_for(&mut browser, &house.url("home", "/"), "alice");
    let (work, home) = (house.work.issuer.as_str(), house.home.issuer.as_str());
    for (url, what) in [
        (mixed(&at_work, &at_home, Some(home)), "home's answer to what work was asked"),
        (mixed(&at_home, &at_work, Some(work)), "work's answer to what home was asked"),
        (mixed(&at_work, &at_home, None), "the same without a name"),
        (mixed(&at_work, &at_work, None), "work's own answer without the name it announces"),
        (mixed(&at_work, &at_work, Some(home)), "work's own answer in the name of home"),
    ] {
        let reply = browser.step("GET", &url, "");
        assert!(reply.status == 502 && is_page(&reply, "Reference"), "{what}: {reply:?}");
        assert!(browser.cookie("foregate").is_none(), "{what}");
    }
    assert_eq!(house.tokens_asked(), [0, 0], "no code reaches anybody");
    // A lie about the name only brings the code to where it is worth nothing, and the person to another try there.
    let reply = browser.step("GET", &mixed(&at_work, &at_home, Some(work)), "");
    assert_eq!((reply.status, reply.location().host_str()), (303, Some("work.localhost")), "{reply:?}");
    assert!(browser.cookie("foregate").is_none());
    assert_eq!(house.tokens_asked(), [1, 0]);
    // The honest callbacks still count, and the session of one is no reason to leave that of the other.
    assert!(is_let_in(&browser.open(at_work.as_str()), "alice"));
    let visits = browser.visits_to("home.localhost");
    assert!(is_let_in(&browser.open(at_home.as_str()), "alice"));
    assert_eq!(browser.visits_to("home.localhost"), visits, "without another sign-in");
}

#[test]
fn providers_that_do_not_name_themselves_are_told_apart_by_the_state() {
    let house = House::with(&json!({ "namesIssuer": false }));
    let mut browser = Browser::default();
    let at_work = callback_for(&mut browser, &house.url("work", "/"), "alice");
    let at_home = callback_for(&mut browser, &house.url("home", "/"), "alice");
    assert!(!at_work.as_str().contains("iss="), "{at_work}");
    let reply = browser.step("GET", &mixed(&at_work, &at_home, None), "");
    assert_eq!((reply.status, reply.location().host_str()), (303, Some("work.localhost")), "{reply:?}");
    assert!(browser.cookie("foregate").is_none(), "work does not know home's code");
    assert_eq!(house.tokens_asked(), [1, 0]);
    let reply = browser.step("GET", &mixed(&at_work, &at_work, Some(&house.home.issuer)), "");
    assert_eq!(reply.status, 502, "a wrong name counts all the same: {reply:?}");
    assert!(is_let_in(&browser.open(at_home.as_str()), "alice"));
}

#[test]
fn a_sign_in_under_way_ends_with_its_provider() {
    let house = House::new();
    let mut browser = Browser::default();
    let callback = callback_for(&mut browser, &house.url("work", "/"), "alice");
    let renamed = config(house.port, ["office", "home"], [&house.work, &house.home], &house.backend);
    let House { work, foregate, .. } = house;
    let _foregate = foregate.restart(&renamed);
    let reply = browser.open(callback.as_str());
    assert!(reply.status == 400 && is_page(&reply, "Reference"), "{reply:?}");
    assert_eq!(work.asked("/token/"), 0);
}

/// Tries until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_sign_in_that_an_app_finds_too_old_is_chosen_anew() {
    let house = House::new();
    let mut browser = Browser::default();
    assert!(is_let_in(&house.sign_in(&mut browser, "home", "alice"), "alice"));
    let mut page = Reply::default();
    until("the choice", || {
        page = browser.open(&house.url("fresh", "/x"));
        house.place(&browser) == "foregate's sign-in"
    });
    assert!(!page.body.contains("does not count"), "the account does, only its age does not: {page:?}");
    assert!(is_let_in(&browser.open(&choices(&page)[1]), "alice"), "known at the provider");
    assert_eq!(browser.visited.last().map(Url::as_str), Some(house.url("fresh", "/x").as_str()));
}

#[test]
fn a_session_is_renewed_by_the_provider_it_is_from() {
    let house = House::with(&json!({ "accessTokenTtl": 3 }));
    let mut browser = Browser::default();
    assert!(is_let_in(&house.sign_in(&mut browser, "home", "alice"), "alice"));
    house.home.control("user", &json!({ "login": "alice", "claims": { "groups": ["renewed"] } }));
    until("renewed", || browser.open(&house.url("any", "/")).body.contains("remote-groups: renewed\r\n"));
    let grants: Vec<Value> = house.home.log().iter().map(|entry| entry["grantType"].clone()).collect();
    assert!(grants.contains(&json!("refresh_token")), "{grants:?}");
    assert_eq!(house.work.asked("/token/"), 0, "nobody else hears of it");
}

#[test]
fn sessions_end_with_the_provider_they_are_from() {
    let house = House::with(&json!({ "accessTokenTtl": 3 }));
    let mut browser = Browser::default();
    assert!(is_let_in(&house.sign_in(&mut browser, "home", "alice"), "alice"));
    let mut config = config(house.port, ["work", "home"], [&house.work, &house.home], &house.backend);
    let (start, end) =
        (config.find("[providers.home]").expect("a table"), config.find("[apps.").expect("apps"));
    config.replace_range(start..end, "");
    let config = config.replace("\"home\"", "\"work\"").replace("[\"work\", \"work\"]", "\"work\"");
    let House { work: _work, home: _home, backend: _backend, foregate, port } = house;
    let foregate = foregate.restart(&config);
    let page = format!("http://any.foregate.localhost:{port}/");
    let mut visitor = browser.clone();
    visitor.open(&page);
    let here = visitor.visited.last().expect("a page");
    assert_eq!(here.host_str(), Some("work.localhost"), "nobody any more: {here}");
    // Nor does foregate itself know them, or ask anybody to renew their tokens.
    let account = format!("http://auth.foregate.localhost:{port}/.foregate/account");
    let reply = browser.clone().step("GET", &Url::parse(&account).expect("a URL"), "");
    assert!(reply.status == 302 && reply.location().path() == "/.foregate/sign-in", "{reply:?}");
    assert_eq!(foregate.logged("could not be renewed"), 0);
}

#[test]
fn one_provider_that_is_down_leaves_the_other_alone() {
    let mut house = House::new();
    house.home.kill();
    let mut browser = Browser::default();
    assert!(is_let_in(&house.sign_in(&mut browser, "work", "alice"), "alice"));
    let ready = get(house.foregate.admin, "/readyz", &[]);
    let told = ready.json();
    assert_eq!((ready.status, &told["ready"]), (200, &json!(true)), "{told}");
    assert_eq!(told["providers"]["work"], json!({ "ok": true }), "{told}");
    assert_eq!(told["providers"]["home"]["ok"], json!(false), "{told}");
    assert!(told["providers"]["home"]["error"].is_string() && told.get("provider").is_none(), "{told}");
    let down = Browser::default().open(&house.url("home", "/"));
    assert!(down.status == 503 && down.header("retry-after").is_some(), "{down:?}");
    // The choice is still shown, and the other way in still leads somewhere.
    let mut person = Browser::default();
    let reply = person.open(&house.url("any", "/"));
    person.open(&choices(&reply)[0]);
    assert_eq!(house.place(&person), "work's sign-in");
    // A session of the provider that is down goes on.
    assert!(is_let_in(&browser.open(&house.url("any", "/")), "alice"));
}

#[test]
fn front_proxies_send_people_to_the_choice() {
    let house = House::new();
    let page = house.url("any", "/x?y=1");
    let lines = ["Accept: text/html"];
    let checked = house.foregate.check(&page, &lines);
    assert_eq!(checked.status, 302, "{checked:?}");
    let nginx = get(
        house.foregate.public,
        "/.foregate/auth/nginx",
        &["X-Original-Method: GET", &format!("X-Original-URL: {page}"), "Accept: text/html"],
    );
    assert_eq!((nginx.status, nginx.body.as_str()), (401, ""), "{nginx:?}");
    for reply in [checked, nginx] {
        let to = reply.location();
        assert_eq!((to.host_str(), to.path()), (Some("auth.foregate.localhost"), "/.foregate/sign-in"));
        let rd = to.query_pairs().find(|(name, _)| name == "rd").map(|(_, value)| value.into_owned());
        assert_eq!(rd.as_deref(), Some(page.as_str()));
        assert!(reply.all("set-cookie").is_empty(), "nothing is begun before the choice: {reply:?}");
    }
}

#[test]
fn the_choice_works_in_a_real_browser_without_scripts_and_on_a_phone() {
    let house = House::new();
    let page = house.url("any", "/deep?x=1");
    let seen = browse(&json!([
        { "javaScript": false, "phone": true },
        { "open": page },
        { "click": "text=Sign in with Family" },
        { "fill": { "[name=login]": "bob" } },
        { "click": "[type=submit]" },
        { "open": house.url("work", "/") },
    ]));
    let text = |step: usize| seen[step]["text"].as_str().unwrap_or_default().to_owned();
    assert!(text(0).contains("Sign in with The Office & Co"), "{}", seen[0]);
    assert_eq!(seen[3]["url"].as_str(), Some(page.as_str()), "{}", seen[3]);
    assert!(text(3).contains("remote-user: bob"), "{}", seen[3]);
    assert!(
        seen[4]["url"].as_str().is_some_and(|url| url.starts_with("http://work.localhost:")),
        "{}",
        seen[4]
    );
}

#[test]
fn the_choice_holds_for_hosts_in_other_domains() {
    let house = House::new();
    let mut browser = Browser::default();
    let page = format!("http://both.family.localhost:{}/deep?x=1&y=2", house.port);
    let choice = browser.open(&page);
    assert_eq!(house.place(&browser), "foregate's sign-in", "{choice:?}");
    assert!(choice.status == 200 && choice.body.contains("both.family.localhost"), "{choice:?}");
    let link = choice.body.split("href=\"").find(|part| part.contains("provider=home"));
    let link = link.and_then(|part| part.split('"').next()).expect("a way in");
    browser.open(&link.replace("&amp;", "&").replace("&#38;", "&"));
    assert_eq!(house.place(&browser), "home's sign-in");
    let here = browser.visited.last().expect("a page").clone();
    let reply = browser.submit(&here, "login=alice");
    assert!(
        reply.status == 200 && reply.body.contains("remote-user: alice"),
        "{reply:?} {:#?}",
        browser.visited
    );
    assert!(reply.body.starts_with("GET /deep?x=1&y=2 "), "{reply:?}");
    assert_eq!(browser.visits_to("both.family.localhost"), 3, "once without, once with the ticket, once in");
    // An app of the other provider: that session does not count there, and the one that does takes its place.
    let other = format!("http://work.friends.localhost:{}/", house.port);
    browser.open(&other);
    assert_eq!(house.place(&browser), "work's sign-in");
    let here = browser.visited.last().expect("a page").clone();
    let reply = browser.submit(&here, "login=bob");
    assert!(
        reply.status == 200 && reply.body.contains("remote-user: bob"),
        "{reply:?} {:#?}",
        browser.visited
    );
    let reply = browser.open(&page);
    assert!(reply.status == 200 && reply.body.contains("remote-user: bob"), "both count there: {reply:?}");
}

#[test]
fn a_kept_form_is_signed_in_for_where_its_own_page_wants_it() {
    let house = House::new();
    let mut at_home = Browser::default();
    house.sign_in(&mut at_home, "home", "alice");
    let origin = format!("Origin: {}", house.url("parts", ""));
    for (address, place) in [("/work/save?x=1", "work's sign-in"), ("/save", "home's sign-in")] {
        for browser in [Browser::default(), at_home.clone()] {
            let known = browser.cookie("foregate").is_some();
            if known && place == "home's sign-in" {
                continue;
            }
            let mut browser = Browser { lines: vec![origin.clone()], ..browser };
            let url = Url::parse(&house.url("parts", address)).expect("a URL");
            let kept = browser.step("POST", &url, "a=1");
            assert!(kept.status == 401 && kept.body.contains("name=\"kept\""), "{address}: {kept:?}");
            browser.lines.clear();
            let link = kept.body.split("class=\"button first\" href=\"").nth(1).expect("a link");
            browser.open(&link.split('"').next().expect("an end").replace("&#38;", "&"));
            assert_eq!(house.place(&browser), place, "{address} {known}: {:#?}", browser.visited);
        }
    }
}
