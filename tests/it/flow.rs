//! Signing in and out as people do, with a certified provider, and everything that goes wrong on the way.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;

use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, KEY, free_port};
use crate::support::house::{House, callback_for, config};
use crate::support::http::{Browser, NAVIGATES, Reply};
use crate::support::postgres;
use crate::support::provider::Provider;

pub fn is_page(reply: &Reply, part: &str) -> bool {
    reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
        && reply.body.contains(part)
}

#[test]
fn a_person_lands_on_exactly_the_page_they_asked_for() {
    let house = House::new();
    let mut browser = Browser::default();
    let page = house.url("app", "/deep/page?x=1&y=%20z&u=https://x.test/");
    let reply = browser.sign_in(&page, "alice");
    assert!(
        reply.body.starts_with("GET /deep/page?x=1&y=%20z&u=https://x.test/ HTTP/1.1\r\n"),
        "{}",
        reply.body
    );
    for line in [
        "remote-user: alice",
        "remote-email: alice@example.com",
        "remote-groups: Home Server Admins,a|b,family",
    ] {
        assert!(reply.body.contains(line), "{line}: {}", reply.body);
    }
    let session = browser.cookie("foregate").expect("a session cookie");
    assert_eq!((session.domain.as_str(), session.host_only), ("foregate.localhost", false));
    // Known at the provider already: three redirects, no stop in between.
    browser.jar.retain(|cookie| !cookie.name.starts_with("foregate"));
    browser.visited.clear();
    assert_eq!(browser.open(&house.url("app", "/again")).status, 200);
    let paths: Vec<&str> = browser.visited.iter().map(Url::path).collect();
    assert_eq!(paths, ["/again", "/application/o/authorize/", "/.foregate/callback", "/again"]);
}

#[test]
fn the_backend_gets_the_identity_and_nothing_of_ours() {
    let house = House::new();
    let mut browser = house.sign_in("bob");
    browser.lines = vec![
        "Remote-User: root".into(),
        "Remote_User: root".into(),
        "remote.groups: admins".into(),
        "X-Other: kept".into(),
        "Connection: close, Remote-User, X-Forwarded-For".into(),
        "X-Forwarded-For: 6.6.6.6".into(),
        "Forwarded: for=6.6.6.6".into(),
        "X-Original-URL: /admin".into(),
        "X-Rewrite-URL: /admin".into(),
        "X_Forwarded_Host: evil.test".into(),
        "X-Forwarded-Uri: /admin".into(),
    ];
    browser.keep("theme=dark; Path=/", "app.foregate.localhost");
    let reply = browser.open(&house.url("app", "/x"));
    let got = reply.body.to_ascii_lowercase();
    assert_eq!(got.matches("remote").count(), 4, "{got}");
    assert!(
        !got.contains("/admin") && !got.contains("evil.test"),
        "another address than the one judged: {got}"
    );
    assert!(
        got.contains("remote-user: bob\r\n")
            && got.contains("x-other: kept\r\n")
            && got.contains("cookie: theme=dark\r\n"),
        "{got}"
    );
    assert!(!got.contains("foregate=") && !got.contains("root") && !got.contains("foregate-login"), "{got}");
    assert_eq!(got.matches("\r\nhost: ").count(), 1, "{got}");
    assert!(got.contains("x-forwarded-for: 6.6.6.6, 127.0.0.1\r\n"), "from a trusted peer: {got}");
    assert!(got.contains("\r\nforwarded: for=6.6.6.6, for=127.0.0.1;host="), "{got}");
    let open = Browser::default().open(&house.url("app", "/open/x"));
    assert!(
        open.body.to_ascii_lowercase().contains("remote-user: \r\n"),
        "complete and empty: {}",
        open.body
    );
    assert_eq!(house.backend.seen().len(), 3);
}

#[test]
fn a_slow_answer_of_the_backend_holds_up_nobody_else() {
    let house = House::new();
    let browser = house.sign_in("alice");
    std::thread::scope(|scope| {
        let (url, mut slow) = (house.url("app", "/half"), browser.clone());
        let half = scope.spawn(move || slow.open(&url));
        house.backend.wait_for("GET /half ");
        for page in ["/fast/1", "/fast/2", "/finish"] {
            assert_eq!(browser.clone().open(&house.url("app", page)).status, 200, "{page}");
        }
        let reply = half.join().expect("an answer");
        assert!(reply.status == 200 && reply.body.ends_with("\r\n\r\n"), "whole: {reply:?}");
    });
}

