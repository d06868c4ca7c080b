//! `foregate import`: configurations as they are found, what becomes of them, and that nobody gets in by it who was kept
//! out.
//!
//! `WRITE_SNAPSHOTS=1 cargo test --test it import` writes what is expected anew.

mod strictness;

use std::path::{Path, PathBuf};

use crate::support::foregate::{Foregate, PROGRAM, run};

/// A source, and what a foregate that runs with the result says to somebody who has not signed in.
struct Case {
    name: &'static str,
    args: &'static [&'static str],
    code: i32,
    open: &'static [&'static str],
    closed: &'static [&'static str],
}

const CASES: [Case; 12] = [
    Case {
        name: "oauth2-proxy",
        args: &["oauth2-proxy", "oauth2-proxy.cfg"],
        code: 0,
        open: &["https://wiki.example.com/health", "https://wiki.example.com/static/a/b.js"],
        closed: &[
            "https://wiki.example.com/",
            "https://wiki.example.com/static",
            "https://wiki.example.com/healthy",
            "https://wiki.example.com/assets/a.css",
            "https://wiki.example.com/hooks/x",
            "https://other.example.com/health",
        ],
    },
    Case {
        name: "oauth2-proxy-github",
        args: &["oauth2-proxy", "oauth2-proxy-github.cfg"],
        code: 1,
        open: &[],
        closed: &["https://tools.example.com/"],
    },
    Case {
        name: "oauth2-proxy-alpha",
        args: &["oauth2-proxy", "oauth2-proxy-alpha.yaml", "--env", "oauth2-proxy-alpha.env"],
        code: 0,
        open: &[],
        closed: &["https://a.example.com/", "https://example.com/", "https://auth.example.com/"],
    },
    Case {
        name: "oauth2-proxy-flags",
        args: &[
            "oauth2-proxy",
            "--host",
            "a.example.com",
            "--public-url",
            "https://auth.example.com",
            "--",
            "--email-domain=example.com",
            "--email-domain",
            "example.org",
            "--skip-auth-preflight",
            "--skip-auth-route=^/ping$",
            "--oidc-issuer-url=https://id.example.com/",
            "--client-id",
            "x",
        ],
        code: 0,
        open: &["https://a.example.com/ping"],
        closed: &["https://a.example.com/pings", "https://a.example.com/"],
    },
    Case {
        name: "authelia",
        args: &["authelia", "authelia.yml"],
        code: 1,
        open: &[
            "https://public.example.com/x",
            "https://wiki.example.com/api",
            "https://wiki.example.com/api/v1",
            "https://wiki.example.com/static/x.css",
        ],
        closed: &[
            "https://wiki.example.com/",
            "https://wiki.example.com/apix",
            "https://wiki.example.com/static",
            "https://wiki.example.com/admin/x",
            "https://home.example.com/",
            "https://files.example.com/",
            "https://drafts.example.com/?preview=1",
            "https://x.lab.example.com/",
            "https://unknown.example.com/",
        ],
    },
    Case {
        name: "authentik-blueprint",
        args: &[
            "authentik",
            "authentik-blueprint.yaml",
            "--issuer",
            "https://id.example.com/application/o/foregate/",
        ],
        code: 1,
        open: &["https://photos.example.com/share/x", "https://photos.example.com/api/ping"],
        closed: &[
            "https://photos.example.com/",
            "https://photos.example.com/share",
            "https://photos.example.com/a.png",
            "https://books.example.com/",
        ],
    },
    Case {
        name: "authentik-api",
        args: &[
            "authentik",
            "authentik-providers.json",
            "authentik-applications.json",
            "authentik-bindings.json",
        ],
        code: 0,
        open: &[],
        closed: &["https://a.example.com/public/x", "https://example.com/"],
    },
    Case {
        name: "tinyauth",
        args: &["tinyauth", "--env", "tinyauth.env"],
        code: 1,
        open: &["https://wiki.example.com/public/x", "https://blog.example.com/post"],
        closed: &[
            "https://wiki.example.com/",
            "https://blog.example.com/admin/x",
            "https://blog.example.com/admin",
            "https://forum.example.com/",
            "https://x.example.com/",
        ],
    },
    Case {
        name: "traefik-forward-auth",
        args: &["traefik-forward-auth", "traefik-forward-auth.ini"],
        code: 0,
        open: &["https://a.example.com/health", "https://ci.example.com/hooks/1"],
        closed: &[
            "https://a.example.com/",
            "https://ci.example.com/hooks",
            "https://ci.example.com/api",
            "https://pay.example.com/",
            "https://pay.example.com/health",
        ],
    },
    Case {
        name: "compose-tinyauth",
        args: &["compose", "compose-tinyauth.yml"],
        code: 0,
        open: &[],
        closed: &[
            "https://whoami.example.com/status",
            "https://whoami.example.com/",
            "https://who.example.com/",
        ],
    },
    Case {
        name: "compose-oauth2-proxy",
        args: &["compose", "compose-oauth2-proxy.yml"],
        code: 1,
        open: &[],
        closed: &["https://grafana.example.com/", "https://grafana.example.com/api/v1/status"],
    },
    Case {
        name: "ingress-nginx",
        args: &["ingress-nginx", "ingress-nginx.yaml", "--allow", "signed-in"],
        code: 0,
        open: &[],
        closed: &[
            "https://grafana.example.com/",
            "https://grafana.example.com/api/x",
            "https://www.example.com/",
        ],
    },
];

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import")
}

