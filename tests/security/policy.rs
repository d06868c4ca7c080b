//! Rules: who may, whatever spelling of host, name or address they come with.

use std::collections::HashMap;

use serde_json::json;

use super::world::{
    ADMINS, APP, ENTRANCES, EVIDENCE, Entrance, Evidence, OPEN, RULES, World, assert_closed, assert_open,
    bearer, lines, stranger, told, world,
};
use crate::support::backend::Backend;
use crate::support::foregate::{Foregate, free_port};
use crate::support::http::{get, raw, request};
use crate::support::tls::Authority;

/// Frameworks act on a POST as on a DELETE where a header or a parameter says so.
///
/// Tried: the headers and parameters that are read so, through all entrances, where a rule asks for the method.
#[test]
fn a_method_beside_the_request_line_gets_around_no_rule() {
    let (world, bob) = (world(), world().cookie("bob"));
    let host = "methods.foregate.localhost";
    let ask = |entrance: Entrance, uri: &str, line: &str| {
        world.ask_by(entrance, "GET", ("http", host, uri), &[&bob, line])
    };
    for entrance in ENTRANCES {
        for uri in
            ["/?_method=POST", "/?a=b&%5Fmethod=post", "/?.method=POST", "/?X-HTTP-Method-Override=POST"]
        {
            assert_closed(&ask(entrance, uri, "X-Other: 1"), entrance, uri);
        }
        for name in [
            "X-HTTP-Method-Override",
            "X-Method-Override",
            "X-HTTP-Method",
            "x_http_method_override",
            "_method",
        ] {
            let reply = ask(entrance, "/", &format!("{name}: POST"));
            if entrance.is_check() {
                assert_closed(&reply, entrance, name);
            } else {
                // foregate itself takes it off.
                assert_open(&reply, entrance, name);
                assert!(!reply.body.contains(": POST"), "{reply:?}");
            }
        }
        // The outpost's address for nginx is told no method.
        if entrance != Entrance::OutpostNginx {
            assert_open(
                &ask(entrance, "/?method=POST", "X-HTTP-Method-Override: get"),
                entrance,
                "the same method",
            );
            assert_open(
                &world.ask(entrance, APP, "/?_method=POST", &[&bob]),
                entrance,
                "no rule asks for methods",
            );
        }
    }
}

/// `CVE-2021-21411 / GHSA-652x-m2gr-hppm` oauth2-proxy: an option that lets in fewer people, and silently lets in all.
///
/// Tried: each term of a rule, with whoever should be refused, through all entrances with each kind of evidence; and
/// options that are unknown, misspelt or without effect, which stop the start.
#[test]
fn cve_2021_21411_every_restriction_restricts() {
    let world = world();
    for host in [
        "admins",
        "user",
        "company",
        "claim",
        "role",
        "permission",
        "lan",
        "both",
        "nobody",
        "fresh",
        "strict.wild",
    ] {
        let host = format!("{host}.foregate.localhost");
        for evidence in EVIDENCE {
            let shown = world.shows(evidence, "bob");
            for entrance in ENTRANCES {
                let reply = world.ask(entrance, &host, "/", &lines(&shown));
                let wanted: &[u16] = if host.starts_with("fresh") { &[401, 302, 403] } else { &[403] };
                assert!(wanted.contains(&reply.status), "{entrance:?} {host} {evidence:?}: {reply:?}");
            }
        }
        world.is_closed(&host, "/", &[]);
    }
    for host in ["admins", "user", "role", "permission", "both", "strict.wild", "mail", "app"] {
        let host = format!("{host}.foregate.localhost");
        for evidence in EVIDENCE {
            let shown = world.shows(evidence, "alice");
            for entrance in ENTRANCES {
                assert_open(&world.ask(entrance, &host, "/", &lines(&shown)), entrance, (&host, evidence));
            }
        }
    }
    // A method is its own letters: software that folds their case would step around a rule for one.
    let bob = world.cookie("bob");
    for method in ["POST", "post", "Post", "pOST", "POST ", "P\u{f6}ST"] {
        for entrance in ENTRANCES {
            let reply = world.ask_by(entrance, method, ("http", "methods.foregate.localhost", "/"), &[&bob]);
            // The outpost's address for nginx is told no method, and answers for no app that has rules for one.
            assert_closed(&reply, entrance, method);
        }
    }
    for (from, to) in [
        ("\"group:Home Server Admins\"", "\"grup:Home Server Admins\""),
        ("\"group:Home Server Admins\"", "\"group:\""),
        ("\"group:Home Server Admins\"", "\"Home Server Admins\""),
        ("\"group:Home Server Admins\"", "[]"),
        ("\"group:Home Server Admins\"", "{ al = [\"group:x\"] }"),
        ("\"role:keeper\"", "\"role:keper\""),
        ("\"permission:kb:write\"", "\"permission:kb:wrte\""),
        ("\"network:10.0.0.0/8\"", "\"network:10.0.0.0/33\""),
        ("\"email:*@company.test\"", "\"email:company.test\""),
        ("path = \"/admin/**\"", "path = \"/admin/**\", method = [\"GET\"]"),
        ("path = \"/admin/**\"", "path = \"/admin/**\", methods = []"),
        ("path = \"/admin/**\"", "paths = [\"/admin/**\"]"),
        ("path = \"/admin/**\"", "path = \"admin/**\""),
        ("path = \"/admin/**\"", "path = \"/admin**\""),
        ("max_auth_age = \"10m\"", "max_auth_age = \"10\""),
        ("max_auth_age = \"10m\"", "max_age = \"10m\""),
        ("[bearer]", "[bearer]\nallowed_groups = [\"x\"]"),
        ("[session]", "[session]\ncookie_domian = \"x\""),
        ("[apps.\"app.foregate.localhost\"]", "[apps.\"app.foregate.localhost\"]\nprovider = \"nobody\""),
        ("[apps.\"app.foregate.localhost\"]", "[apps.\"app.foregate.localhost\"]\nallowed_groups = [\"x\"]"),
    ] {
        assert!(world.config.contains(from), "{from}");
        let (code, told) = Foregate::refuses(&world.config.replacen(from, to, 1));
        assert_eq!(code, Some(1), "{to}: {told}");
    }
}

