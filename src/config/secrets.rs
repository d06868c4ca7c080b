//! Secrets: written in place or in a file of their own, and the sealing keys that foregate makes itself. Shows
//! none of them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

use super::findings::Place;
use super::keys::TWIN;
use super::values::{Read, Reader};
use crate::browser::Sealer;
use crate::secret::Secret;
use crate::session::Settings;
use crate::session::store::Location;

impl Reader {
    /// A secret that is written in place, or else the content of the file its twin names.
    pub(crate) fn secret(&mut self, path: &str) -> Option<Read<Secret>> {
        if let Some(file) = self.secret_file(path)? {
            return Some(Read { value: Secret::new(file.value.as_str()), place: file.place });
        }
        let text = self.text(path)?;
        Some(Read { value: Secret::new(text.value), place: text.place })
    }

    /// The sealing keys, newest first; none at all where none are written.
    pub(crate) fn sealing_keys(&mut self) -> Option<Vec<Secret>> {
        let path = "session.keys";
        let keys: Vec<(String, Read<Secret>)> = match self.secret_file(path)? {
            Some(file) => {
                let line = |(number, text): (usize, &str)| {
                    (
                        format!("line {number} of the file"),
                        Read { value: Secret::new(text), place: file.place.clone() },
                    )
                };
                key_lines(&file.value).map(line).collect()
            }
            None if self.written(path).is_none() => {
                self.node(path);
                return Some(Vec::new());
            }
            None => {
                let place = self.written(path).map(|node| node.place.clone());
                let texts = self.texts(path)?;
                if let Some(place) = place.filter(|_| texts.is_empty()) {
                    self.book.note(&place, "`session.keys` is empty", NEW_KEY);
                    return None;
                }
                let key = |(index, text): (usize, Read<String>)| {
                    (format!("key {}", index + 1), Read { value: Secret::new(text.value), place: text.place })
                };
                texts.into_iter().enumerate().map(key).collect()
            }
        };
        let before = self.book.count();
        for (name, key) in &keys {
            if Sealer::new(std::slice::from_ref(&key.value)).is_err() {
                self.book.note(
                    &key.place,
                    format!("`session.keys`: {name} is not 32 bytes in base64"),
                    NEW_KEY,
                );
            }
        }
        (self.book.count() == before).then(|| keys.into_iter().map(|(_, key)| key.value).collect())
    }

    /// The content of the file that holds a secret, where one is named. `None` is a finding.
    pub(super) fn secret_file(&mut self, path: &str) -> Option<Option<Read<Zeroizing<String>>>> {
        let twin = format!("{path}{TWIN}");
        let Some(node) = self.written(&twin).cloned() else { return Some(None) };
        if let Some(place) = self.written(path).map(|node| node.place.clone()) {
            let (here, there) = (self.book.whence(&place), self.book.whence(&node.place));
            let problem = format!("both `{path}` ({here}) and `{twin}` ({there}) are set");
            self.book.note(&node.place, problem, "keep one of the two");
            self.used(path);
            return None;
        }
        self.used(path);
        let name = self.text_of(&twin, &node)?;
        self.book.follow(path, &name.value);
        match read_secret(Path::new(&name.value)) {
            Ok(text) => Some(Some(Read { value: text, place: name.place })),
            Err(problem) => {
                self.book.note(
                    &name.place,
                    format!("`{twin}` names {}, {problem}", name.value),
                    problem.fix(),
                );
                None
            }
        }
    }

    /// A place for what is wrong with a secret, wherever it is written.
    pub(crate) fn place_of(&self, path: &str) -> Option<Place> {
        let node = self.written(path).or_else(|| self.written(&format!("{path}{TWIN}")));
        node.map(|node| node.place.clone())
    }
}

/// Why a secret's file cannot be used.
#[derive(Debug, Error)]
enum FileProblem {
    #[error("which cannot be read ({0})")]
    Unreadable(io::ErrorKind),
    #[error("which is empty")]
    Empty,
    #[error("which is longer than a secret can be")]
    TooLong,
    #[error("which holds something else than text")]
    NotText,
}

impl FileProblem {
    fn fix(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "name a file that foregate may read",
            Self::Empty | Self::TooLong | Self::NotText => "put the secret alone into the file",
        }
    }
}

/// Reads a secret's file; one newline at the end is no part of the secret.
fn read_secret(path: &Path) -> Result<Zeroizing<String>, FileProblem> {
    let unreadable = |error: io::Error| FileProblem::Unreadable(error.kind());
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(unreadable)?;
    file.take(LONGEST_SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST_SECRET_BYTES {
        return Err(FileProblem::TooLong);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| FileProblem::NotText)?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.trim().is_empty() {
        return Err(FileProblem::Empty);
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// The keys in a keys file with their line numbers: one for a line, blank lines and `#` comments passed over.
pub(super) fn key_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// What keeps foregate from having sealing keys of its own.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The store is shared, so that its keys must be given to every foregate.
    #[error(
        "there is no sealing key: make one with `foregate session new-key` and name its file in session.keys_file"
    )]
    Missing,
    /// The system has no randomness to offer.
    #[error("no random numbers can be had")]
    NoRandomness,
    /// The keys file cannot be read or made.
    #[error("the keys file {} cannot be used: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The keys file holds something else than keys.
    #[error("the keys file {} holds something else than keys of 32 bytes in base64", .0.display())]
    Damaged(PathBuf),
}