#[test]
fn a_person_who_may_not_is_told_what_is_missing() {
    let house = House::new();
    let mut browser = house.sign_in("bob");
    let reply = browser.open(&house.url("admins", "/x"));
    assert!(
        reply.status == 403
            && is_page(&reply, "Home Server Admins")
            && reply.body.contains("bob@example.com"),
        "{reply:?}"
    );
    let reply = browser.open(&format!(
        "{}?account=other&rd={}",
        house.url("auth", "/.foregate/sign-in"),
        house.url("admins", "/x")
    ));
    let here = browser.visited.last().expect("a page").clone();
    assert!(here.path().starts_with("/if/flow/login/"), "asked again: {here} {reply:?}");
    let reply = browser.submit(&here, "login=alice");
    assert!(reply.status == 200 && reply.body.contains("remote-user: alice"), "{reply:?}");
}

#[test]
fn any_number_of_tabs_sign_in_each_to_its_own_page() {
    let house = House::new();
    let mut browser = Browser::default();
    let pages: Vec<String> = (0..5).map(|tab| house.url("app", &format!("/tab/{tab}?q={tab}"))).collect();
    let started: Vec<Url> = pages
        .iter()
        .map(|page| browser.step("GET", &Url::parse(page).expect("a URL"), "").location())
        .collect();
    assert_eq!(browser.jar.len(), 1, "one login cookie, whatever the number of tabs");
    for (tab, (page, start)) in pages.iter().zip(&started).enumerate() {
        let mut reply = browser.open(start.as_str());
        if tab == 0 {
            let here = browser.visited.last().expect("a page").clone();
            reply = browser.submit(&here, "login=alice");
        }
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(browser.visited.last().map(Url::as_str), Some(page.as_str()));
    }
    assert_eq!(house.tokens_asked(), 1, "the tabs behind the first use its session");
}

#[test]
fn tabs_that_started_without_any_cookie_all_arrive() {
    let house = House::new();
    let mut browser = Browser::default();
    let mut starts = Vec::new();
    for tab in 0..5 {
        let mut alone = Browser::default();
        let url = Url::parse(&house.url("app", &format!("/tab/{tab}"))).expect("a URL");
        starts.push((alone.step("GET", &url, "").location(), url));
        browser.jar = alone.jar;
    }
    for (tab, (start, page)) in starts.iter().enumerate() {
        let mut reply = browser.open(start.as_str());
        if tab == 0 {
            let here = browser.visited.last().expect("a page").clone();
            reply = browser.submit(&here, "login=alice");
        }
        assert_eq!((reply.status, browser.visited.last()), (200, Some(page)), "{reply:?}");
    }
}

#[test]
fn a_callback_counts_once_and_leads_on_when_opened_again() {
    let house = House::new();
    let mut browser = Browser::default();
    let callback = callback_for(&mut browser, &house.url("app", "/page"), "alice");
    assert_eq!(browser.open(callback.as_str()).status, 200);
    let asked = house.tokens_asked();
    let session = browser.cookie("foregate").expect("a session").value.clone();
    assert_eq!(browser.open(callback.as_str()).status, 200);
    assert_eq!(browser.visited.last().map(Url::path), Some("/page"));
    assert_eq!(
        (house.tokens_asked(), &browser.cookie("foregate").expect("a session").value),
        (asked, &session)
    );
}

#[test]
fn somebody_elses_callback_signs_nobody_in() {
    let house = House::new();
    let mut attacker = Browser::default();
    let theirs = callback_for(&mut attacker, &house.url("app", "/theirs"), "bob");
    let mut victim = Browser::default();
    let reply = victim.open(theirs.as_str());
    assert!(victim.cookie("foregate").is_none(), "not signed in as the attacker: {reply:?}");
    assert!(
        victim.visited.last().expect("a page").path().starts_with("/if/flow/login/"),
        "asked to sign in themselves"
    );
    // The attacker's code with the victim's own state: another verifier, so the provider refuses it.
    let mut victim = Browser::default();
    let mut own = callback_for(&mut victim, &house.url("app", "/mine"), "alice");
    let code = theirs.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let pairs: Vec<(String, String)> = own.query_pairs().into_owned().collect();
    own.query_pairs_mut()
        .clear()
        .extend_pairs(pairs.iter().map(|(name, value)| (name, if name == "code" { &code } else { value })));
    let reply = victim.open(own.as_str());
    assert!(!reply.body.contains("remote-user: bob"), "{reply:?}");
}