/// `traefik/traefik#12657; goauthentik/authentik#24320 review` Traefik, authentik: `Forwarded` of RFC 7239, which the front
/// proxy hands on as it came.
///
/// Tried: all entrances, alone and beside the real headers; an address for a network rule.
#[test]
fn traefik_traefik_12657_forwarded_counts_for_nothing() {
    let world = world();
    let bob = world.cookie("bob");
    for line in [
        "Forwarded: host=open.foregate.localhost;proto=https;for=10.0.0.1",
        "Forwarded: for=10.0.0.1, for=10.0.0.2;host=\"open.foregate.localhost\"",
        "forwarded: FOR=10.0.0.1;HOST=open.foregate.localhost",
    ] {
        for host in [ADMINS, "lan.foregate.localhost"] {
            world.is_closed(host, "/", &[line, &bob]);
            world.is_closed(host, "/", &[line]);
        }
        for address in ["traefik", "nginx", "caddy", "haproxy"] {
            let reply = get(world.foregate.public, &format!("/.foregate/auth/{address}"), &[line]);
            assert_eq!(reply.status, 400, "{address}: {reply:?}");
        }
    }
}

/// `CVE-2026-48794 / GHSA-j748-h363-wqj8` Authelia: another case of the host, so that the wider of two rules counts.
///
/// Tried: all entrances with each kind of evidence, every spelling of a host that has a stricter line below a wildcard.
#[test]
fn cve_2026_48794_a_host_is_one_host_in_any_case() {
    let world = world();
    for host in [
        "STRICT.wild.foregate.localhost",
        "strict.WILD.foregate.localhost",
        "strict.wild.Foregate.LocalHost",
        "strict.wild.foregate.localhost.",
        "Strict.Wild.foregate.localhost:80",
        "strict.wild.foregate.localhost:443",
    ] {
        for evidence in EVIDENCE {
            let (bob, alice) = (world.shows(evidence, "bob"), world.shows(evidence, "alice"));
            for entrance in ENTRANCES {
                let reply = world.ask(entrance, host, "/", &lines(&bob));
                assert_closed(&reply, entrance, (host, evidence));
                let reply = world.ask(entrance, host, "/", &lines(&alice));
                assert!((200..300).contains(&reply.status) || reply.status == 400, "{host}: {reply:?}");
            }
        }
    }
    for host in [
        "strict%2ewild.foregate.localhost",
        "ſtrict.wild.foregate.localhost",
        "strict.wild.foregate.localhost\u{200b}",
        "x.strict.wild.foregate.localhost",
    ] {
        world.is_closed(host, "/", &[&world.cookie("bob")]);
    }
}

