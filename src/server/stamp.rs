//! What tells a file from another or a later one, without reading it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A file as it was when it was looked at. Behind symbolic links it is the file that counts, so that links which are put
/// in the place of others are noticed, as those of a mounted Kubernetes volume are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Looks at a file; `None` if none is there.
    pub fn at(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self {
            file: (file.dev(), file.ino()),
            size: file.size(),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}