fn import(args: &[&str]) -> (Option<i32>, String, String) {
    run(&[&["import"], args].concat(), &data())
}

#[test]
fn what_is_printed_is_what_is_kept_and_foregate_takes_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "hush").expect("a file");
    for case in CASES {
        let (code, out, err) = import(case.args);
        assert_eq!(code, Some(case.code), "{}: {err}", case.name);
        let kept = data().join("expected").join(format!("{}.toml", case.name));
        if std::env::var_os("WRITE_SNAPSHOTS").is_some() {
            std::fs::write(&kept, &out).expect("a file");
        }
        let kept = std::fs::read_to_string(&kept).unwrap_or_default();
        assert_eq!(
            out, kept,
            "{}: if that is meant, WRITE_SNAPSHOTS=1 cargo test --test it import",
            case.name
        );
        assert_eq!(
            case.code == 1,
            out.contains("RESTRICTIONS THAT ARE NOT HERE AS THEY WERE"),
            "{}",
            case.name
        );
        assert_eq!(case.code == 1, err.contains("closed: "), "{}: {err}", case.name);
        let file = dir.path().join("foregate.toml");
        std::fs::write(&file, with_secret(&out, &secret)).expect("a file");
        let (code, _, err) = run(&["config", "show"], dir.path());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{}:\n{out}", case.name);
    }
}

/// The text with a secret that is there.
fn with_secret(text: &str, secret: &Path) -> String {
    let line = |line: &str| {
        if line.starts_with("client_secret_file") {
            format!("client_secret_file = {:?}\n", secret.to_str().expect("a path"))
        } else {
            format!("{line}\n")
        }
    };
    text.lines().map(line).collect()
}

#[test]
fn nobody_who_has_not_signed_in_gets_further_than_before() {
    for case in CASES {
        let (_, out, _) = import(case.args);
        let foregate = Foregate::start(&runnable(&out));
        for url in case.open {
            assert_eq!(foregate.check(url, &[]).status, 200, "{} {url}\n{out}", case.name);
        }
        for url in case.closed {
            let status = foregate.check(url, &[]).status;
            assert!([302, 401, 403, 503].contains(&status), "{} {url}: {status}\n{out}", case.name);
        }
    }
}

/// The text with places of this test, and without backends, which a check does not need.
fn runnable(text: &str) -> String {
    let mut own = String::new();
    let mut in_server = false;
    for line in text.lines() {
        in_server = (in_server || line == "[server]") && !line.is_empty();
        let line = line.split(" upstream = \"http://tools:3000\",").collect::<String>();
        match line.as_str() {
            _ if in_server => {}
            "[provider]" => {
                own.push_str("[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n\n");
                if !text.contains("[session]") {
                    own.push_str("[session]\nstore = \"sqlite:DIR/s.db\"\n\n");
                }
                own.push_str("[provider]\nclient_secret = \"hush\"\n");
            }
            "[session]" => own.push_str("[session]\nstore = \"sqlite:DIR/s.db\"\n"),
            line if line.starts_with("client_secret") || line.starts_with("upstream = ") => {}
            line => own.push_str(&format!("{line}\n")),
        }
    }
    own
}