#[test]
fn every_change_to_a_callback_is_refused() {
    let house = House::new();
    let mut browser = Browser::default();
    let callback = callback_for(&mut browser, &house.url("app", "/page"), "alice");
    let state = callback.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    let with = |state: &str| {
        let mut url = callback.clone();
        url.query_pairs_mut().clear().append_pair("code", "x").append_pair("state", state);
        url
    };
    let mut mutations: Vec<Url> = [
        "",
        "x",
        "e30",
        &state[1..],
        &state[..state.len() - 1],
        &format!("{state}A"),
        "{\"r\":\"https://evil.test\"}",
    ]
    .iter()
    .map(|state| with(state))
    .collect();
    for index in [0, 5, 20, 60, state.len() - 3] {
        let mut changed = state.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        mutations.push(with(&String::from_utf8(changed).expect("text")));
    }
    let mut twice = callback.clone();
    twice.query_pairs_mut().append_pair("state", "x");
    mutations.push(twice);
    for url in mutations {
        let reply = browser.step("GET", &url, "");
        assert!(
            reply.status == 400 && is_page(&reply, "Reference") && reply.all("set-cookie").is_empty(),
            "{url}: {reply:?}"
        );
    }
    let mut both = callback.clone();
    both.query_pairs_mut().append_pair("error", "access_denied");
    let reply = browser.step("GET", &both, "");
    assert!(
        reply.status == 403 && is_page(&reply, "Reference") && reply.all("set-cookie").is_empty(),
        "a code beside an error: {reply:?}"
    );
    let mut wrong = callback.clone();
    let pairs: Vec<(String, String)> = callback.query_pairs().into_owned().collect();
    wrong.query_pairs_mut().clear().extend_pairs(
        pairs
            .iter()
            .map(|(name, value)| (name.as_str(), if name == "iss" { "https://evil.test" } else { value })),
    );
    let reply = browser.step("GET", &wrong, "");
    assert!(reply.status == 502 && reply.all("set-cookie").is_empty(), "another issuer: {reply:?}");
    assert_eq!(house.tokens_asked(), 0, "no code was shown to the provider");
    assert_eq!(browser.open(callback.as_str()).status, 200, "the true one still works");
}

#[test]
fn a_provider_that_says_no_ends_in_a_page() {
    let house = House::new();
    let mut browser = Browser::default();
    let mut callback = callback_for(&mut browser, &house.url("app", "/page"), "alice");
    let state = callback.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    callback
        .query_pairs_mut()
        .clear()
        .append_pair("error", "access_denied")
        .append_pair("error_description", "<script>x</script>")
        .append_pair("state", &state)
        .append_pair("iss", &house.provider.issuer);
    let reply = browser.step("GET", &callback, "");
    assert!(
        reply.status == 403 && is_page(&reply, "Try again") && !reply.body.contains("<script>"),
        "{reply:?}"
    );
    let reference = reply
        .body
        .split("Reference <code>")
        .nth(1)
        .and_then(|rest| rest.split('<').next())
        .expect("a reference")
        .to_owned();
    let line = house.foregate.wait_for_log(&reference);
    assert!(line.contains("access_denied"), "page and log share the reference: {line}");
}

