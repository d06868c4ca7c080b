//! What can be typed: texts, exit codes, and what a wrong configuration is told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::foregate::{Foregate, PROGRAM, free_port, run};

const SMALL: &str = r#"
public_url = "https://auth.example.com"
allow = "signed-in"
[provider]
issuer = "https://id.example.com/application/o/foregate/"
client_id = "foregate"
client_secret = "hush-hush"
"#;

fn in_dir(config: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("foregate.toml"), config).expect("a file");
    run(args, dir.path())
}

#[test]
fn the_settings_in_force_are_shown_with_their_source_and_no_secret() {
    let (code, out, err) = in_dir(SMALL, &["config", "show"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let line = |key: &str| {
        out.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("no {key} in\n{out}"))
    };
    assert!(line("public_url").contains("foregate.toml:2"), "{out}");
    assert!(line("session.idle").contains("7d") && line("session.idle").contains("default"), "{out}");
    assert!(line("provider.client_secret").contains("***") && !out.contains("hush-hush"), "{out}");
}

#[test]
fn the_schema_is_json() {
    let (code, out, _) = run(&["config", "schema"], Path::new("/"));
    let schema: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, schema["additionalProperties"].as_bool()), (Some(0), Some(false)));
    assert!(schema["properties"]["apps"].is_object());
}

#[test]
fn everything_wrong_is_told_at_once_with_line_and_fix() {
    let config = SMALL.replace("allow =", "alow =").replace("client_id = \"foregate\"", "")
        + "[server]\nlisten = \"nowhere\"\n";
    let (code, _, err) = in_dir(&config, &["serve"]);
    assert_eq!(code, Some(1));
    for part in ["foregate.toml:3", "alow", "foregate.toml:9", "nowhere", "client_id", "fix:"] {
        assert!(err.contains(part), "{part}:\n{err}");
    }
}

#[test]
fn no_configuration_at_all_shows_the_smallest_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let (code, _, err) = run(&["serve"], dir.path());
    assert!(code == Some(1) && err.contains("public_url") && err.contains("[provider]"), "{err}");
    let (code, _, err) = run(&["serve", "--config", "missing.toml"], dir.path());
    assert!(code == Some(1) && err.contains("missing.toml"), "{err}");
}

#[test]
fn postgresql_without_a_key_says_how_to_make_one() {
    let (code, _, err) =
        in_dir(&format!("{SMALL}[session]\nstore = \"postgres://localhost/x\"\n"), &["serve"]);
    assert!(code == Some(1) && err.contains("foregate session new-key"), "{err}");
    let (code, key, _) = run(&["session", "new-key"], Path::new("/"));
    assert_eq!((code, key.lines().count()), (Some(0), 1));
    let config =
        format!("{SMALL}[session]\nkeys = [\"{}\"]\nstore = \"postgres://localhost/x\"\n", key.trim());
    assert_eq!(in_dir(&config, &["config", "show"]).0, Some(0));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for args in [vec!["nonsense"], vec!["serve", "--nonsense"], vec!["snippet", "apache"], vec![]] {
        assert_eq!(run(&args, Path::new("/")).0, Some(2), "{args:?}");
    }
    assert_eq!(run(&["--version"], Path::new("/")).0, Some(0));
}

