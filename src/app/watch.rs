//! Files, looked at again and again. By looking, as they are replaced by symbolic links of directories, on mounts that tell
//! of nothing.

use std::path::PathBuf;
use std::time::Duration;

use crate::server::Stamp;

/// Files as they were when they were last looked at.
#[derive(Debug)]
pub(super) struct Watch {
    files: Vec<(PathBuf, Option<Stamp>)>,
    /// Whether there is something to tell, which waits until nothing moves any more.
    unsettled: bool,
}

impl Watch {
    /// Begins to watch files that have just been read. What they were like then is not known, so that there is news of them
    /// at once.
    pub(super) fn over(files: Vec<PathBuf>) -> Self {
        let files = files.into_iter().map(|path| (path, None)).collect();
        Self { files, unsettled: true }
    }

    /// Watches these from now on. What is known of one stays known; there will be news of one that is new here, as it may have
    /// changed since it was read.
    pub(super) fn follow(&mut self, files: Vec<PathBuf>) {
        let known = std::mem::take(&mut self.files);
        let with_stamp = |path: PathBuf| {
            let stamp = known.iter().find(|(other, _)| *other == path).and_then(|(_, stamp)| *stamp);
            (path, stamp)
        };
        self.files = files.into_iter().map(with_stamp).collect();
    }

    /// Waits until a file is another one than it was, and has been the same for two looks: whoever writes it may not be done
    /// before.
    pub(super) async fn news(&mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let paths: Vec<PathBuf> = self.files.iter().map(|(path, _)| path.clone()).collect();
            let look = move || paths.iter().map(|path| Stamp::at(path)).collect::<Vec<_>>();
            let Ok(stamps) = tokio::task::spawn_blocking(look).await else { continue };
            let before = self.files.iter().map(|(_, stamp)| *stamp);
            let moved = !before.eq(stamps.iter().copied());
            self.files.iter_mut().zip(stamps).for_each(|((_, known), stamp)| *known = stamp);
            if !moved && std::mem::take(&mut self.unsettled) {
                return;
            }
            self.unsettled |= moved;
        }
    }
}

/// How soon a change is noticed; it counts when it has been there for as long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