#[test]
fn a_circle_ends_at_the_third_turn_with_its_cause() {
    let house = House::new();
    let mut browser = house.sign_in("alice");
    // From here on the browser loses the session cookie each time.
    let page = Url::parse(&house.url("app", "/loop")).expect("a URL");
    let mut turns = 0;
    let end = loop {
        browser.jar.retain(|cookie| cookie.name != "foregate");
        let mut reply = browser.step("GET", &page, "");
        while reply.status == 302 || reply.status == 303 {
            let next = reply.location();
            if next == page {
                turns += 1;
                break;
            }
            reply = browser.step("GET", &next, "");
        }
        assert!(turns < 5, "it never ends");
        if !(300..400).contains(&reply.status) {
            break reply;
        }
    };
    assert!(
        turns <= 2 && end.status == 403 && is_page(&end, "circle") && end.body.contains("session cookie"),
        "{turns} {end:?}"
    );
    // Whoever asks for another try gets one.
    let again = end
        .body
        .split("href=\"")
        .find(|part| part.contains("account=retry"))
        .and_then(|part| part.split('"').next());
    let again = again.expect("a way out").replace("&amp;", "&").replace("&#38;", "&");
    let reply = browser.open(&again);
    assert!(reply.status == 200 && reply.body.contains("GET /loop"), "{reply:?}");
    assert_eq!(house.foregate.metric("foregate_sign_in_loops_total"), 1.0);
}

#[test]
fn a_browser_without_cookies_is_told_so() {
    let house = House::new();
    let mut browser = Browser::default();
    let mut reply = browser.step("GET", &Url::parse(&house.url("app", "/")).expect("a URL"), "");
    let mut here = browser.visited[0].clone();
    for _ in 0..20 {
        browser.jar.retain(|cookie| !cookie.name.starts_with("foregate"));
        if here.path().starts_with("/if/flow/login/") && reply.status == 200 {
            reply = browser.step("POST", &here, "login=alice");
        } else if (300..400).contains(&reply.status) {
            here = here.join(reply.header("location").expect("a Location")).expect("a URL");
            reply = browser.step("GET", &here, "");
        } else {
            break;
        }
    }
    assert!(reply.status == 403 && is_page(&reply, "circle") && reply.body.contains("cookies"), "{reply:?}");
}

#[test]
fn tabs_opened_at_once_find_together_however_their_answers_arrive() {
    let house = House::new();
    let start = |tab: usize| {
        let mut browser = Browser::default();
        let page = Url::parse(&house.url("app", &format!("/tab/{tab}"))).expect("a URL");
        let location = browser.step("GET", &page, "").location();
        (browser.jar, location)
    };
    let (jars, locations): (Vec<_>, Vec<_>) = (0..6).map(start).unzip();
    // One browser keeps one cookie of that name. For the first tab it is always one that has arrived in between.
    let mut browser = Browser::default();
    let mut here = locations[0].clone();
    for jar in jars.into_iter().skip(1) {
        browser.jar.retain(|cookie| !jar.iter().any(|newer| newer.name == cookie.name));
        browser.jar.extend(jar);
        let mut reply = browser.step("GET", &here, "");
        while here.path() != "/.foregate/callback" {
            if reply.status == 200 {
                reply = browser.step("POST", &here, "login=alice");
            }
            here = here.join(reply.header("location").expect("a Location")).expect("a URL");
            reply = browser.step("GET", &here, "");
        }
        assert_eq!(reply.status, 303, "{reply:?}");
        here = reply.location();
    }
    let page = browser.open(here.as_str());
    assert!(page.status == 200 && page.body.contains("GET /tab/0 "), "{page:?}");
    assert_eq!(house.foregate.metric("foregate_sign_in_loops_total"), 0.0);
}

#[test]
fn another_tabs_cookie_for_ever_is_a_circle_in_the_end() {
    let house = House::new();
    let page = Url::parse(&house.url("app", "/")).expect("a URL");
    let other = || {
        let mut browser = Browser::default();
        let location = browser.step("GET", &page, "").location();
        (browser.jar, location)
    };
    let (mut browser, mut here) = (house.sign_in("alice"), other().1);
    let mut rounds = 0;
    let last = loop {
        browser.jar.retain(|cookie| !cookie.name.starts_with("foregate"));
        browser.jar.extend(other().0);
        let reply = browser.step("GET", &here, "");
        if here.path() == "/.foregate/callback" {
            rounds += 1;
            assert!(rounds < 40, "it never ends");
            if reply.status != 303 {
                break reply;
            }
        }
        here = here.join(reply.header("location").expect("a Location")).expect("a URL");
    };
    assert!(last.status == 403 && is_page(&last, "circle"), "{last:?}");
}