#[test]
fn a_snippet_is_about_the_app_it_is_for() {
    let config = format!(
        "{SMALL}[apps.\"kb.example.com\"]\nallow = \"signed-in\"\nheaders = \"authentik\"\n[server]\nlisten = \"0.0.0.0:4180\"\ntrusted_proxies = [\"127.0.0.1\"]\n"
    );
    let (code, out, err) = in_dir(&config, &["snippet", "nginx", "--host", "kb.example.com"]);
    assert!(
        code == Some(0)
            && out.to_lowercase().contains("x-authentik-username")
            && !out.contains("Remote-User"),
        "{out}{err}"
    );
    assert!(
        out.contains("127.0.0.1:4180") && !out.contains("0.0.0.0:4180"),
        "an address one can reach:\n{out}"
    );
    let (_, out, err) =
        in_dir(&config, &["snippet", "nginx", "--host", "other.example.com", "--foregate", "foregate:4180"]);
    assert!(
        out.to_lowercase().contains("remote-user")
            && err.contains("no line of [apps]")
            && out.contains("foregate:4180"),
        "{err}"
    );
    let listening = config.replace("\"0.0.0.0:4180\"", "[\"unix:/s\", \"[::]:4180\"]");
    let (_, out, err) = in_dir(&listening, &["snippet", "nginx"]);
    assert!(out.contains("[::1]:4180"), "the first that a front proxy can be given: {out}{err}");
    let listening = config.replace("\"0.0.0.0:4180\"", "\"unix:/s\"");
    let (code, _, err) = in_dir(&listening, &["snippet", "nginx"]);
    assert!(code == Some(1) && err.contains("name the one to use with --foregate"), "{err}");
    for host in ["a b", "x;y", "", "$(id)"] {
        assert_eq!(in_dir(&config, &["snippet", "nginx", "--host", host]).0, Some(1), "{host}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("foregate.toml"), SMALL).expect("a file");
    std::fs::write(dir.path().join("foregate.lua"), "mine").expect("a file");
    let (code, _, err) = run(&["snippet", "haproxy"], dir.path());
    assert!(code == Some(1) && err.contains("foregate.lua"), "nothing of the user's is overwritten: {err}");
}

#[test]
fn health_tells_how_the_foregate_of_this_machine_is() {
    let config = SMALL.to_owned()
        + "[server]\nlisten = \"LISTEN\"\nadmin_listen = \"ADMIN\"\n[session]\nstore = \"sqlite:DIR/s.db\"\n";
    let foregate = Foregate::start(&config);
    let (code, out, err) = run(&["health"], foregate.dir());
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "alive\n", ""));
    let (code, out, _) = run(&["health", "--ready"], foregate.dir());
    assert!(code == Some(0) && out.contains("\"ready\":true"), "{out}");
    let nobody = format!("127.0.0.1:{}", free_port());
    let (code, _, err) = in_dir(&format!("{SMALL}[server]\nadmin_listen = \"{nobody}\"\n"), &["health"]);
    assert!(code == Some(1) && err.contains(&nobody) && err.contains("foregate serve"), "{err}");
}

#[test]
fn health_is_a_no_where_the_answer_is() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines().map_while(Result::ok);
        let first = lines.next();
        lines.find(String::is_empty);
        stream
            .write_all(b"HTTP/1.1 503 No\r\nContent-Length: 15\r\n\r\n{\"ready\":false}")
            .expect("an answer");
        first
    });
    let config = format!("{SMALL}[server]\nadmin_listen = \"{address}\"\n");
    let (code, out, err) = in_dir(&config, &["health", "--ready"]);
    assert!(code == Some(1) && out.is_empty() && err.contains("{\"ready\":false}"), "{err}");
    assert_eq!(answering.join().expect("an end").as_deref(), Some("GET /readyz HTTP/1.1"));
}

#[test]
fn health_waits_for_no_answer_that_comes_byte_by_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        // It would be enough for an hour.
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let (code, _, err) = in_dir(&format!("{SMALL}[server]\nadmin_listen = \"{address}\"\n"), &["health"]);
    assert!(code == Some(1) && err.contains("not in time"), "{err}");
}

#[test]
fn completions_and_manual_know_every_command() {
    let here = Path::new("/");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, err) = run(&["completions", shell], here);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{shell}");
        for word in ["snippet", "revoke", "import", "--with-secrets", "hash-password"] {
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(out.contains(word), "{shell} {word}");
        }
    }
    let (_, out, _) = run(&["completions", "bash"], here);
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("complete"), out).expect("a file");
    let ask = "source ./complete; COMP_WORDS=(foregate session re); COMP_CWORD=2; _foregate foregate re session; echo ${COMPREPLY[@]}";
    let shell = std::process::Command::new("bash").args(["-c", ask]).current_dir(dir.path()).output();
    let shell = shell.expect("bash");
    assert_eq!(String::from_utf8_lossy(&shell.stdout).trim(), "revoke", "{shell:?}");
    let (code, page, _) = run(&["man"], here);
    assert!(code == Some(0) && page.contains(".TH foregate 1") && page.contains("import"), "{page}");
    let (code, page, _) = run(&["man", "session", "revoke"], here);
    assert!(code == Some(0) && page.contains("\\-\\-issuer"), "{page}");
    let (code, _, err) = run(&["man", "session", "revive"], here);
    assert!(code == Some(1) && err.contains("revive"), "{err}");
}

#[test]
fn colours_are_for_whoever_can_see_them() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("foregate.toml"), "nonsense = 1\n").expect("a file");
    let check = |variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new(PROGRAM);
        command.arg("check").current_dir(dir.path()).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        let out = command.envs(variables.iter().copied()).output().expect("foregate starts");
        String::from_utf8(out.stdout).expect("text")
    };
    let plain = check(&[]);
    assert!(plain.contains("failed") && !plain.contains('\u{1b}'), "{plain}");
    let forced = check(&[("CLICOLOR_FORCE", "1")]);
    assert!(forced.contains("\u{1b}[31mfailed"), "{forced}");
    assert_eq!(check(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), plain, "who says no is heard");
}
