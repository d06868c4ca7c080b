//! Restrictions that stand where one does not look for them: nobody gets in by an import whom its source keeps out.

use crate::support::foregate::run;

/// What an import lets in, by the terms in it.
#[derive(Clone, Copy, Debug)]
enum Lets {
    /// All is there as it was, and these terms alone let somebody in.
    Only(&'static [&'static str]),
    /// Nobody, and it is told what was closed.
    Nobody,
}

/// Imports files by their names; those `.env` hold variables.
fn held(product: &str, files: &[(&str, &str)], more: &[&str], lets: Lets) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut args = vec!["import", product];
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("a file");
        args.extend(name.ends_with(".env").then_some("--env"));
        args.push(name);
    }
    args.extend(["--issuer", "https://id.example.com", "--client-id", "x"]);
    args.extend(["--public-url", "https://auth.example.com"]);
    args.extend(more);
    let (code, out, err) = run(&args, dir.path());
    let opens = |line: &&str| {
        !line.starts_with('#')
            && ["signed-in", "\"public\"", "group:", "email:", "user:"].iter().any(|term| line.contains(term))
    };
    let open: Vec<&str> = out.lines().filter(opens).collect();
    let all = format!("{files:?}\n{code:?}\n{out}{err}");
    match lets {
        Lets::Only(terms) => {
            assert_eq!(code, Some(0), "{all}");
            assert!(
                !open.is_empty() && open.iter().all(|line| terms.iter().all(|term| line.contains(term))),
                "{all}"
            );
        }
        Lets::Nobody => {
            assert_eq!((code, open.len()), (Some(1), 0), "{all}");
            assert!(err.contains("closed: "), "{all}");
        }
    }
}

/// A Compose file with oauth2-proxy for everybody, and more lines of its service.
fn proxy(more: &str) -> String {
    format!(
        "services:\n  sso:\n    image: registry:5000/oauth2-proxy/oauth2-proxy:v7\n{more}    environment:\n      \
         OAUTH2_PROXY_EMAIL_DOMAINS: '*'\n      OAUTH2_PROXY_COOKIE_DOMAINS: .example.com\n      TZ: UTC\n"
    )
}

const ADMINS: Lets = Lets::Only(&["group:admins"]);

#[test]
fn flags_and_variables_of_a_compose_service_are_read_as_compose_reads_them() {
    for (more, lets) in [
        (
            "    command:\n      - --upstream\n      - static://202\n      - --allowed-group\n      - admins\n",
            ADMINS,
        ),
        ("    command: --upstream static://202 --allowed-group 'admins'\n", ADMINS),
        ("    command: [/bin/oauth2-proxy, --allowed-group=admins]\n", ADMINS),
        (
            "    entrypoint: [/bin/oauth2-proxy, --allowed-group=admins]\n    command: [--reverse-proxy]\n",
            ADMINS,
        ),
        ("    entrypoint: /start.sh\n", Lets::Nobody),
        ("    command: sh -c 'oauth2-proxy --allowed-group=admins'\n", Lets::Nobody),
        ("    command: --allowed-group='admins\n", Lets::Nobody),
        ("    command: ['${MORE}']\n", Lets::Nobody),
        ("    command: !override [--reverse-proxy]\n", Lets::Nobody),
        ("    command: [--config=/etc/oauth2-proxy.cfg]\n", Lets::Nobody),
        ("    env_file: a.env\n", Lets::Nobody),
        ("    env_file:\n      - {path: a.env, required: true}\n", Lets::Nobody),
        ("    extends: {file: base.yml, service: sso}\n", Lets::Nobody),
        ("    zone: 9\n", Lets::Nobody),
        ("    restart: always\n    x-zone: 9\n    env_file: []\n", Lets::Only(&["signed-in"])),
    ] {
        held("compose", &[("a.yml", &proxy(more))], &[], lets);
    }
    for (line, given, lets) in [
        ("OAUTH2_PROXY_ALLOWED_GROUPS:", "", Lets::Nobody),
        ("OAUTH2_PROXY_ALLOWED_GROUPS:", "OAUTH2_PROXY_ALLOWED_GROUPS=admins", ADMINS),
        ("OAUTH2_PROXY_ALLOWED_GROUPS: [admins]", "", Lets::Nobody),
        ("OAUTH2_PROXY_ALLOWED_GROUPS: ${G:-admins}", "G=", ADMINS),
        ("OAUTH2_PROXY_ALLOWED_GROUPS: ${G-admins}", "G=", Lets::Only(&["signed-in"])),
        ("OAUTH2_PROXY_ALLOWED_GROUPS: ${G:+admins}", "", Lets::Nobody),
        ("OAUTH2_PROXY_ALLOWED_GROUPS: ${G:-${H:-admins}}", "", ADMINS),
        ("OAUTH2_PROXY_ZONE: 9", "", Lets::Nobody),
    ] {
        held("compose", &[("a.yml", &format!("{}      {line}\n", proxy(""))), ("b.env", given)], &[], lets);
    }
    let list = |line: &str| {
        format!(
            "services:\n  sso:\n    image: oauth2-proxy\n    environment:\n      - OAUTH2_PROXY_EMAIL_DOMAINS=*\n      - {line}\n"
        )
    };
    held("compose", &[("a.yml", &list("OAUTH2_PROXY_ALLOWED_GROUPS"))], &[], Lets::Nobody);
    held("compose", &[("a.yml", &list("${MORE}"))], &[], Lets::Nobody);
    held("compose", &[("a.yml", &list("OAUTH2_PROXY_ALLOWED_GROUPS=admins"))], &[], ADMINS);
}