#[test]
fn signing_out_ends_the_session_here_and_at_the_provider() {
    let house = House::new();
    let mut browser = house.sign_in("alice");
    let kept = browser.clone();
    let reply = browser.open(&house.url("auth", "/.foregate/sign-out"));
    assert!(reply.status == 200 && is_page(&reply, "signed out"), "{reply:?}");
    assert!(browser.cookie("foregate").is_none() && browser.cookie("foregate-login").is_none());
    let end = browser
        .visited
        .iter()
        .find(|url| url.path().ends_with("/end-session/"))
        .expect("the provider's own sign-out");
    assert!(
        end.query_pairs().any(|(name, value)| name == "id_token_hint" && value.split('.').count() == 3),
        "{end}"
    );
    assert_eq!(house.provider.asked("/revoke/"), 2, "access and refresh token");
    let stolen = kept.clone().step("GET", &Url::parse(&house.url("app", "/")).expect("a URL"), "");
    assert_eq!(stolen.status, 302, "the old cookie is worth nothing");
    browser.open(&house.url("app", "/"));
    let here = browser.visited.last().expect("a page").clone();
    assert!(here.path().starts_with("/if/flow/login/"), "the provider asks again: {here}");
}

#[test]
fn signing_out_leads_on_to_our_own_pages_only() {
    let house = House::new();
    for (rd, to) in [
        (house.url("app", "/bye?x=1"), house.url("app", "/bye?x=1")),
        ("https://evil.test/".to_owned(), house.url("auth", "/.foregate/signed-out")),
        ("//evil.test/".to_owned(), house.url("auth", "/.foregate/signed-out")),
    ] {
        let mut browser = house.sign_in("alice");
        let url =
            Url::parse_with_params(&house.url("auth", "/.foregate/sign-out"), [("rd", &rd)]).expect("a URL");
        assert_eq!(browser.step("GET", &url, "").location().as_str(), to, "{rd}");
        assert!(browser.cookie("foregate").is_none());
    }
}

#[test]
fn another_site_cannot_sign_anybody_out() {
    let house = House::new();
    let mut browser = house.sign_in("alice");
    let url = Url::parse(&house.url("auth", "/.foregate/sign-out")).expect("a URL");
    browser.lines = vec!["Sec-Fetch-Site: cross-site".into()];
    let choices = browser.step("GET", &url, "");
    assert!(
        choices.status == 200 && is_page(&choices, "everywhere") && choices.all("set-cookie").is_empty(),
        "{choices:?}"
    );
    assert_eq!(browser.step("POST", &url, "scope=browser").status, 403);
    browser.lines.clear();
    assert_eq!(browser.step("POST", &url, "scope=browser").status, 403, "no proof that the form is ours");
    assert_eq!(browser.step("POST", &url, "scope=browser&csrf=AAAA").status, 403);
    let other = house.sign_in("alice");
    let csrf = choices
        .body
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a proof")
        .to_owned();
    let reply = other.clone().step("POST", &url, &format!("scope=browser&csrf={csrf}"));
    assert_eq!(reply.status, 403, "somebody else's proof");
    let reply = browser.step("POST", &url, &format!("scope=everywhere&csrf={csrf}"));
    assert!(reply.status == 303 && browser.cookie("foregate").is_none(), "{reply:?}");
    let page = Url::parse(&house.url("app", "/")).expect("a URL");
    assert_eq!(other.clone().step("GET", &page, "").status, 302, "all of alice's sessions have ended");
}

#[test]
fn a_neighbours_cookies_lock_nobody_out_and_end_nobody_elses_session() {
    let house = House::new();
    let mut browser = Browser::default();
    let junk: Vec<String> =
        (0..10).map(|n| format!("foregate-login=junk{n}; foregate={}", "A".repeat(64))).collect();
    browser.lines = vec![format!("Cookie: {}", junk.join("; "))];
    let reply = browser.sign_in(&house.url("app", "/"), "alice");
    assert!(reply.status == 200 && reply.body.contains("remote-user: alice"), "{reply:?}");
    // A neighbour adds their own session to a person's cookies and posts their own proof.
    let (mut attacker, victim) = (house.sign_in("bob"), house.sign_in("alice"));
    let url = Url::parse(&house.url("auth", "/.foregate/sign-out")).expect("a URL");
    let mut asking = attacker.clone();
    asking.lines = vec!["Sec-Fetch-Site: cross-site".into()];
    let choices = asking.step("GET", &url, "");
    let csrf = choices
        .body
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a proof");
    attacker.lines =
        vec![format!("Cookie: foregate={}", victim.cookie("foregate").expect("a session").value)];
    attacker.step("POST", &url, &format!("scope=everywhere&csrf={csrf}"));
    assert_eq!(victim.clone().open(&house.url("app", "/")).status, 200, "the victim is still signed in");
}

