//! What the demo prints: where to go, who to be, what to try. Knows no servers.

use std::fmt::Write as _;

use super::ports::{ADMIN, APP, FAMILY, Ports};
use super::provider::people::{PEOPLE, Person};

/// The text, with colour for a terminal.
pub fn banner(ports: &Ports, colour: bool) -> String {
    let paint = Paint { colour };
    let (app, family, admin) = (ports.url(APP), ports.url(FAMILY), ports.url(ADMIN));
    let mut text = format!(
        "\n{}: a small OpenID Provider, an app without sign-in code, and foregate between them.\n",
        paint.bold("foregate demo")
    );
    section(
        &mut text,
        paint,
        "Open",
        &[
            (paint.link(&app), app.len(), "whoever is signed in".to_owned()),
            (paint.link(&family), family.len(), "the group family".to_owned()),
            (paint.link(&admin), admin.len(), "the group admins".to_owned()),
        ],
    );
    let people: Vec<_> = PEOPLE.iter().map(|person| person_line(person, paint)).collect();
    section(&mut text, paint, "Sign in as", &people);
    let _ = writeln!(text, "  There are no passwords.");
    tries(&mut text, paint, ports);
    let _ = writeln!(text, "\n{}\n", paint.soft(LAST_WORDS));
    text
}

/// A heading over lines of two columns; the first comes with its width, as colours have none.
fn section(text: &mut String, paint: Paint, title: &str, lines: &[(String, usize, String)]) {
    let widest = lines.iter().map(|(_, width, _)| *width).max().unwrap_or_default();
    let _ = writeln!(text, "\n{}", paint.bold(title));
    for (left, width, right) in lines {
        let _ = writeln!(text, "  {left}{:gap$}{}", "", paint.soft(right), gap = widest - width + GAP);
    }
}

fn person_line(person: &Person, paint: Paint) -> (String, usize, String) {
    let groups = match person.groups {
        [] => "in no group".to_owned(),
        [group] => format!("in the group {group}"),
        [_, ..] => format!("in the groups {}", person.groups.join(" and ")),
    };
    (paint.bold(person.username), person.username.len(), groups)
}

fn tries(text: &mut String, paint: Paint, ports: &Ports) {
    let app = ports.url(APP);
    let lines = [
        (
            "The wrong group: as bob you are told what is missing, and can become alice.",
            paint.link(&ports.url(ADMIN)),
        ),
        ("The same person in another tab: nobody is asked again.", paint.link(&ports.url(FAMILY))),
        ("The headers an app gets: on its page, or as JSON.", paint.link(&format!("{app}api/whoami"))),
        (
            "A program that is not signed in: 401, with a problem that says where to sign in.",
            paint.code(&format!("curl -i {app}api/whoami")),
        ),
        ("A path that a rule opens to all.", paint.code(&format!("curl -i {app}health"))),
        ("Where you are signed in, and the end of any of it.", paint.link(&ports.account_url())),
        ("Signing out, here and at the provider.", paint.link(&ports.sign_out_url())),
    ];
    let _ = writeln!(text, "\n{}", paint.bold("Try"));
    for (number, (what, how)) in lines.iter().enumerate() {
        let _ = writeln!(text, "  {}. {what}\n     {how}", number + 1);
    }
    let _ = writeln!(text, "\n  {}", paint.soft(SAFARI));
}

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn link(self, text: &str) -> String {
        self.with("36", text)
    }

    fn code(self, text: &str) -> String {
        self.with("32", text)
    }

    fn soft(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const LAST_WORDS: &str = "Ctrl-C ends it; nothing is kept.";
const SAFARI: &str = "Safari may not find names under localhost: take Chrome, Edge or Firefox.";
/// Blanks between two columns.
const GAP: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: Ports = Ports { public: 4180, admin: 4181, provider: 4182, backend: 4183 };

    #[test]
    fn everything_is_said_in_lines_that_fit() {
        let text = banner(&PORTS, false);
        for part in [
            "http://app.foregate.localhost:4180/ ",
            "http://family.foregate.localhost:4180/ ",
            "http://admin.foregate.localhost:4180/ ",
            "alice   in the groups family and admins",
            "bob     in the group family",
            "carol   in no group",
            "curl -i http://app.foregate.localhost:4180/api/whoami",
            "http://auth.foregate.localhost:4180/.foregate/account",
            "http://auth.foregate.localhost:4180/.foregate/sign-out",
            "Ctrl-C ends it; nothing is kept.",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 100 && !line.ends_with(' '), "{line}");
        }
    }

    #[test]
    fn columns_stand_under_each_other() {
        let text = banner(&Ports { public: 54321, ..PORTS }, false);
        let at: Vec<usize> =
            ["whoever", "the group family", "the group admins"].map(|part| column(&text, part)).to_vec();
        assert!(at.windows(2).all(|pair| pair[0] == pair[1]), "{at:?}");
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let (plain, painted) = (banner(&PORTS, false), banner(&PORTS, true));
        assert!(!plain.contains('\x1b'));
        let mut stripped = painted.clone();
        for code in ["\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[36m", "\x1b[0m"] {
            stripped = stripped.replace(code, "");
        }
        assert!(stripped == plain && painted != plain);
    }

    fn column(text: &str, part: &str) -> usize {
        text.lines().find_map(|line| line.find(part)).unwrap()
    }
}