#[test]
fn several_compose_files_are_one() {
    let over = |line: &str| format!("services:\n  sso:\n    {line}\n");
    let group = "environment: [OAUTH2_PROXY_ALLOWED_GROUPS=admins]";
    let base = proxy("");
    held("compose", &[("a.yml", &base), ("b.yml", &over(group))], &[], ADMINS);
    held("compose", &[("a.yml", &format!("{base}---\n{}", over(group)))], &[], ADMINS);
    held("compose", &[("a.yml", &base), ("b.yml", &over("command: --allowed-group=admins"))], &[], ADMINS);
    held("compose", &[("a.yml", &base), ("b.yml", &over("environment: !reset null"))], &[], Lets::Nobody);
    held("compose", &[("a.yml", &format!("include: [more.yml]\n{base}"))], &[], Lets::Nobody);
    let other = format!("{base}  wiki:\n    extends: {{file: more.yml, service: wiki}}\n");
    held("compose", &[("a.yml", &other)], &[], Lets::Nobody);
}

#[test]
fn programs_that_only_have_a_products_name_are_closed() {
    let forward = |image: &str, line: &str| {
        format!(
            "services:\n  tfa:\n    image: {image}\n    environment: [COOKIE_DOMAIN=example.com, {line}]\n"
        )
    };
    let thomseddons = "docker.io/thomseddon/traefik-forward-auth:2";
    let known = forward(thomseddons, "WHITELIST=bob@example.com");
    held("compose", &[("a.yml", &known)], &[], Lets::Only(&["email:bob@example.com"]));
    for text in [
        forward("ghcr.io/italypaleale/traefik-forward-auth:3", "WHITELIST=bob@example.com"),
        forward(thomseddons, "TFA_AUTHGOOGLE_ALLOWEDEMAILS=bob@example.com"),
        forward(thomseddons, "CONFIG=/etc/tfa.ini"),
    ] {
        held("compose", &[("a.yml", &text)], &[], Lets::Nobody);
    }
    held("traefik-forward-auth", &[("a.env", "CONFIG=/etc/tfa.ini\n")], &[], Lets::Nobody);
    let flags = ["--", "--email-domain=*", "--config=/etc/o.cfg"];
    held("oauth2-proxy", &[], &flags, Lets::Nobody);
}