#[test]
fn nobody_is_signed_out_by_an_image_or_a_guess() {
    let house = House::new();
    let mut browser = house.sign_in("alice");
    let url = Url::parse(&house.url("auth", "/.foregate/sign-out")).expect("a URL");
    for (line, status) in
        [("Sec-Fetch-Dest: image", 403), ("Sec-Purpose: prefetch", 200), ("Sec-Fetch-Site: cross-site", 200)]
    {
        browser.lines = vec!["Sec-Fetch-Site: same-site".into(), line.into()];
        assert_eq!(browser.step("GET", &url, "").status, status, "{line}");
    }
    browser.lines.clear();
    assert_eq!(browser.step("HEAD", &url, "").status, 405);
    assert_eq!(browser.open(&house.url("app", "/")).status, 200, "still signed in");
}

#[test]
fn nobody_is_sent_anywhere_but_to_our_own_pages() {
    let house = House::new();
    let mut browser = house.sign_in("alice");
    for rd in [
        "https://evil.test/",
        "//evil.test",
        "/\\evil.test",
        "https://app.foregate.localhost.evil.test/",
        "javascript:alert(1)",
        "https://app.foregate.localhost/",
        "http://app.foregate.localhost:1/",
        "http://x@app.foregate.localhost/",
        "/%09/evil.test",
        "\\\\evil.test",
    ] {
        let url =
            Url::parse_with_params(&house.url("auth", "/.foregate/sign-in"), [("rd", rd)]).expect("a URL");
        let to = browser.step("GET", &url, "").location();
        assert_eq!(to.host_str(), Some("auth.foregate.localhost"), "{rd} led to {to}");
    }
    let unescaped = Url::parse(&format!(
        "{}?rd={}",
        house.url("auth", "/.foregate/sign-in"),
        house.url("app", "/p?a=1&b=2")
    ))
    .expect("a URL");
    assert_eq!(browser.step("GET", &unescaped, "").location().as_str(), house.url("app", "/p?a=1&b=2"));
}

