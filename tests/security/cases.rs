//! The list of published cases: each has a test that is named after it, and a line in docs/security-cases.md.

use std::path::{Path, PathBuf};

use crate::support::watch::watched;

/// The ids, as their advisories, issues and commits have them.
const CASES: [&str; 110] = [
    "CVE-2026-40575 / GHSA-7x63-xv5r-3p2x",
    "CVE-2026-25748 / GHSA-fj56-5763-j8pp",
    "CVE-2021-32637 / GHSA-68wm-pfjf-wqp6",
    "CVE-2026-41059 / GHSA-pxq7-h93f-9jrg",
    "CVE-2025-54576 / GHSA-7rh7-c77v-6434",
    "caddyserver/caddy#7941",
    "CVE-2025-66490 / GHSA-gm3x-23wp-hc2c",
    "CVE-2026-48020, CVE-2026-40912, CVE-2026-65600, CVE-2026-67309",
    "CVE-2021-39206 / GHSA-cfc2-wjcm-c8fm",
    "GHSA-46wh-3698-f2cx; traefik-forward-auth#424",
    "CVE-2021-21411 / GHSA-652x-m2gr-hppm",
    "tinyauth@2e03eb9, @016a954",
    "traefik/traefik#12657; goauthentik/authentik#24320 review",
    "CVE-2026-48794 / GHSA-j748-h363-wqj8",
    "CVE-2026-27588",
    "CVE-2022-23632 / GHSA-hrhx-6h34-j5hc",
    "CVE-2018-21246; CVE-2026-48491, CVE-2026-53622",
    "thomseddon/traefik-forward-auth internal/server.go",
    "CVE-2026-54762, CVE-2026-27586; tinyauth@287c6f9",
    "mkuhlmann/forward-auth#12 (unverified third-party audit, adjacent)",
    "caddyserver/caddy#7545 (comment, Apr 2026)",
    "oauth2-proxy#877",
    "CVE-2026-88011 / GHSA-rf44-j88r-hh8c; CVE-2026-54763 / GHSA-x677-9fxg-v5c5",
    "CVE-2026-39858 / GHSA-5m6w-wvh7-57vm",
    "CVE-2024-45410; CVE-2026-29054; CVE-2021-32813",
    "CVE-2026-35051 / GHSA-6384-m2mw-rf54; traefik/traefik#7559",
    "gunicorn SCRIPT_NAME; Daphne-Root-Path; Calibre-Web X-Script-Name",
    "CVE-2026-33495 / GHSA-vhr5-ggp3-qq85; oathkeeper@36a676e4",
    "CVE-2025-29927; CVE-2024-45806, CVE-2023-27487",
    "CVE-2026-34457 / GHSA-5hvv-m4w4-gf6v; oauth2-proxy#657",
    "CVE-2024-47070",
    "CVE-2024-21494; CVE-2023-36456",
    "GHSA-7jmw-8259-q9jx",
    "kubernetes/ingress-nginx#7126",
    "Authelia threat model; rauthy forward_auth book page",
    "GHSA-wcvh-g65p-v576",
    "CVE-2020-26160; CVE-2025-30144, CVE-2024-53861, CVE-2025-59420",
    "jsonwebtoken 9.0.0 / 8.0.0 change notes",
    "lua-resty-openidc 1.5.2 and 1.4.1 to 1.5.3",
    "mod_auth_openidc 2026-06-03; openidconnect-rs#131",
    "CVE-2021-32701 / GHSA-qvp4-rpmr-xwrr; lua-resty-openidc#399",
    "oauth2-proxy#1204 (skip-aud-check-when-missing)",
    "CVE-2022-29226; CVE-2026-33496",
    "pomerium#6590; authelia@2970dd89d, @b64c19a67",
    "vouch-proxy@cfc3608; traefik-forward-auth ValidateDomains",
    "mod_auth_openidc 2020-11-19, 2026-08-12",
    "mod_auth_openidc 2026-08-12, 2026-07-27 (timestamps)",
    "CVE-2023-48228, CVE-2024-23647",
    "CVE-2026-33544 / GHSA-9q5m-jfc4-wc92",
    "caddyserver/caddy#7859",
    "openidconnect crate docs",
    "CVE-2024-21498",
    "mod_auth_openidc 2026-08-12 (JWKS refresh)",
    "openidconnect-rs#209",
    "CVE-2020-5233 / GHSA-qqxw-m5fj-f7gv",
    "CVE-2020-4037 / GHSA-5m6c-jp6f-2vcv",
    "CVE-2024-52289; CVE-2026-41569",
    "CVE-2022-23527 / GHSA-q6f2-285m-gr53; mod_auth_openidc#449, #453, #565",
    "CVE-2021-29456 / GHSA-36f2-fcrx-fp4j; pomerium#6358; vouch@6112609; CVE-2024-21497",
    "CVE-2021-29652 / GHSA-fv82-r8qv-ch4v",
    "CVE-2024-21499",
    "CVE-2022-28923",
    "oauth2-proxy#1673",
    "CVE-2024-21496, CVE-2023-52430; CVE-2024-21637, CVE-2026-42849",
    "CVE-2026-30852",
    "CVE-2026-34454 / GHSA-f24x-5g9q-753f",
    "CVE-2025-55162; CVE-2024-21492",
    "oauth2-proxy#3369",
    "mod_auth_openidc 2026-08-07 (front-channel logout)",
    "authentik ATH-01-009, ATH-01-011",
    "CVE-2025-29928",
    "CVE-2024-38371; CVE-2025-53942",
    "authentik#25826, #24718, #2023, #4999",
    "rauthy#1208 (v0.32.4)",
    "oauth2-proxy#3333",
    "goauthentik/authentik#19860",
    "oauth2-proxy#1993, #1388; traefik-oidc-auth#49",
    "CVE-2026-41181 / GHSA-p6hg-qh38-555r",
    "CVE-2022-23469; mod_auth_openidc 2026-08-07, 2026-07-28, 2026-05-23",
    "CVE-2024-39315",
    "GHSA-59jp-rwph-878r",
    "kubernetes/ingress-nginx#4278, authelia#3177",
    "Web cache deception (Gil 2017, PortSwigger 2024)",
    "CVE-2024-41657",
    "mod_auth_openidc 2021-06-10",
    "mod_auth_openidc 2026-08-12 (verify fail-open)",
    "goauthentik/authentik#26076, #6883",
    "oauth2-proxy@44d83e5f; pomerium#4344",
    "oauth2-proxy#2606",
    "PortSwigger Cookie Chaos 2025; arxenix, Cookie Bugs",
    "CVE-2015-3187, CVE-2024-46901",
    "CVE-2015-3187 (trees)",
    "CVE-2026-27587, CVE-2026-27590; CVE-2021-39155",
    "gitea reverse-proxy auth (TrimSpace); unicode blanks",
    "CVE-2024-45808",
    "pomerium#2264, #2314, #6289; oauth2-proxy --api-route",
    "authelia#1624; nginx/kubernetes-ingress#9626",
    "traefik-forward-auth#41, #221",
    "tinyauth#1021",
    "RUSTSEC-2021-0078, -0020, -0079, 2020-0008; hyper#4124",
    "RUSTSEC-2026-0034",
    "PortSwigger HTTP/1.1 must die 2025; TERM.EXT",
    "CVE-2026-71324 / GHSA-3ccp-42pg-hgv6",
    "CVE-2026-88008 / GHSA-w4v4-9rw7-5326",
    "CVE-2024-23326",
    "hyper#4019; mod_auth_openidc 2026-08-20, 2026-05-22; RUSTSEC-2023-0065",
    "CVE-2026-77561 / GHSA-9xhm-w3wj-xhqh",
    "RUSTSEC-2022-0055; RUSTSEC-2026-0009; RUSTSEC-2017-0005",
    "RUSTSEC-2024-0363; RUSTSEC-2026-0178, -0179",
    "CVE-2024-39321",
];