#[test]
fn what_a_middleware_demands_counts_for_its_apps() {
    let file = |address: &str, middlewares: &str, more: &str| {
        format!(
            "services:\n  wiki:\n    labels:\n      traefik.http.routers.w.middlewares: {middlewares}\n      \
             traefik.http.routers.w.rule: Host(`wiki.example.com`)\n{more}      \
             traefik.http.middlewares.some.chain.middlewares: headers,more@docker\n      \
             traefik.http.middlewares.more.chain.middlewares: sso\n      \
             traefik.http.middlewares.headers.headers.framedeny: true\n      \
             traefik.http.middlewares.sso.forwardauth.address: {address}\n  \
             sso:\n    image: oauth2-proxy\n    container_name: Gate\n    command: --email-domain=*\n"
        )
    };
    let plain = "http://sso:4180/oauth2/auth";
    let admins = "http://gate:4180/oauth2/auth?allowed_groups=admins";
    let app = |text: &str, wanted: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("a.yml"), text).expect("a file");
        let (_, out, err) =
            run(&["import", "compose", "a.yml", "--issuer", "https://id.example.com"], dir.path());
        assert!(
            out.contains(&format!("\n\"wiki.example.com\" = \"{wanted}\"\n")),
            "{wanted}:\n{text}\n{out}{err}"
        );
    };
    let second = "      traefik.http.routers.x.rule: Host(`wiki.example.com`) && Path(`/x`)\n      \
                  traefik.http.routers.x.middlewares: plain\n      \
                  traefik.http.middlewares.plain.forwardauth.address: http://sso/\n";
    app(&file(plain, "sso@docker", ""), "signed-in");
    app(&file(admins, "sso", ""), "group:admins");
    app(&file(admins, "headers, some", ""), "group:admins");
    app(&file(admins, "sso", second), "group:admins");
    app(&file("http://sso/auth?zone=9", "sso", ""), "nobody");
    app(&file("http://authelia:9091/api/authz/forward-auth", "sso", ""), "nobody");
    app(&file("${ADDRESS}", "sso", ""), "nobody");
    app(&file(plain, "sso-admins@file", ""), "nobody");
    app(
        &file(plain, "sso", "")
            .replace("Host(`wiki.example.com`)", "HostRegexp(`.+`) || Host(`wiki.example.com`)"),
        "signed-in",
    );
    app(&file(plain, "'sso,${MORE}'", ""), "nobody");
    app(&file("${ADDRESS}", "sso", "").replace("image: oauth2-proxy", "image: authelia"), "nobody");
    let other = |address: &str| file(address, "sso", "").replace("image: oauth2-proxy", "image: authelia");
    let allow = ["--allow", "signed-in"];
    held("compose", &[("a.yml", &other("http://authelia:9091/"))], &allow, Lets::Only(&["signed-in"]));
    held("compose", &[("a.yml", &other("http://authelia/?allowed_groups=admins"))], &allow, ADMINS);
    // It is not known which hosts these are about.
    for text in [
        file(admins, "headers", ""),
        file(admins, "sso", "").replace("Host(`wiki.example.com`)", "HostRegexp(`.+`)"),
        file(admins, "sso", "").replace("Host(`wiki.example.com`)", "Host(`${HOST}`)"),
    ] {
        held("compose", &[("a.yml", &text)], &[], Lets::Nobody);
    }
}

#[test]
fn labels_of_tinyauth_count_where_tinyauth_reads_them() {
    let file = |more: &str, label: &str| {
        format!(
            "services:\n  t:\n    image: tinyauth:v4\n{more}  wiki:\n    labels:\n      {label}\n      \
             tinyauth.apps.wiki.config.domain: wiki.example.com\n"
        )
    };
    let client = "    environment: [GENERIC_CLIENT_ID=x]\n";
    let groups = "tinyauth.apps.wiki.oauth.groups: admins";
    held("compose", &[("a.yml", &file(client, "tinyauth.oauth.groups: admins"))], &[], Lets::Nobody);
    held("compose", &[("a.yml", &file(client, "tinyauth.zone: 9"))], &[], Lets::Nobody);
    let list = "    command: [--cookie-secure, --oauth-whitelist, bob@example.com]\n";
    held("compose", &[("a.yml", &file(list, "tinyauth.x: ''"))], &[], Lets::Only(&["email:bob@example.com"]));
    let both = file(list, groups);
    held("compose", &[("a.yml", &both)], &[], Lets::Only(&["email:bob@example.com"]));
    let open = file("", "tinyauth.apps.wiki.path.allow: ^/x$")
        .replace("tinyauth:v4", "oauth2-proxy\n    command: --email-domain=*");
    held("compose", &[("a.yml", &open)], &[], Lets::Only(&["signed-in"]));
}