#[test]
fn a_provider_that_is_down_delays_sign_ins_and_never_the_start() {
    let port = free_port();
    let provider_port = free_port();
    let backend = Backend::start();
    let issuer = format!("http://127.0.0.1:{provider_port}/application/o/foregate/");
    let provider = format!(
        "[provider]\nissuer = \"{issuer}\"\nclient_id = \"foregate\"\nclient_secret = \"foregate-secret\"\n"
    );
    let foregate =
        Foregate::start_at(&config(port, "store = \"sqlite:DIR/f.db\"", &provider, &backend), port);
    let page = format!("http://app.foregate.localhost:{port}/");
    let mut browser = Browser::default();
    let reply = browser.step("GET", &Url::parse(&page).expect("a URL"), "");
    assert!(
        reply.status == 503 && reply.header("retry-after").is_some() && is_page(&reply, "Reference"),
        "{reply:?}"
    );
    let ready = crate::support::http::get(foregate.admin, "/readyz", &[]);
    assert!(
        ready.status == 200 && ready.json()["provider"]["ok"] == false,
        "told, but not unready: {ready:?}"
    );
    let _provider = Provider::for_foregate(
        &format!("http://auth.foregate.localhost:{port}"),
        json!({ "port": provider_port }),
    );
    let end = Instant::now() + Duration::from_secs(40);
    while browser.step("GET", &Url::parse(&page).expect("a URL"), "").status != 302 {
        assert!(Instant::now() < end, "it never recovers");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(browser.sign_in(&page, "alice").body.contains("remote-user: alice"));
}

#[test]
fn a_provider_on_an_internal_address_keeps_its_public_name() {
    let house_port = free_port();
    let public_url = format!("http://auth.foregate.localhost:{house_port}");
    // Browsers know it by a name that only they can resolve; the back channel goes to 127.0.0.1.
    let provider =
        Provider::for_foregate(&public_url, json!({ "publicOrigin": "http://id.foregate.localhost:PORT" }));
    assert!(provider.issuer.starts_with("http://id.foregate.localhost:"), "{}", provider.issuer);
    let backend = Backend::start();
    let table = format!("{}internal_url = \"http://127.0.0.1:{}\"\n", provider.config(), provider.port);
    let foregate =
        Foregate::start_at(&config(house_port, "store = \"sqlite:DIR/f.db\"", &table, &backend), house_port);
    let reply = Browser::default().sign_in(&format!("http://app.foregate.localhost:{house_port}/"), "alice");
    assert!(reply.body.contains("remote-user: alice"), "{reply:?} {:?}", foregate.log_lines());
    let token_call = provider
        .log()
        .into_iter()
        .find(|entry| entry["path"].as_str().is_some_and(|path| path.ends_with("/token/")));
    let host = token_call.expect("a token call")["host"].as_str().expect("a host").to_owned();
    assert_eq!(host, format!("id.foregate.localhost:{}", provider.port), "one Host, the public one");
}

#[test]
fn new_keys_of_the_provider_are_fetched_when_needed() {
    let house = House::new();
    house.sign_in("alice");
    let fetched = house.provider.asked("/jwks/");
    house.sign_in("bob");
    assert_eq!(house.provider.asked("/jwks/"), fetched, "kept");
    house.provider.control("rotate-keys", &Value::Null);
    // The first try may fall into the cool-down that protects the provider; the person just tries again.
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let mut browser = Browser::default();
        let reply = browser.sign_in(&house.url("app", "/"), "carol");
        if reply.status == 200 {
            break;
        }
        assert!(reply.status == 502 && Instant::now() < end, "{reply:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(house.provider.asked("/jwks/"), fetched + 1);
}

#[test]
fn every_way_a_provider_signs_and_asks_for_our_secret() {
    for options in [
        json!({ "idTokenAlg": "ES256" }),
        json!({ "idTokenAlg": "PS256" }),
        json!({ "idTokenAlg": "EdDSA" }),
        json!({ "idTokenAlg": "HS256", "clientSecret": "a-secret-of-at-least-thirty-two-bytes" }),
        json!({ "clientAuth": "client_secret_post" }),
        json!({ "clientAuth": "client_secret_basic", "clientSecret": "a:b/c+d%e f&g" }),
        json!({ "rotateRefresh": false }),
    ] {
        let house = House::with("store = \"sqlite:DIR/foregate.db\"", options.clone());
        let mut browser = Browser::default();
        let reply = browser.sign_in(&house.url("app", "/"), "alice");
        assert!(reply.status == 200, "{options}: {reply:?}\n{:#?}", house.foregate.log_lines());
    }
}

#[test]
fn sessions_outlive_a_restart() {
    let house = House::new();
    let browser = house.sign_in("alice");
    let House { provider, backend, foregate, config, port } = house;
    let foregate = foregate.restart(&config);
    let house = House { provider, backend, foregate, config, port };
    let reply = browser.clone().open(&house.url("app", "/after"));
    assert!(reply.status == 200 && reply.body.contains("remote-user: alice"), "{reply:?}");
}

#[test]
fn a_sign_in_under_way_outlives_a_restart() {
    let house = House::new();
    let mut browser = Browser::default();
    let callback = callback_for(&mut browser, &house.url("app", "/late?x=1"), "bob");
    let House { provider, backend, foregate, config, port } = house;
    let foregate = foregate.restart(&config);
    let house = House { provider, backend, foregate, config, port };
    let reply = browser.open(callback.as_str());
    assert!(reply.status == 200 && reply.body.starts_with("GET /late?x=1 "), "{reply:?}");
    drop(house);
}

#[test]
fn the_store_holds_neither_cookies_nor_tokens() {
    let mut house = House::new();
    let browser = house.sign_in("alice");
    house.foregate.stop();
    let mut dump = Vec::new();
    for entry in std::fs::read_dir(house.foregate.dir()).expect("a directory").map_while(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with("foregate.db")
            && !entry.file_name().to_string_lossy().ends_with("keys")
        {
            dump.extend(std::fs::read(entry.path()).expect("a file"));
        }
    }
    let holds = |part: &[u8]| dump.windows(part.len()).any(|window| window == part);
    assert!(holds(b"alice@example.com"), "the dump is the real one");
    let cookie = browser.cookie("foregate").expect("a session").value.clone();
    let handle = base64_url(&cookie);
    assert!(holds(&handle[..16]), "the half that only names it");
    assert!(!holds(cookie.as_bytes()) && !holds(&handle) && !holds(&handle[16..]) && !holds(&handle[16..32]));
    assert!(!holds(b"eyJ"), "no token in the clear");
}

fn base64_url(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

#[test]
fn two_replicas_share_everything_through_postgresql() {
    let session = format!("store = \"{}\"\nkeys = [\"{KEY}\"]", postgres::fresh_url());
    let house = House::with(&session, Value::Null);
    // The second one answers on another port, so only checks are asked of it.
    let other = Foregate::start(&house.config);
    let mut browser = Browser::default();
    let callback = callback_for(&mut browser, &house.url("app", "/page"), "alice");
    let mut elsewhere = callback.clone();
    elsewhere.set_port(Some(other.public.port())).expect("a port");
    let reply = browser.step("GET", &elsewhere, "");
    assert_eq!(reply.status, 303, "the other one finishes what this one began: {reply:?}");
    let cookie = format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value);
    let url = house.url("app", "/");
    for foregate in [&house.foregate, &other] {
        assert_eq!(foregate.check(&url, &[&cookie]).header("remote-user"), Some("alice"));
    }
    browser.open(&house.url("auth", "/.foregate/sign-out"));
    assert_eq!(house.foregate.check(&url, &[&cookie]).status, 401, "at once where it happened");
    let end = Instant::now() + Duration::from_secs(20);
    while other.check(&url, &[&cookie]).status == 200 {
        assert!(Instant::now() < end, "the other one never hears of it");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn without_the_database_those_in_memory_go_on_and_others_wait() {
    let mut server = postgres::Postgres::start();
    let session = format!("store = \"{}\"\nkeys = [\"{KEY}\"]", server.url());
    let house = House::with(&session, Value::Null);
    let browser = house.sign_in("alice");
    let known = format!("Cookie: foregate={}", browser.cookie("foregate").expect("a session").value);
    let unknown = format!("Cookie: foregate={}", "A".repeat(64));
    let mut late = Browser::default();
    let callback = callback_for(&mut late, &house.url("app", "/late"), "bob");
    let url = house.url("app", "/");
    server.kill_hard();
    assert_eq!(house.foregate.check(&url, &[&known]).header("remote-user"), Some("alice"));
    for lines in [vec![unknown.as_str()], vec![unknown.as_str(), NAVIGATES]] {
        let reply = house.foregate.check(&url, &lines);
        assert!(reply.status == 503 && reply.header("retry-after").is_some(), "{reply:?}");
    }
    assert_eq!(house.foregate.check(&url, &[]).status, 401, "who shows nothing needs no store");
    let reply = late.step("GET", &callback, "");
    assert!(
        reply.status == 503 && reply.header("retry-after").is_some() && late.cookie("foregate").is_none(),
        "{reply:?}"
    );
    let ready = crate::support::http::get(house.foregate.admin, "/readyz", &[]);
    assert!(ready.status == 503 && ready.json()["store"]["ok"] == false, "{ready:?}");
    let signed_out = browser.clone().step(
        "GET",
        &Url::parse(&house.url("auth", "/.foregate/sign-out")).expect("a URL"),
        "",
    );
    assert_eq!(signed_out.status, 503, "a sign-out that did not happen is not called one");
    server.restart();
    let end = Instant::now() + Duration::from_secs(20);
    while late.open(&house.url("app", "/late")).status != 200 {
        assert!(Instant::now() < end, "it never recovers");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(house.foregate.check(&url, &[&unknown]).status, 401);
}