/// A test, as its comment tells of it.
struct Told {
    file: String,
    name: String,
    id: String,
    attack: String,
    tried: String,
}

#[test]
fn each_case_has_a_test_of_its_name_and_a_line_on_the_page() {
    watched();
    let told = told();
    let mut page = PAGE.to_owned();
    for id in CASES {
        let found: Vec<&Told> = told.iter().filter(|told| told.id == id).collect();
        let [one] = found[..] else { panic!("{id} has {} tests", found.len()) };
        let start = named_after(id);
        assert!(one.name.starts_with(&start), "{id}: {} does not begin with {start}", one.name);
        let cell = |text: &str| text.replace('|', "\\|");
        page.push_str(&format!(
            "| {} | {} | {} | `tests/security/{}`: `{}` |\n",
            cell(id),
            cell(&one.attack),
            cell(&one.tried),
            one.file,
            one.name
        ));
    }
    let strays: Vec<&str> =
        told.iter().filter(|told| !CASES.contains(&&*told.id)).map(|told| told.id.as_str()).collect();
    assert!(strays.is_empty(), "in no row: {strays:?}");
    let file = root().join("docs/security-cases.md");
    if std::env::var_os("WRITE_SNAPSHOTS").is_some() {
        std::fs::write(&file, &page).expect("a page");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, page, "docs/security-cases.md is stale: WRITE_SNAPSHOTS=1 refreshes it");
}