/// `CVE-2026-27588` Caddy: in a long list of hosts, another case of one is none of them.
///
/// Tried: all entrances as nobody and as somebody who may not, with 300 hosts that are stricter than the wildcard above them:
/// the first, the middle and the last in every case, with dots, ports and encodings, and one whose name is not ASCII.
#[test]
fn cve_2026_27588_of_many_hosts_each_is_one_in_any_spelling() {
    let backend = Backend::start();
    let app = |host: &str, allow: &str| {
        let upstream = backend.url();
        format!("[apps.\"{host}.foregate.localhost\"]\nupstream = \"{upstream}\"\nallow = \"{allow}\"\n")
    };
    let strict = "group:Home Server Admins";
    let tables: String = (0..300)
        .map(|number| app(&format!("h{number}.long"), strict))
        .chain([app("xn--bcher-kva.long", strict), app("*.long", "public")])
        .collect();
    let world = World::with(&tables, |config| config);
    let (alice, bob) = (world.cookie("alice"), world.cookie("bob"));
    for name in ["h0", "h150", "h299", "xn--bcher-kva"] {
        let host = format!("{name}.long.foregate.localhost");
        let capital = host[..1].to_ascii_uppercase() + &host[1..];
        for spelling in [
            host.clone(),
            capital,
            host.to_ascii_uppercase(),
            host.replace("long", "LoNg"),
            host.replace("localhost", "LOCALHOST"),
            format!("{host}."),
            format!("{}.", host.to_ascii_uppercase()),
            format!("{host}:80"),
            format!("{host}.:80"),
            format!("{host}:443"),
            format!("{host}:{}", world.port),
            format!("{}:{}", host.to_ascii_uppercase(), world.port),
        ] {
            for entrance in ENTRANCES {
                assert_closed(&world.ask(entrance, &spelling, "/", &[]), entrance, &spelling);
                assert_closed(&world.ask(entrance, &spelling, "/", &[&bob]), entrance, &spelling);
            }
        }
        for entrance in ENTRANCES {
            assert_open(&world.ask(entrance, &host, "/", &[&alice]), entrance, &host);
        }
    }
    for spelling in [
        "h150%2elong.foregate.localhost",
        "%68150.long.foregate.localhost",
        "h150..long.foregate.localhost",
        "h150.long.foregate.localhost..",
        "\u{ff48}150.long.foregate.localhost",
        "h150\u{3002}long.foregate.localhost",
        "h150.long.foregate.localhost\u{ad}",
        "h150\u{200b}.long.foregate.localhost",
        "b\u{fc}cher.long.foregate.localhost",
        "B\u{dc}CHER.long.foregate.localhost",
        "bu\u{308}cher.long.foregate.localhost",
        "XN--BCHER-KVA.long.foregate.localhost",
        "xn--BCHER-kva.long.foregate.localhost",
    ] {
        world.is_closed(spelling, "/", &[]);
        world.is_closed(spelling, "/", &[&bob]);
    }
    for entrance in ENTRANCES {
        assert_open(
            &world.ask(entrance, "h300.long.foregate.localhost", "/", &[]),
            entrance,
            "the wildcard is there",
        );
    }
}

/// `CVE-2022-23632 / GHSA-hrhx-6h34-j5hc` Traefik: a host with a dot at its end, with a port, twice, or none.
///
/// Tried: all entrances; request lines with another host than `Host`.
#[test]
fn cve_2022_23632_no_spelling_of_a_host_is_laxer() {
    let world = world();
    let port = world.port;
    for host in [
        "admins.foregate.localhost.",
        "admins.foregate.localhost..",
        "admins.foregate.localhost:443",
        "admins.foregate.localhost:80",
        &format!("admins.foregate.localhost:{port}"),
        "admins.foregate.localhost.:80",
        "admins.foregate.localhost:",
        "admins.foregate.localhost:99999",
        "admins.foregate.localhost:80:80",
        "[::1]",
        "[::1]:80",
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "localhost",
        "",
        " ",
        ".",
        "*",
        "open.foregate.localhost,admins.foregate.localhost",
        "open.foregate.localhost\tadmins.foregate.localhost",
        "open.foregate.localhost@admins.foregate.localhost",
        "admins.foregate.localhost#open.foregate.localhost",
        "admins.foregate.localhost?open.foregate.localhost",
        "admins.foregate.localhost/open.foregate.localhost",
        "xn--.foregate.localhost",
    ] {
        world.is_closed(host, "/", &[]);
        world.is_closed(host, "/", &[&world.cookie("bob")]);
    }
    let alice = world.cookie("alice");
    for (target, hosts) in [
        ("http://open.foregate.localhost/", &["Host: admins.foregate.localhost"][..]),
        ("http://admins.foregate.localhost/", &["Host: open.foregate.localhost"]),
        ("http://x@open.foregate.localhost/", &["Host: open.foregate.localhost"]),
        ("/", &["Host: open.foregate.localhost", "Host: admins.foregate.localhost"]),
        ("/", &["Host: open.foregate.localhost", "host: open.foregate.localhost"]),
        ("/", &["Host:"]),
        ("/", &["Host: open.foregate.localhost", "Host:"]),
    ] {
        for lines in [hosts.to_vec(), [hosts, &[alice.as_str()]].concat()] {
            let bytes = request("GET", target, &lines, "");
            let reply = raw(world.foregate.public, bytes.as_bytes());
            assert_eq!(reply.status, 400, "{target} {lines:?}: {reply:?}");
        }
    }
}