#[test]
fn what_is_not_known_closes_everything_it_may_be_about() {
    let closed = |product: &str, file: &str, text: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(file), text).expect("a file");
        let env = file.strip_suffix(".env").map_or_else(|| vec![file], |_| vec!["--env", file]);
        let (code, out, err) = run(&[&["import", product], env.as_slice()].concat(), dir.path());
        assert_eq!(code, Some(1), "{product}: {out}{err}");
        assert!(
            err.contains("closed: ") && out.contains("is closed until you have looked at it"),
            "{product}: {out}{err}"
        );
        let open = |line: &&str| {
            !line.starts_with('#')
                && (line.contains("signed-in") || line.contains("public\"") || line.contains("group:"))
        };
        assert_eq!(out.lines().find(open), None, "{product}: {out}");
    };
    let add = |file: &str, more: &str| std::fs::read_to_string(data().join(file)).expect("text") + more;
    closed("oauth2-proxy", "x.cfg", &add("oauth2-proxy.cfg", "zone = \"9\"\n"));
    closed("traefik-forward-auth", "x.ini", &add("traefik-forward-auth.ini", "zone = 9\n"));
    closed("traefik-forward-auth", "x.ini", &add("traefik-forward-auth.ini", "rule.boss.zone = 9\n"));
    closed("tinyauth", "x.env", &add("tinyauth.env", "TINYAUTH_ZONE=9\n"));
    closed("authelia", "x.yml", &add("authelia.yml", "zone: 9\n"));
    closed(
        "authelia",
        "x.yml",
        &add("authelia.yml", "").replace("  default_policy", "  zone: 9\n  default_policy"),
    );
    closed("authentik", "x.yaml", &add("authentik-blueprint.yaml", "zone: 9\n"));
    closed(
        "authentik",
        "x.yaml",
        &add("authentik-blueprint.yaml", "")
            .replace("mode: forward_single", "mode: forward_single\n      zone: 9"),
    );
    closed(
        "compose",
        "x.yml",
        &add("compose-tinyauth.yml", "").replace("      - USERS=", "      - ZONE=9\n      - USERS="),
    );
    closed("ingress-nginx", "x.yaml", &add("ingress-nginx.yaml", ""));
}

#[test]
fn a_list_of_nobody_lets_nobody_in() {
    let everybody = "email_domains = [\"*\"]\n";
    let cfg = |more: &str| format!("{everybody}{more}");
    let alpha = |more: &str| format!("email_domains: [\"*\"]\nproviders:\n  - provider: oidc\n    {more}\n");
    let control = |rule: &str| {
        format!("access_control:\n  default_policy: deny\n  rules:\n    - policy: bypass\n{rule}")
    };
    let (proxy, forward) = ("oauth2-proxy", "traefik-forward-auth");
    for (product, file, text, lets_in) in [
        (proxy, "x.cfg", cfg("provider = \"github\"\ngithub_users = [\"bob\"]"), None),
        (proxy, "x.cfg", cfg("provider = \"github\"\ngithub_org = \"o\"\ngithub_users = [\"bob\"]"), None),
        (proxy, "x.cfg", cfg("google_groups = [\"\"]"), None),
        (proxy, "x.cfg", cfg("google_groups = [\"off\"]"), None),
        (proxy, "x.cfg", cfg("github_org = \"no\""), None),
        (proxy, "x.cfg", cfg("allowed_groups = [\"\"]"), None),
        (proxy, "x.cfg", cfg("allowed_groups = \" \""), None),
        (proxy, "x.cfg", cfg("allowed_roles = [\" \", \",\"]"), None),
        (proxy, "x.cfg", cfg("keycloak_groups = [\"\"]"), None),
        (proxy, "x.yaml", alpha("allowedGroups: [\"\"]"), None),
        (proxy, "x.yaml", alpha("githubConfig: {users: [bob]}"), None),
        (proxy, "x.cfg", cfg("allowed_groups = []"), Some("signed-in")),
        (proxy, "x.cfg", cfg("allowed_groups = [\"\", \"staff\"]"), Some("group:staff")),
        (proxy, "x.yaml", alpha("allowedGroups: []"), Some("signed-in")),
        (
            proxy,
            "x.env",
            "OAUTH2_PROXY_EMAIL_DOMAINS=*\nOAUTH2_PROXY_ALLOWED_GROUPS=\n".to_owned(),
            Some("signed-in"),
        ),
        (forward, "x.ini", "whitelist =\n".to_owned(), None),
        (forward, "x.ini", "domain = ,\n".to_owned(), None),
        (forward, "x.ini", "whitelist =\ndomain = example.com\n".to_owned(), None),
        (forward, "x.ini", "rule.a.rule = Host(`a.example.com`)\nrule.a.whitelist =\ndefault-action = auth\nwhitelist = bob@example.com\n".to_owned(), Some("email:bob@example.com")),
        (forward, "x.env", "WHITELIST=\nCLIENT_ID=x\n".to_owned(), None),
        (forward, "x.env", "CLIENT_ID=x\n".to_owned(), Some("signed-in")),
        ("authelia", "x.yml", control(""), None),
        ("authelia", "x.yml", control("      domain: []\n"), None),
        ("authelia", "x.yml", control("      domain: a.example.com\n"), Some("public")),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(file), &text).expect("a file");
        let given = if file.ends_with(".env") { vec!["--env", file] } else { vec![file] };
        let (code, out, err) = run(&[&["import", product], given.as_slice()].concat(), dir.path());
        let opens = |line: &&str| {
            !line.starts_with('#')
                && ["signed-in\"", "public\"", "group:", "email:"].iter().any(|term| line.contains(term))
        };
        let open: Vec<&str> = out.lines().filter(opens).collect();
        match lets_in {
            None => assert!(open.is_empty(), "{text}\n{code:?} {out}{err}"),
            Some(term) => assert!(
                !open.is_empty() && open.iter().all(|line| line.contains(term)),
                "{text}\n{code:?} {out}{err}"
            ),
        }
    }
}