/// How the name of a case's test begins: its first id, in the letters of names.
fn named_after(id: &str) -> String {
    let first =
        [" / ", ", ", "; ", " (", " and "].iter().fold(id, |id, end| id.split(end).next().unwrap_or(id));
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' };
    first.chars().map(letter).collect::<String>() + "_"
}

/// What the comments above tests say, where they begin with an id.
fn told() -> Vec<Told> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root().join("tests/security")).expect("a directory").map_while(Result::ok)
    {
        let text = std::fs::read_to_string(entry.path()).expect("text");
        let mut comment: Vec<&str> = Vec::new();
        let mut is_test = false;
        for line in text.lines() {
            if let Some(line) = line.strip_prefix("///") {
                comment.push(line.trim());
            } else if line == "#[test]" {
                is_test = true;
            } else if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
                let name = rest.split('(').next().unwrap_or_default().to_owned();
                let file = entry.file_name().to_string_lossy().into_owned();
                all.extend(told_in(&std::mem::take(&mut comment), file, name));
                is_test = false;
            } else if !line.starts_with("#[") {
                (comment, is_test) = (Vec::new(), false);
            }
        }
    }
    all
}

fn told_in(comment: &[&str], file: String, name: String) -> Option<Told> {
    let whole = comment.join(" ");
    let (id, rest) = whole.strip_prefix('`')?.split_once("` ")?;
    let (attack, tried) = rest.split_once("  Tried: ").unwrap_or_else(|| panic!("{name}: what was tried?"));
    let capital = |text: &str| text[..1].to_ascii_uppercase() + &text[1..];
    Some(Told { file, name, id: id.to_owned(), attack: attack.to_owned(), tried: capital(tried) })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

const PAGE: &str = "# Known attacks, and where foregate is tried with them

Mistakes that comparable products made, each a permanent test with its variants. *All entrances* are the checks of Traefik,
nginx, Caddy, HAProxy and Envoy, foregate as the reverse proxy, the four checks of authentik's outpost and the one of
oauth2-proxy; *each kind of evidence* is a session cookie, a bearer token and a name with an app password. All tests pass, or
this page would not be here: `make test` runs them. It is written from their comments by
`WRITE_SNAPSHOTS=1 cargo test --test it security::cases`.

| id | product and mistake | tried | test |
| --- | --- | --- | --- |
";