/// `CVE-2018-21246; CVE-2026-48491, CVE-2026-53622` Caddy, Traefik: the name of a lax host in the TLS handshake, that of a strict
/// one in the request.
///
/// Tried: the reverse proxy over TLS with HTTP/1.1, both ways round, several requests on one connection.
#[test]
fn cve_2018_21246_the_handshake_names_no_host() {
    let (authority, backend) = (Authority::new(), Backend::start());
    authority.write("a", &["*.foregate.localhost"]);
    let server = format!(
        "listen = \"LISTEN\"\n[server.tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
        authority.file("a.crt"),
        authority.file("a.key")
    );
    let foregate = Foregate::start(&crate::tls::config(&server, &backend));
    for name in ["open.foregate.localhost", "closed.foregate.localhost", "other.foregate.localhost"] {
        for (host, status) in [("closed", "401"), ("open", "200"), ("other", "404"), ("closed", "401")] {
            let mut secure = authority.connect(foregate.public, name, &["http/1.1"]).expect("a handshake");
            secure.write(
                format!("GET / HTTP/1.1\r\nHost: {host}.foregate.localhost\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            );
            let mut answer = Vec::new();
            let _ = std::io::Read::read_to_end(&mut secure.0, &mut answer);
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name} {host}: {answer}");
        }
    }
}

/// `CVE-2026-54762, CVE-2026-27586; tinyauth@287c6f9` Traefik, Caddy, Tinyauth: what a decision rests on is gone while it
/// runs.
///
/// Tried: a reload of a file that is empty, cut off, without its apps or with a secret that is not there: what was in force
/// stays so. A start with such a file is none.
#[test]
fn cve_2026_54762_a_policy_that_cannot_be_read_is_no_empty_one() {
    let world = World::new();
    let bob = world.cookie("bob");
    let gone = world.config.replace(
        "client_secret = \"the-client-secret-of-foregate-at-it\"",
        "client_secret_file = \"DIR/gone\"",
    );
    let half = world.config.split("[apps.\"admins").next().expect("a half").to_owned() + "[apps.\"admins";
    let wrong = world.config.replace("\"group:Home Server Admins\"", "\"group:{x}\"");
    for (round, broken) in [gone, half, wrong, "\0".to_owned(), "allow =".to_owned()].into_iter().enumerate()
    {
        world.foregate.rewrite(&broken);
        world.foregate.hang_up();
        let refused = "the new configuration is refused";
        crate::support::upstream::until("a refusal", || world.foregate.logged(refused) > round);
        for entrance in ENTRANCES {
            assert_closed(&world.ask(entrance, ADMINS, "/", &[&bob]), entrance, &broken);
            assert_open(&world.ask(entrance, APP, "/", &[&bob]), entrance, "goes on");
        }
        let (code, _) = Foregate::refuses(&broken);
        assert_eq!(code, Some(1), "{broken}");
    }
}

/// `CVE-2024-47070` authentik: an address in `X-Forwarded-For` that is none.
///
/// Tried: all entrances, on a host that only a network may use and on one where it does not matter.
#[test]
fn cve_2024_47070_an_address_that_is_none_is_in_no_network() {
    let world = world();
    for value in [
        "a",
        ", ,",
        "[::1",
        "1.2.3.4:port",
        "",
        "10.0.0.1.",
        "10.0.0",
        "0xa.0.0.1",
        "010.0.0.1",
        "10.0.0.1/8",
        "10.0.0.1, evil",
        "unknown",
        "_hidden",
        "\u{80}",
        "10.0.0.1%eth0",
        "::ffff:10.0.0.1.evil",
    ] {
        let line = format!("X-Forwarded-For: {value}");
        world.is_closed("lan.foregate.localhost", "/", &[&line]);
        let bob = world.cookie("bob");
        for entrance in ENTRANCES {
            assert_open(&world.ask(entrance, APP, "/", &[&line, &bob]), entrance, value);
        }
    }
    for entrance in ENTRANCES.into_iter().filter(|entrance| entrance.is_check()) {
        let reply = world.ask(entrance, "lan.foregate.localhost", "/", &["X-Forwarded-For: 10.1.2.3"]);
        assert_open(&reply, entrance, "the rule is there");
    }
}

/// `CVE-2024-21494; CVE-2023-36456` caddy-security, authentik: a client that puts an address of its choice into `X-Forwarded-For`.
///
/// Tried: all entrances on a host that only a network may use, behind one and behind two proxies that are trusted: every place of
/// the list, several lines, ports, brackets, zones, empty parts and words; and from a peer that is not trusted.
#[test]
fn cve_2024_21494_the_nearest_hop_that_is_not_trusted_is_the_client() {
    let lan = "lan.foregate.localhost";
    let with = |trusted: &str| {
        World::with("", |config| {
            config.replace("[session]", &format!("trusted_proxies = [{trusted}]\n[session]"))
        })
    };
    let ask = |world: &World, entrance: Entrance, values: &[&str]| {
        let all: Vec<String> = values.iter().map(|value| format!("X-Forwarded-For: {value}")).collect();
        world.ask(entrance, lan, "/", &lines(&all))
    };
    let near = with("\"127.0.0.0/8\", \"192.0.2.0/24\"");
    for (values, is_in) in [
        (&["10.1.2.3"][..], true),
        (&["203.0.113.7, 10.1.2.3"], true),
        (&["10.1.2.3, 192.0.2.1"], true),
        (&["203.0.113.7,10.1.2.3,192.0.2.1 , 127.0.0.1"], true),
        (&["203.0.113.7", "10.1.2.3"], true),
        (&["10.1.2.3", "192.0.2.1"], true),
        (&["unknown, 10.1.2.3"], true),
        // What stands before the nearest of them is the client's own word.
        (&["10.1.2.3, 203.0.113.7"], false),
        (&["10.1.2.3, 10.1.2.3, 203.0.113.7"], false),
        (&["10.1.2.3, 203.0.113.7, 192.0.2.1"], false),
        (&["10.1.2.3", "203.0.113.7"], false),
        (&["10.1.2.3", "203.0.113.7", "192.0.2.1"], false),
        (&["10.1.2.3, 203.0.113.7", "192.0.2.1, 127.0.0.1"], false),
        // What cannot be read ends the walk, and nobody before it counts.
        (&["10.1.2.3, unknown"], false),
        (&["10.1.2.3, _hidden, 192.0.2.1"], false),
        (&["10.1.2.3,"], false),
        (&["10.1.2.3, , 192.0.2.1"], false),
        (&["10.1.2.3", ""], false),
        (&["10.1.2.3, 192.0.2.1:443"], false),
        (&["10.1.2.3, [::1]"], false),
        (&["10.1.2.3; 192.0.2.1"], false),
        (&["10.1.2.3 192.0.2.1"], false),
        (&["\"10.1.2.3\""], false),
        (&["for=10.1.2.3"], false),
        (&["10.1.2.3:443"], false),
        (&["[10.1.2.3]"], false),
        (&["[::ffff:10.1.2.3]:443"], false),
        (&["::ffff:10.1.2.3%1"], false),
        (&["10.1.2.3\t203.0.113.7"], false),
        // Of proxies alone, the farthest is whoever asks.
        (&["192.0.2.1"], false),
        (&["127.0.0.1, 192.0.2.1"], false),
        (&["192.0.2.1, 127.0.0.1"], false),
        (&[], false),
    ] {
        for entrance in ENTRANCES {
            let reply = ask(&near, entrance, values);
            assert_eq!((200..300).contains(&reply.status), is_in, "{entrance:?} {values:?}: {reply:?}");
            assert!(is_in || reply.status / 100 == 4, "{entrance:?} {values:?}: {reply:?}");
        }
    }
    // Other names for it are nobody's.
    for name in
        ["X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP", "Client-IP", "X-ProxyUser-Ip"]
    {
        near.is_closed(lan, "/", &[&format!("{name}: 10.1.2.3")]);
        near.is_closed(lan, "/", &[&format!("{name}: 10.1.2.3"), "X-Forwarded-For: 203.0.113.7"]);
    }
    let far = with("\"192.0.2.0/24\"");
    for entrance in ENTRANCES {
        for values in [&["10.1.2.3"][..], &["10.1.2.3, 192.0.2.1"], &["203.0.113.7", "10.1.2.3"]] {
            assert_closed(&ask(&far, entrance, values), entrance, ("a stranger's word", values));
        }
    }
}

/// `GHSA-7jmw-8259-q9jx` Traefik: an IPv4 address in the clothes of IPv6.
///
/// Tried: a socket for both, a network rule, and peers that are trusted by their IPv4 network.
#[test]
fn ghsa_7jmw_8259_q9jx_a_mapped_address_is_the_address() {
    let world = world();
    for entrance in ENTRANCES.into_iter().filter(|entrance| entrance.is_check()) {
        for (address, is_in) in [
            ("::ffff:10.1.2.3", true),
            ("::FFFF:0a01:0203", true),
            ("::ffff:11.1.2.3", false),
            ("::10.1.2.3", false),
            ("64:ff9b::10.1.2.3", false),
        ] {
            let line = format!("X-Forwarded-For: {address}");
            let reply = world.ask(entrance, "lan.foregate.localhost", "/", &[&line]);
            assert_eq!((200..300).contains(&reply.status), is_in, "{entrance:?} {address}: {reply:?}");
        }
    }
    let port = free_port();
    let own = |trusted: &str| {
        world.config.replace(
            "listen = \"LISTEN\"",
            &format!("listen = \"[::]:{port}\"\ntrusted_proxies = [\"{trusted}\"]"),
        )
    };
    for (trusted, is_trusted) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let foregate = Foregate::start_at(&own(trusted), port);
        let bytes = Entrance::Traefik.bytes("GET", ("http", OPEN, "/"), &[]);
        let reply = raw(foregate.public, &bytes);
        assert_eq!(reply.status == 200, is_trusted, "{trusted}: {reply:?}");
    }
}