#[test]
fn without_a_provider_tinyauth_lets_in_its_own_people_alone() {
    let hash = "$$2a$$10$$UdLYoJ5lgPsC0RKqYH";
    let (alice, both) = (format!("USERS=alice:{hash}\n"), format!("USERS=alice:{hash},bob:{hash}\n"));
    for (text, lets) in [
        (alice.clone(), Lets::Only(&["user:alice"])),
        (both, Lets::Only(&["user:alice", "user:bob"])),
        (format!("{alice}GENERIC_CLIENT_ID=\n"), Lets::Only(&["user:alice"])),
        (format!("{alice}GENERIC_CLIENT_ID=x\n"), Lets::Only(&["signed-in"])),
        ("USERS_FILE=/users\n".to_owned(), Lets::Nobody),
        ("APP_URL=https://t.example.com\n".to_owned(), Lets::Nobody),
        (format!("{alice}TINYAUTH_EXPERIMENTAL_CONFIGFILE=/data/c.yaml\n"), Lets::Nobody),
    ] {
        held("tinyauth", &[("a.env", &text)], &["--host", "wiki.example.com"], lets);
    }
}

#[test]
fn an_empty_variable_leaves_what_the_file_says() {
    let file = "email_domains = [\"*\"]\nallowed_groups = [\"admins\"]\ncookie_domains = [\"example.com\"]\n";
    held("oauth2-proxy", &[("a.cfg", file), ("a.env", "OAUTH2_PROXY_ALLOWED_GROUPS=\n")], &[], ADMINS);
}

#[test]
fn the_query_of_an_auth_url_counts_whatever_stands_before_it() {
    let object = |address: &str| {
        format!(
            "kind: Ingress\nmetadata:\n  name: a\n  annotations:\n    nginx.ingress.kubernetes.io/auth-url: {address}\n\
             spec:\n  rules:\n    - {{host: a.example.com, http: {{paths: [{{path: /}}]}}}}\n"
        )
    };
    for (address, lets) in [
        ("https://$host:$server_port/oauth2/auth?allowed_groups=admins", ADMINS),
        ("https://$host/oauth2/auth?allowed_groups=$arg_group", Lets::Nobody),
        ("https://$host:$server_port/oauth2/auth?zone=9", Lets::Nobody),
        ("https://$host:$server_port/oauth2/auth", Lets::Only(&["signed-in"])),
    ] {
        held("ingress-nginx", &[("a.yaml", &object(address))], &["--allow", "signed-in"], lets);
    }
}

