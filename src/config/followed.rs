//! A file that a setting names, and what was in it, so that a change of it is noticed. Knows no settings and keeps no
//! content.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

/// What tells a content from another one; nothing of it can be read out of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark([u8; 32]);

impl Mark {
    pub(super) fn of(content: &[u8]) -> Self {
        let mut mark = [0; 32];
        mark.copy_from_slice(digest(&SHA256, content).as_ref());
        Self(mark)
    }
}

/// A file, as it was when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    setting: String,
    path: PathBuf,
    mark: Option<Mark>,
}

impl Followed {
    /// Looks at a file. Only of a plain one can it be told what is in it, as a pipe gives that only once.
    pub(super) fn new(setting: String, path: &Path) -> Self {
        let plain = fs::metadata(path).is_ok_and(|file| file.is_file());
        let mark = plain.then(|| content(path).ok()).flatten().map(|content| Mark::of(&content));
        Self { setting, path: path.to_owned(), mark }
    }

    /// The setting that names it.
    pub(super) fn setting(&self) -> &str {
        &self.setting
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn content(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)?.take(LONGEST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// No setting reads more of a file.
const LONGEST_BYTES: u64 = 1 << 20;