/// Sees to it that there are sealing keys: those configured, or those in the file beside the SQLite database,
/// which is made with one new key and mode 0600 when it is not there.
///
/// # Errors
/// [`KeysError`] if there are none and none can be made; a file that is there is never replaced.
pub fn ensure_keys(settings: &mut Settings) -> Result<(), KeysError> {
    if !settings.keys.is_empty() {
        return Ok(());
    }
    let keys = match &settings.location {
        #[cfg(feature = "sqlite")]
        Location::Sqlite(database) => keys_beside(&keys_file(database)),
        #[cfg(feature = "sqlite")]
        Location::Memory => new_key().map(|key| vec![key]),
        #[cfg(feature = "postgres")]
        Location::Postgres(_) => Err(KeysError::Missing),
    };
    settings.keys = keys?;
    Ok(())
}

/// The sealing keys that there are, as [`ensure_keys`] would find them, and none where it would make one.
///
/// # Errors
/// As [`ensure_keys`].
pub fn keys_at_hand(settings: &Settings) -> Result<Vec<Secret>, KeysError> {
    if !settings.keys.is_empty() {
        return Ok(settings.keys.clone());
    }
    match &settings.location {
        #[cfg(feature = "sqlite")]
        Location::Sqlite(database) => {
            let path = keys_file(database);
            if path.exists() { keys_in(&path) } else { Ok(Vec::new()) }
        }
        #[cfg(feature = "sqlite")]
        Location::Memory => Ok(Vec::new()),
        #[cfg(feature = "postgres")]
        Location::Postgres(_) => Err(KeysError::Missing),
    }
}

/// Where the keys of a database file are.
#[cfg(feature = "sqlite")]
fn keys_file(database: &Path) -> PathBuf {
    let mut name = database.to_owned().into_os_string();
    name.push(".keys");
    PathBuf::from(name)
}

/// Makes a sealing key, as a line of a keys file.
///
/// # Errors
/// [`KeysError::NoRandomness`] if the system has none.
pub fn new_key() -> Result<Secret, KeysError> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut()).map_err(|_| KeysError::NoRandomness)?;
    Ok(Secret::new(STANDARD.encode(bytes)))
}

#[cfg_attr(not(feature = "sqlite"), expect(dead_code, reason = "only SQLite has keys beside it"))]
fn keys_beside(path: &Path) -> Result<Vec<Secret>, KeysError> {
    let failed = |error| KeysError::File { path: path.to_owned(), error };
    if !path.try_exists().map_err(failed)? {
        make_keys_file(path, &new_key()?).map_err(failed)?;
    }
    keys_in(path)
}

fn keys_in(path: &Path) -> Result<Vec<Secret>, KeysError> {
    let failed = |error| KeysError::File { path: path.to_owned(), error };
    let text = match read_secret(path) {
        Ok(text) => text,
        Err(FileProblem::Unreadable(kind)) => return Err(failed(kind.into())),
        Err(FileProblem::Empty | FileProblem::TooLong | FileProblem::NotText) => {
            return Err(KeysError::Damaged(path.to_owned()));
        }
    };
    let keys: Vec<Secret> = key_lines(&text).map(|(_, line)| Secret::new(line)).collect();
    Sealer::new(&keys).map_err(|_| KeysError::Damaged(path.to_owned()))?;
    Ok(keys)
}

/// Writes the file whole under a name of its own and then links it into place, so that two processes starting at
/// once agree on one key and a crash leaves no half of one.
fn make_keys_file(path: &Path, key: &Secret) -> io::Result<()> {
    let mut mark = [0; 8];
    rand::fill(&mut mark).map_err(io::Error::other)?;
    let mut name = path.to_owned().into_os_string();
    name.push(format!(".{:016x}", u64::from_be_bytes(mark)));
    let draft = PathBuf::from(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = writeln!(file, "{}", key.expose()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&draft, path));
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// More than any secret, and little enough to read a wrong file without harm.
const LONGEST_SECRET_BYTES: u64 = 64 * 1024;
/// What to do about a sealing key.
pub(crate) const NEW_KEY: &str = "make one with `foregate session new-key`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_loses_one_newline_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        for (content, secret) in [
            ("hunter2", Some("hunter2")),
            ("hunter2\n", Some("hunter2")),
            ("hunter2\r\n", Some("hunter2")),
            ("hunter2\n\n", Some("hunter2\n")),
            (" hunter2 ", Some(" hunter2 ")),
            ("", None),
            ("\n", None),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read_secret(&path).ok().as_deref().map(String::as_str), secret, "{content:?}");
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert!(matches!(read_secret(&path), Err(FileProblem::NotText)));
        assert!(matches!(read_secret(Path::new("/dev/zero")), Err(FileProblem::TooLong)));
        assert!(matches!(read_secret(dir.path()), Err(FileProblem::Unreadable(_))));
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn keys_are_made_once_and_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("foregate.db");
        let settings = |location: Location| Settings {
            location,
            keys: Vec::new(),
            idle: std::time::Duration::ZERO,
            lifetime: std::time::Duration::ZERO,
            poll: std::time::Duration::ZERO,
            outage_grace: std::time::Duration::ZERO,
            issuers: Vec::new(),
            cache_sessions: 1,
            owner_absence: std::time::Duration::ZERO,
        };
        let mut first = settings(Location::Sqlite(database.clone()));
        ensure_keys(&mut first).unwrap();
        let mut second = settings(Location::Sqlite(database));
        ensure_keys(&mut second).unwrap();
        assert!(first.keys.len() == 1 && first.keys == second.keys);
        let file = dir.path().join("foregate.db.keys");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");

        std::fs::write(&file, "# old\n\nnot a key\n").unwrap();
        let mut third = settings(first.location.clone());
        assert!(matches!(ensure_keys(&mut third), Err(KeysError::Damaged(_))));
        let mut memory = settings(Location::Memory);
        ensure_keys(&mut memory).unwrap();
        assert_eq!(memory.keys.len(), 1);
    }
}
