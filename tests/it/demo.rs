//! The demo as a newcomer meets it: one command, a browser, Ctrl-C.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::browser::browse;
use crate::support::foregate::{PROGRAM, end_with_us, free_port};

#[test]
fn the_demo_needs_one_command_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let port = free_port();
    let mut child = Command::new(PROGRAM)
        .args(["demo", "--port", &port.to_string()])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo starts");
    let _guard = end_with_us(child.id());
    let mut told = String::new();
    for line in BufReader::new(child.stdout.take().expect("stdout")).lines().map_while(Result::ok) {
        told.push_str(&line);
        told.push('\n');
        if line.contains("Ctrl-C") {
            break;
        }
    }
    let app = format!("http://app.foregate.localhost:{port}/");
    assert!(told.contains(&app) && told.contains("alice") && told.contains("Try"), "{told}");
    let seen = browse(&json!([
        { "open": format!("{app}?deep=1") },
        { "click": "[value=bob]" },
        { "open": format!("http://admin.foregate.localhost:{port}/") },
        { "click": "text=Use another account" },
        { "click": "[value=alice]" },
        { "open": format!("http://auth.foregate.localhost:{port}/.foregate/sign-out") },
    ]));
    assert_eq!(seen[1]["url"].as_str(), Some(format!("{app}?deep=1").as_str()), "{}", seen[1]);
    assert!(seen[1]["text"].to_string().to_lowercase().contains("remote-user"), "{}", seen[1]);
    assert!(seen[2]["status"] == 403 && seen[2]["text"].to_string().contains("admins"), "{}", seen[2]);
    assert!(seen[4]["status"] == 200 && seen[4]["text"].to_string().contains("alice"), "{}", seen[4]);
    assert!(seen[5]["text"].to_string().contains("signed out"), "{}", seen[5]);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    let mut warned = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut warned).expect("text");
    assert_eq!(warned, "", "a newcomer is not greeted with warnings");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0, "nothing is left behind");
}