/// `CVE-2021-32701 / GHSA-qvp4-rpmr-xwrr; lua-resty-openidc#399` Oathkeeper, lua-resty-openidc: a token that counted on a lax
/// route, remembered for a strict one.
///
/// Tried: all entrances, one token, one cookie and one password, to and fro between rules of every kind.
#[test]
fn cve_2021_32701_rules_are_asked_each_time() {
    let world = world();
    for evidence in EVIDENCE {
        let shown = world.shows(evidence, "bob");
        for entrance in ENTRANCES {
            for _ in 0..2 {
                assert_open(&world.ask(entrance, APP, "/", &lines(&shown)), entrance, evidence);
                assert_open(&world.ask(entrance, RULES, "/x", &lines(&shown)), entrance, evidence);
                for (host, uri) in [(ADMINS, "/"), (RULES, "/admin/"), ("claim.foregate.localhost", "/")] {
                    let reply = world.ask(entrance, host, uri, &lines(&shown));
                    assert_eq!(reply.status, 403, "{entrance:?} {evidence:?} {host}{uri}: {reply:?}");
                }
            }
        }
    }
}

/// `rauthy#1208 (v0.32.4)` Rauthy: signed in through an app for everybody, then on to one for few.
///
/// Tried: all entrances with the cookie of one sign-in.
#[test]
fn rauthy_1208_one_sign_in_is_not_every_app() {
    let world = World::new();
    let mut browser = stranger("bob");
    let reply = browser.open(&world.url("app", "/"));
    assert!(reply.status == 200 && reply.body.contains("remote-user: bob"), "{reply:?}");
    let cookie = super::world::cookie_of(&browser);
    for entrance in ENTRANCES {
        assert_open(&world.ask(entrance, APP, "/", &[&cookie]), entrance, "the app of the sign-in");
        for host in ["admins", "user", "claim", "nobody", "strict.wild"] {
            let reply = world.ask(entrance, &format!("{host}.foregate.localhost"), "/", &[&cookie]);
            assert_eq!(reply.status, 403, "{entrance:?} {host}: {reply:?}");
        }
    }
}

