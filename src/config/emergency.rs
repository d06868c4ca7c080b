//! The table `[emergency]`: who gets in while nobody can sign in. Shows no hash.

use std::time::Duration;

use ipnet::IpNet;

use super::findings::Place;
use super::secrets::key_lines;
use super::values::{Read, Reader};
use crate::emergency::{Hash, Settings, User};
use crate::policy::App;
use crate::secret::Secret;

impl Reader {
    /// Who gets in while nobody can sign in; nobody where no users are written. The outer `None` is a finding.
    pub(crate) fn emergency(&mut self, apps: Option<&[(App, Place)]>) -> Option<Option<Settings>> {
        let networks = self.emergency_networks();
        let declared = self.flag("emergency.declared");
        let after = self.duration("emergency.after", SHORTEST);
        if !self.is_written(USERS) {
            self.used(USERS);
            return self.note_without_users(apps).then_some(None);
        }
        let users = self.emergency_users()?;
        let (networks, declared, after) = (networks?, declared?, after?.value);
        if let (Some(apps), Some(place)) = (apps, self.place_of(USERS))
            && !apps.iter().any(|(app, _)| app.emergency)
        {
            let problem = format!("`{USERS}` has no effect, as no app allows emergency access");
            self.book.note(&place, problem, "write emergency = true in the table of an app, or remove it");
            return None;
        }
        Some(Some(Settings { users, networks, declared, after }))
    }

    /// Notes what has no effect without users; whether all is well.
    fn note_without_users(&mut self, apps: Option<&[(App, Place)]>) -> bool {
        let before = self.book.count();
        for path in [NETWORKS, "emergency.declared", "emergency.after"] {
            if let Some(place) = self.place_of(path) {
                self.book.note(&place, format!("`{path}` has no effect without `{USERS}`"), WRITE_USERS);
            }
        }
        for (app, place) in apps.unwrap_or_default().iter().filter(|(app, _)| app.emergency) {
            let problem = format!("`emergency` of `{}` has no effect without `{USERS}`", app.name);
            self.book.note(place, problem, WRITE_USERS);
        }
        self.book.count() == before
    }

    fn emergency_networks(&mut self) -> Option<Vec<IpNet>> {
        let Some(place) = self.place_of(NETWORKS) else {
            self.used(NETWORKS);
            return Some(Vec::new());
        };
        let texts = self.texts(NETWORKS)?;
        let before = self.book.count();
        // Such as a variable that was not given: whoever writes networks means no more than those.
        if texts.is_empty() {
            let fix = "name networks, or remove it where they may be anywhere";
            self.book.note(&place, format!("`{NETWORKS}` is empty"), fix);
        }
        let networks = texts.iter().filter_map(|text| self.network(text)).collect();
        (self.book.count() == before).then_some(networks)
    }

    fn network(&mut self, Read { value, place }: &Read<String>) -> Option<IpNet> {
        let network = value.parse().ok().or_else(|| value.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        if network.is_none() {
            let problem = format!("`{NETWORKS}`: `{value}` is neither an address nor a network");
            self.book.note(place, problem, "write such as 10.0.0.5 or 10.0.0.0/8");
        }
        network.map(|network| network.trunc())
    }

    fn emergency_users(&mut self) -> Option<Vec<User>> {
        let lines = self.emergency_lines()?;
        let before = self.book.count();
        let mut users: Vec<User> = Vec::new();
        for (name, line) in lines {
            match parse_user(line.value.expose()) {
                Ok(user) if users.iter().any(|other| other.name == user.name) => {
                    let problem = format!("`{USERS}`: {name} has the name of another one");
                    self.book.note(&line.place, problem, "give each user a name of their own");
                }
                Ok(user) if users.first().is_some_and(|first| !first.hash.costs_the_same(&user.hash)) => {
                    let problem = format!(
                        "`{USERS}`: {name} has a hash of other costs, which tells who is known by the time it takes"
                    );
                    self.book.note(&line.place, problem, MAKE_ALL);
                }
                Ok(user) => users.push(user),
                Err((problem, fix)) => {
                    self.book.note(&line.place, format!("`{USERS}`: {name} {problem}"), fix)
                }
            }
        }
        (self.book.count() == before).then_some(users)
    }

    /// Each user's line, with what to call it in a finding.
    fn emergency_lines(&mut self) -> Option<Vec<(String, Read<Secret>)>> {
        let place = self.place_of(USERS)?;
        let lines: Vec<(String, Read<Secret>)> = match self.secret_file(USERS)? {
            Some(file) => key_lines(&file.value)
                .map(|(number, text)| {
                    let line = Read { value: Secret::new(text), place: file.place.clone() };
                    (format!("line {number} of the file"), line)
                })
                .collect(),
            None => {
                let user = |(index, text): (usize, Read<String>)| {
                    (
                        format!("user {}", index + 1),
                        Read { value: Secret::new(text.value), place: text.place },
                    )
                };
                self.texts(USERS)?.into_iter().enumerate().map(user).collect()
            }
        };
        if lines.is_empty() {
            self.book.note(&place, format!("`{USERS}` is empty"), WRITE_USERS);
            return None;
        }
        Some(lines)
    }
}

/// Reads `name:hash` or `name:hash:group,group`. The error is what is wrong and what to write, and holds nothing of it.
fn parse_user(line: &str) -> Result<User, (String, &'static str)> {
    let mut parts = line.splitn(3, ':');
    let (Some(name), Some(hash)) = (parts.next(), parts.next()) else {
        return Err(("is not name:hash or name:hash:groups".to_owned(), FORM));
    };
    if name.is_empty() || name.trim() != name || name.chars().any(|c| c.is_control() || "{}".contains(c)) {
        return Err(("has no name, or one with white space around it".to_owned(), FORM));
    }
    let hash = Hash::parse(hash).map_err(|error| (format!("has a hash that {error}"), MAKE))?;
    let groups: Vec<&str> =
        parts.next().map(|groups| groups.split(',').map(str::trim).collect()).unwrap_or_default();
    if groups.iter().any(|group| group.is_empty() || group.chars().any(char::is_control)) {
        return Err(("names a group without a name".to_owned(), FORM));
    }
    Ok(User { name: name.to_owned(), hash, groups: groups.into_iter().map(str::to_owned).collect() })
}

const USERS: &str = "emergency.users";
const NETWORKS: &str = "emergency.networks";
const WRITE_USERS: &str = "write users = [\"name:hash:groups\"] below [emergency], or remove it";
const MAKE_ALL: &str = "make all hashes with `foregate hash-password`";
const FORM: &str =
    "write such as \"alice:$argon2id$…:admins,ops\", with a hash that `foregate hash-password` prints";
const MAKE: &str = "make another one with `foregate hash-password`";
/// So that it is never a matter of one question or two.
const SHORTEST: Duration = Duration::from_secs(10);

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use crate::config::{Config, Environment};