#[test]
fn bindings_that_cannot_be_read_close_what_they_may_be_about() {
    let blueprint = |mode: &str, binding: &str| {
        format!(
            "entries:\n  - model: authentik_providers_proxy.proxyprovider\n    id: p\n    \
             attrs: {{mode: forward_single, external_host: 'https://wiki.example.com'}}\n  \
             - model: authentik_core.application\n    id: app\n    identifiers: {{slug: wiki}}\n    \
             attrs: {{provider: !KeyOf p, policy_engine_mode: {mode}}}\n  \
             - model: authentik_policies.policybinding\n    attrs: {{group: !Find [authentik_core.group, [name, admins]], {binding}}}\n"
        )
    };
    let find = "target: !Find [authentik_core.application,";
    for (mode, binding, lets) in [
        ("any", "target: !KeyOf app".to_owned(), ADMINS),
        ("any", format!("{find} [slug, wiki]]"), ADMINS),
        ("any", format!("{find} [slug, blog]]"), Lets::Only(&["signed-in"])),
        ("any", "target: !KeyOf wiki".to_owned(), Lets::Only(&["signed-in"])),
        (
            "any",
            "target: !Find [authentik_flows.flowstagebinding, [name, wiki]]".to_owned(),
            Lets::Only(&["signed-in"]),
        ),
        ("any", format!("{find} [slug, !Context slug]]"), Lets::Nobody),
        ("any", format!("{find} [slug, wiki], [name, Wiki]]"), Lets::Nobody),
        ("any", format!("{find} [meta_launch_url, 'https://wiki.example.com']]"), Lets::Nobody),
        ("any", "target: !Context app".to_owned(), Lets::Nobody),
        ("any", "target: 3f0c2e7a-0000-4000-8000-000000000000".to_owned(), Lets::Nobody),
        ("any", "target: !KeyOf app, negate: !Context no".to_owned(), Lets::Nobody),
        ("any", "target: !KeyOf app, enabled: !Context on".to_owned(), Lets::Nobody),
        ("!Context mode", "target: !KeyOf app".to_owned(), Lets::Nobody),
    ] {
        held("authentik", &[("a.yaml", &blueprint(mode, &binding))], &[], lets);
    }
    let one = blueprint("any", "target: !KeyOf app");
    held(
        "authentik",
        &[("a.yaml", &one.replace("mode: forward_single", "mode: !Context m"))],
        &[],
        Lets::Nobody,
    );
    let made = "  - !Enumerate [!Context all, SEQ, {model: authentik_policies.policybinding}]\n";
    held("authentik", &[("a.yaml", &format!("{one}{made}"))], &[], Lets::Nobody);
    held("authentik", &[("a.yaml", &one.replace("policybinding", "PolicyBinding"))], &[], ADMINS);
    for (name, lets) in [("Mine", Lets::Nobody), ("Default - Brand", ADMINS)] {
        let applied = format!(
            "  - model: authentik_blueprints.metaapplyblueprint\n    attrs: {{identifiers: {{name: '{name}'}}}}\n"
        );
        held("authentik", &[("a.yaml", &format!("{one}{applied}"))], &[], lets);
    }
}

#[test]
fn where_two_rules_of_traefik_forward_auth_meet_one_has_to_pass_both() {
    let rule = |name: &str, place: &str, who: &str| {
        format!(
            "rule.{name}.rule = Host(`a.example.com`){place}\nrule.{name}.whitelist = {who}@example.com\n"
        )
    };
    let one = format!("whitelist = alice@example.com\n{}", rule("a", "", "alice"));
    held("traefik-forward-auth", &[("a.ini", &one)], &[], Lets::Only(&["email:alice@example.com"]));
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("a.ini"), one + &rule("z", " && PathPrefix(`/admin/`)", "boss"))
        .expect("a file");
    let (code, out, err) = run(&["import", "traefik-forward-auth", "a.ini"], dir.path());
    let both =
        "path = \"/admin/**\", allow = { all = [\"email:alice@example.com\", \"email:boss@example.com\"] }";
    assert!(code == Some(1) && out.contains(both) && err.contains("keeps out more"), "{out}{err}");
    let action = "rule.a.rule = Path(`/`)\nrule.a.action = maybe\n";
    held("traefik-forward-auth", &[("a.ini", action)], &[], Lets::Nobody);
}

#[test]
fn people_who_need_all_of_several_terms_are_printed_as_foregate_takes_them() {
    let rules = "access_control:\n  rules:\n    - domain: a.example.com\n      policy: one_factor\n      \
                 subject: [['group:g', 'group:h']]\n";
    held("authelia", &[("a.yml", rules)], &[], Lets::Only(&["group:g", "group:h"]));
}

#[test]
fn a_blank_at_the_end_of_an_expression_is_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = "email_domains = [\"*\"]\nskip_auth_regex = [\"^/ \"]\n";
    std::fs::write(dir.path().join("a.cfg"), file).expect("a file");
    let (_, out, err) = run(&["import", "oauth2-proxy", "a.cfg", "--host", "a.example.com"], dir.path());
    let open: Vec<&str> = out.lines().filter(|line| line.contains("\"public\"")).collect();
    assert!(!open.is_empty() && open.iter().all(|line| line.contains("path = \"/ ")), "{out}{err}");
}