/// `pomerium#6590; authelia@2970dd89d, @b64c19a67` Pomerium, Authelia: the cookie of one person and the token of another.
///
/// Tried: all entrances, every pair of evidence of two people, on hosts that only one of them may use; a public page with
/// credentials of the app's own.
#[test]
fn pomerium_6590_two_people_are_never_one() {
    let world = world();
    for (first, second) in [("alice", "bob"), ("bob", "alice")] {
        let cookie = world.cookie(first);
        for other in [Evidence::Bearer, Evidence::Basic] {
            let shown = [vec![cookie.clone()], world.shows(other, second)].concat();
            for entrance in ENTRANCES {
                let reply = world.ask(entrance, APP, "/", &lines(&shown));
                assert_eq!(
                    told(entrance, &reply, "remote-user"),
                    [first],
                    "{entrance:?}: the session counts"
                );
                let groups = told(entrance, &reply, "remote-groups");
                assert_eq!(groups.join(",").contains("Admins"), first == "alice", "{entrance:?} {groups:?}");
                let reply = world.ask(entrance, ADMINS, "/", &lines(&shown));
                assert_eq!((200..300).contains(&reply.status), first == "alice", "{entrance:?}: {reply:?}");
            }
        }
    }
    // Two tokens, or a token and a password, are no evidence at all.
    let [bob, alice] = ["bob", "alice"].map(|user| world.shows(Evidence::Bearer, user).remove(0));
    for lines in
        [vec![&*bob, &*alice], vec![&*alice, &*bob], vec![&*alice, "Authorization: Basic Ym9iOmFwcC1ib2I="]]
    {
        world.is_closed(APP, "/", &lines);
    }
    for own in
        ["Authorization: Basic b2Y6YXBw", "Authorization: Bearer of-the-app", "Authorization: Digest x=y"]
    {
        let reply = world.ask(Entrance::Proxy, OPEN, "/", &[own]);
        assert_eq!(
            told(Entrance::Proxy, &reply, "authorization"),
            [own.trim_start_matches("Authorization: ")]
        );
        assert_eq!(told(Entrance::Proxy, &reply, "remote-user"), [""]);
    }
}