    const HEAD: &str = "public_url = 'https://auth.example.com'\n[provider]\nissuer = 'https://id.example.com/'\n\
        client_id = 'f'\nclient_auth = 'none'\n[apps]\n'a.example.com' = { emergency = true, allow = 'signed-in' }\n[emergency]\n";
    const HASH: &str =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    #[test]
    fn what_cannot_be_meant_is_told_and_no_hash_is_shown() {
        let weak = HASH.replace("m=65536", "m=64");
        for (rest, found) in [
            ("users = 'x'".to_owned(), "f:9:9: `emergency.users` is text"),
            ("users = []".to_owned(), "f:9:9: `emergency.users` is empty"),
            ("users = ['alice']".to_owned(), "f:9:10: `emergency.users`: user 1 is not name:hash"),
            (
                "users = ['alice:hunter2']".to_owned(),
                "f:9:10: `emergency.users`: user 1 has a hash that is no Argon2id hash",
            ),
            (
                format!("users = ['alice:{weak}']"),
                "f:9:10: `emergency.users`: user 1 has a hash that is too weak",
            ),
            (format!("users = [':{HASH}']"), "f:9:10: `emergency.users`: user 1 has no name"),
            (
                format!("users = ['a:{HASH}:x,,y']"),
                "f:9:10: `emergency.users`: user 1 names a group without a name",
            ),
            (format!("users = ['a:{HASH}', 'a:{HASH}']"), "has the name of another one"),
            (
                format!("users = ['a:{HASH}']\nnetworks = ['x']"),
                "f:10:13: `emergency.networks`: `x` is neither",
            ),
            (format!("users = ['a:{HASH}']\nafter = '9s'"), "f:10:9: `emergency.after` is too short"),
            (format!("users = ['a:{HASH}']\nuser = 'x'"), "f:10:1: `user` is not a setting of [emergency]"),
            (
                "declared = true".to_owned(),
                "f:9:12: `emergency.declared` has no effect without `emergency.users`",
            ),
            (String::new(), "`emergency` of `a.example.com` has no effect without `emergency.users`"),
        ] {
            let told = findings(&format!("{HEAD}{rest}\n"));
            assert!(
                told.contains(found) && !told.contains("CTFh") && !told.contains("hunter2"),
                "{found}\n{told}"
            );
        }
        let none = format!("{HEAD}users = ['a:{HASH}']\n").replace("emergency = true, ", "");
        assert!(findings(&none).contains("no app allows emergency access"), "{}", findings(&none));
    }

    #[test]
    fn users_have_groups_and_are_not_shown() {
        let text = format!(
            "{HEAD}users = ['alice:{HASH}: admins, ops:night', 'bob:{HASH}']\nnetworks = ['10.1.2.3/8']\n"
        );
        let loaded = Config::from_text(Some(("f", &text)), &Environment::default()).unwrap();
        let shown = crate::config::show(&loaded);
        assert!(shown.contains("emergency.users") && !shown.contains("argon2id"), "{shown}");
        let emergency = loaded.config.emergency.unwrap();
        let people: Vec<_> =
            emergency.users.iter().map(|user| (user.name.as_str(), user.groups.join("|"))).collect();
        assert_eq!(people, [("alice", "admins|ops:night".to_owned()), ("bob", String::new())]);
        assert_eq!(emergency.networks, ["10.0.0.0/8".parse().unwrap()]);
    }

    fn findings(text: &str) -> String {
        let Err(findings) = Config::from_text(Some(("f", text)), &Environment::default()) else {
            panic!("no finding: {text}")
        };
        findings.to_string()
    }
}