#[test]
fn every_key_of_the_source_is_accounted_for() {
    let (_, out, _) = import(&["oauth2-proxy", "oauth2-proxy.cfg"]);
    let text = std::fs::read_to_string(data().join("oauth2-proxy.cfg")).expect("text");
    for key in text.parse::<toml::Table>().expect("TOML").keys() {
        assert!(out.lines().any(|line| line.starts_with(&format!("#   {key}"))), "{key}:\n{out}");
    }
    let (_, out, _) = import(&["authelia", "authelia.yml"]);
    for rule in 0..13 {
        assert!(out.contains(&format!("access_control.rules[{rule}]")), "{rule}");
    }
}

#[test]
fn secrets_are_printed_only_where_that_was_asked_for() {
    for (args, secret) in [
        (["oauth2-proxy", "oauth2-proxy.cfg"], "s3cret-of-the-wiki"),
        (["traefik-forward-auth", "traefik-forward-auth.ini"], "hush-of-tfa"),
    ] {
        let (_, out, err) = import(&args);
        assert!(
            !out.contains(secret) && !err.contains(secret) && out.contains("client_secret_file"),
            "{out}{err}"
        );
        assert!(!out.contains("0123456789abcdef") && !out.contains("something-random"), "{out}");
        let (_, out, _) = import(&[args[0], args[1], "--with-secrets"]);
        assert!(out.contains(&format!("client_secret = \"{secret}\"")), "{out}");
        let (_, out, _) = import(&[args[0], args[1], "--client-secret-file", "/etc/secret"]);
        assert!(out.contains("client_secret_file = \"/etc/secret\""), "{out}");
    }
}

#[test]
fn what_cannot_be_read_prints_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
    file("broken.cfg", "client_secret = \"hush\nx = 1");
    file("broken.yml", "a: [1");
    file("twice.yml", "access_control: {}\naccess_control: {}\n");
    file("other.yml", "services: {}\n");
    for (args, told) in [
        (["oauth2-proxy", "broken.cfg"], "broken.cfg cannot be read: line 1"),
        (["oauth2-proxy", "missing.cfg"], "missing.cfg"),
        (["authelia", "broken.yml"], "broken.yml cannot be read"),
        (["authelia", "twice.yml"], "stands there twice"),
        (["authelia", "other.yml"], "nothing to import"),
        (["ingress-nginx", "other.yml"], "nothing to import"),
        (["authentik", "other.yml"], "nothing to import"),
    ] {
        let (code, out, err) = run(&[["import"].as_slice(), args.as_slice()].concat(), dir.path());
        assert_eq!((code, out.as_str()), (Some(1), ""), "{args:?}: {err}");
        assert!(err.contains(told) && !err.contains("hush"), "{args:?}: {err}");
    }
    assert_eq!(import(&["nginx"]).0, Some(2));
}