/// `vouch-proxy@cfc3608; traefik-forward-auth ValidateDomains` vouch-proxy, traefik-forward-auth: an address that holds the
/// company's domain, and is of another one.
///
/// Tried: all entrances by bearer token, two of them by a sign-in.
#[test]
fn vouch_proxy_cfc3608_a_domain_is_all_that_is_behind_the_last_at() {
    let world = World::new();
    let host = "company.foregate.localhost";
    let with = |email: &str| bearer(&world.provider.access_token("bob", json!({ "email": email })));
    for email in ["x@company.test", "X@Company.TEST"] {
        for entrance in ENTRANCES {
            assert_open(&world.ask(entrance, host, "/", &[&with(email)]), entrance, email);
        }
    }
    for email in [
        "x@company.test.evil.test",
        "x@evil-company.test",
        "company.test@evil.test",
        "x@company.test@evil.test",
        "x@sub.company.test",
        "@company.test",
        "x@company.test ",
        "x@company.test\n",
        "x@company.test.",
        "company.test",
        "x@companyXtest",
        "x@evil.test\u{0}@company.test\u{0}",
        "x@company.test,y@evil.test",
        "\"x@company.test\"@evil.test",
        "x@company.tes",
        "x@ompany.test",
        "",
        "*@company.test.",
    ] {
        for entrance in ENTRANCES {
            let reply = world.ask(entrance, host, "/", &[&with(email)]);
            assert!(matches!(reply.status, 401 | 403), "{entrance:?} {email:?}: {reply:?}");
        }
    }
    let twice = with("x@evil.test@company.test");
    for entrance in ENTRANCES {
        assert_closed(&world.ask(entrance, host, "/", &[&twice]), entrance, "two @");
    }
}

/// `CVE-2026-33544 / GHSA-9q5m-jfc4-wc92` Tinyauth: two people sign in at the same moment, and one gets the other's session.
///
/// Tried: 400 sign-ins of eight people at once by the whole flow.
#[test]
fn cve_2026_33544_nobody_gets_somebody_elses_sign_in() {
    let world = World::new();
    std::thread::scope(|scope| {
        for user in ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"] {
            let world = &world;
            scope.spawn(move || {
                for round in 0..50 {
                    let mut browser = stranger(user);
                    let reply = browser.open(&world.url("app", &format!("/{user}/{round}")));
                    assert!(reply.body.contains(&format!("remote-user: {user}\r\n")), "{user}: {reply:?}");
                    assert!(reply.body.starts_with(&format!("GET /{user}/{round} ")), "{user}: {reply:?}");
                    assert!(
                        reply.body.contains(&format!("remote-email: {user}@example.com\r\n")),
                        "{reply:?}"
                    );
                }
            });
        }
    });
}

/// `caddyserver/caddy#7859` Caddy: a request that is judged for one app and sent to another.
///
/// Tried: the reverse proxy with six apps on six backends and on kept connections, in parallel.
#[test]
fn caddyserver_caddy_7859_a_request_goes_where_it_was_judged_for() {
    let backends: HashMap<String, Backend> =
        (0..6).map(|number| (format!("many{number}"), Backend::start())).collect();
    let tables: String = backends
        .iter()
        .map(|(name, backend)| {
            format!(
                "[apps.\"{name}.foregate.localhost\"]\nallow = \"public\"\nupstream = \"{}\"\n",
                backend.url()
            )
        })
        .collect();
    let world = World::with(&tables, |config| config);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let world = &world;
            scope.spawn(move || {
                let mut wire = crate::support::http::Wire::open(world.foregate.public);
                for round in 0..150 {
                    let host = format!("many{}.foregate.localhost", (round + thread) % 6);
                    let checked = Entrance::Traefik.bytes("GET", ("http", OPEN, "/"), &[]);
                    wire.write(format!("GET /{host}/{round} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
                    let reply = wire.read(false).expect("an answer");
                    assert!(reply.body.contains(&format!("GET /{host}/{round} ")), "{reply:?}");
                    assert_eq!(raw(world.foregate.public, &checked).status, 200);
                }
            });
        }
    });
    for (name, backend) in &backends {
        let seen = backend.seen();
        assert_eq!(seen.len(), 100, "{name}");
        assert!(seen.iter().all(|request| request.starts_with(&format!("GET /{name}."))), "{name}: {seen:?}");
    }
}

/// `oauth2-proxy@44d83e5f; pomerium#4344` oauth2-proxy, Pomerium: signed in, and not allowed.
///
/// Tried: all entrances with each kind of evidence, as a person and as a program; never a way to sign in again.
#[test]
fn oauth2_proxy_44d83e5f_another_sign_in_is_no_cure_for_a_no() {
    let world = world();
    for evidence in EVIDENCE {
        let shown = world.shows(evidence, "bob");
        for accept in ["Accept: text/html", "Accept: application/json"] {
            let all: Vec<&str> = lines(&shown).into_iter().chain([accept]).collect();
            for entrance in ENTRANCES {
                let reply = world.ask(entrance, ADMINS, "/", &all);
                assert_eq!(
                    (reply.status, reply.header("location")),
                    (403, None),
                    "{entrance:?} {evidence:?}"
                );
                let is_page = accept.contains("html") && evidence == Evidence::Cookie;
                if is_page && entrance.redirects() && entrance != Entrance::Haproxy {
                    assert!(reply.body.contains("/.foregate/sign-out"), "{entrance:?}: {reply:?}");
                }
            }
        }
    }
}

/// `authelia#1624; nginx/kubernetes-ingress#9626` Authelia, nginx: the host of the sign-in behind the check itself.
///
/// Tried: all checks about every own address, with and without a session; none leads to itself.
#[test]
fn authelia_1624_the_own_host_is_no_circle() {
    let world = world();
    for entrance in ENTRANCES.into_iter().filter(|entrance| entrance.is_check()) {
        for page in [
            "sign-in",
            "callback?code=x&state=y",
            "sign-out",
            "signed-out",
            "account",
            "session",
            "jwks.json",
        ] {
            let reply = world.ask(
                entrance,
                "auth.foregate.localhost",
                &format!("/.foregate/{page}"),
                &["Accept: text/html"],
            );
            assert_open(&reply, entrance, page);
        }
        for page in ["/", "/other", "/.foregate/other"] {
            let reply = world.ask(entrance, "auth.foregate.localhost", page, &["Accept: text/html"]);
            let to_itself =
                reply.header("location").is_some_and(|to| to.contains("//auth.foregate.localhost"));
            assert!(!to_itself, "{entrance:?} {page}: {reply:?}");
        }
    }
}

/// `tinyauth#1021` Tinyauth: the app is the parent domain itself, and the sign-in a host below it.
///
/// Tried: the whole flow by the reverse proxy, and a check of every kind with the cookie.
#[test]
fn tinyauth_1021_the_parent_domain_can_be_an_app() {
    let world = World::with("", |config| {
        config.replace("[apps.\"app.foregate.localhost\"]", "[apps.\"foregate.localhost\"]")
    });
    let mut browser = stranger("alice");
    let page = format!("http://foregate.localhost:{}/deep?x=1", world.port);
    let reply = browser.open(&page);
    assert!(reply.status == 200 && reply.body.starts_with("GET /deep?x=1 "), "{reply:?}");
    assert_eq!(browser.visited.last().map(url::Url::as_str), Some(&*page));
    let cookie = super::world::cookie_of(&browser);
    for entrance in ENTRANCES {
        assert_open(&world.ask(entrance, "foregate.localhost", "/", &[&cookie]), entrance, "the parent");
        assert_closed(&world.ask(entrance, "xforegate.localhost", "/", &[&cookie]), entrance, "another");
    }
}

/// `kubernetes/ingress-nginx#4278, authelia#3177` ingress-nginx: a cache in the front proxy whose key lacks the cookie.
///
/// Tried: every answer of every check and of the own addresses says that nobody may keep it; the page about nginx says what
/// a key must hold.
#[test]
fn kubernetes_ingress_nginx_4278_nobody_keeps_an_answer() {
    let world = world();
    let (alice, bob) = (world.cookie("alice"), world.cookie("bob"));
    for entrance in ENTRANCES.into_iter().filter(|entrance| entrance.is_check()) {
        for (host, lines) in [
            (APP, vec![&*alice]),
            (OPEN, vec![]),
            (APP, vec![]),
            (APP, vec!["Accept: text/html"]),
            (ADMINS, vec![&*bob]),
            ("unknown.test", vec![]),
        ] {
            let reply = world.ask(entrance, host, "/", &lines);
            let said = reply.header("cache-control");
            assert!(
                said.is_some_and(|said| said.contains("no-store")),
                "{entrance:?} {host} {lines:?}: {reply:?}"
            );
        }
        let malformed = world.ask_by(entrance, "GET", ("http", APP, "/%zz"), &[]);
        assert_eq!(malformed.header("cache-control"), Some("no-store"), "{entrance:?}: {malformed:?}");
    }
    let guide = include_str!("../../docs/front-proxies.md");
    assert!(
        guide.contains("the key needs the cookie, the host"),
        "docs/front-proxies.md tells what a cache's key must hold"
    );
}