#[test]
fn two_files_that_say_the_same_key_and_a_second_document_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let [first, second, both] = ["a.yml", "b.yml", "c.yml"].map(|name| dir.path().join(name));
    let strict = "access_control:\n  default_policy: deny\n  rules:\n    - domain: a.example.com\n      policy: one_factor\n";
    let lax = "access_control:\n  default_policy: one_factor\n";
    std::fs::write(&first, strict).expect("a file");
    std::fs::write(&second, lax).expect("a file");
    std::fs::write(&both, format!("{strict}---\n{lax}")).expect("a file");
    let [first, second, both] = [&first, &second, &both].map(|file| file.to_str().expect("a path"));
    for (files, told) in [
        (vec![first, second], "`access_control` stands in an earlier file, too: join the two"),
        (vec![both], "it holds several documents"),
    ] {
        let (code, out, err) = import(&[&["authelia"], &files[..]].concat());
        assert!(code == Some(1) && out.is_empty() && err.contains(told), "{err}");
    }
}

#[test]
fn parentheses_without_end_are_not_looked_into() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.cfg");
    let deep = format!("skip_auth_routes = [\"^{}a{}$\"]\n", "(".repeat(8_000), ")".repeat(8_000));
    std::fs::write(&file, format!("{deep}upstreams = [\"http://127.0.0.1:1\"]\n")).expect("a file");
    let (code, out, err) = import(&["oauth2-proxy", file.to_str().expect("a path")]);
    assert!(code == Some(1) && !out.contains("\"public\""), "{code:?} {out} {err}");
}

/// Configurations with as many keys as nobody writes.
#[test]
fn twenty_thousand_keys_are_read_and_each_is_told() {
    let all = |line: &dyn Fn(u32) -> String| (0..20_000).map(line).collect::<String>();
    let router = |n: u32| {
        let name = format!("      traefik.http.routers.r{n}");
        format!("{name}.rule: Host(`h{n}.example.com`)\n{name}.middlewares: check\n")
    };
    let ingress = |n: u32| format!("  - {{host: h{n}.example.com, http: {{paths: [{{path: /}}]}}}}\n");
    let check = "      traefik.http.middlewares.check.forwardauth.address: http://x\n";
    let auth = "nginx.ingress.kubernetes.io/auth-url: https://auth.example.com/x";
    let emails = "provider = \"oidc\"\nauthenticated_emails_file = \"/etc/emails.txt\"\n\
                  redirect_url = \"https://a.example.com/oauth2/callback\"\n";
    for (product, file, text, told, times) in [
        ("oauth2-proxy", "a.cfg", all(&|n| format!("zone_{n} = \"{n}\"\n")), "#   zone_", 20_000),
        (
            "oauth2-proxy",
            "emails.txt",
            (0..2_000).map(|n| format!("p{n}@example.com\n")).collect(),
            "\"email:p",
            4_000,
        ),
        (
            "authelia",
            "a.yml",
            "access_control: {}\n".to_owned() + &all(&|n| format!("zone_{n}: {n}\n")),
            "#   zone_",
            20_000,
        ),
        ("traefik-forward-auth", "a.ini", all(&|n| format!("zone-{n} = {n}\n")), "#   zone-", 20_000),
        (
            "compose",
            "a.yml",
            format!("services:\n  a:\n    labels:\n{check}") + &all(&router),
            "\" = \"nobody\"",
            20_000,
        ),
        (
            "ingress-nginx",
            "a.yaml",
            format!("kind: Ingress\nmetadata: {{name: a, annotations: {{{auth}}}}}\nspec:\n  rules:\n")
                + &(0..10_000).map(ingress).collect::<String>(),
            "\" = \"nobody\"",
            10_000,
        ),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(file), text).expect("a file");
        std::fs::write(dir.path().join("emails.cfg"), emails).expect("a file");
        let more = if file == "emails.txt" { &["emails.cfg"][..] } else { &[] };
        // What is told of each goes to standard error, too, and is more than a pipe holds.
        let told_too = std::fs::File::create(dir.path().join("told")).expect("a file");
        let mut command = std::process::Command::new(PROGRAM);
        command.args(["import", product, file]).args(more).current_dir(dir.path()).stderr(told_too);
        let out = command.output().expect("foregate starts").stdout;
        let out = String::from_utf8(out).expect("text");
        assert_eq!(out.matches(told).count(), times, "{product} {file}: {}", &out[..out.len().min(2000)]);
    }
}
