//! Where the lines of a journal go, and what it takes to write there. Knows no lines but as bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The program's standard output.
    Stdout,
    /// Its standard error, where the log is, too.
    Stderr,
    /// The end of this file, which is made if it is not there.
    File(PathBuf),
}

impl Output {
    /// Reads a setting: `stdout`, `stderr` or the path of a file, which has a `/` so that no slip is one.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "stdout" => Some(Self::Stdout),
            "stderr" => Some(Self::Stderr),
            path if path.contains('/') && !path.ends_with('/') => Some(Self::File(path.into())),
            _ => None,
        }
    }
}

/// An output that is open.
#[derive(Debug)]
pub(super) struct Sink {
    target: Target,
    /// Whether the last thing written was a part of a line.
    broken: bool,
}

#[derive(Debug)]
enum Target {
    Stdout,
    Stderr,
    File { path: PathBuf, file: File },
}

/// What could not be written, and how many bytes of whole lines were.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) written: usize,
    pub(super) error: io::Error,
}

impl Sink {
    pub(super) fn open(output: &Output) -> io::Result<Self> {
        let target = match output {
            Output::Stdout => Target::Stdout,
            Output::Stderr => Target::Stderr,
            Output::File(path) => Target::File { path: path.clone(), file: append(path)? },
        };
        Ok(Self { target, broken: false })
    }

    /// The same for a file that is there, and no other.
    pub(super) fn open_if_there(output: &Output) -> io::Result<Self> {
        if let Output::File(path) = output {
            std::fs::metadata(path)?;
        }
        Self::open(output)
    }

    /// Opens a file anew by its name.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Target::File { path, file } = &mut self.target {
            *file = append(path)?;
            self.broken = false;
        }
        Ok(())
    }

    /// Writes whole lines, to the file that has the name now: one that was moved away gets no more.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Stuck> {
        self.follow().map_err(|error| Stuck { written: 0, error })?;
        if self.broken {
            // What there is of the line stays a line of its own, and the whole line comes behind it.
            self.write_some(b"\n").map_err(|error| Stuck { written: 0, error })?;
            self.broken = false;
        }
        let mut done = 0;
        while done < lines.len() {
            match self.write_some(&lines[done..]) {
                Ok(0) => return Err(self.stuck(&lines[..done], io::ErrorKind::WriteZero.into())),
                Ok(bytes) => done += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.stuck(&lines[..done], error)),
            }
        }
        Ok(())
    }

    fn stuck(&mut self, done: &[u8], error: io::Error) -> Stuck {
        let written = done.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.broken = written < done.len();
        Stuck { written, error }
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Stdout => {
                // Its buffer goes out with each line feed, and these are whole lines.
                io::stdout().lock().write_all(bytes).and_then(|()| io::stdout().lock().flush())?;
                Ok(bytes.len())
            }
            Target::Stderr => io::stderr().lock().write(bytes),
            Target::File { file, .. } => file.write(bytes),
        }
    }

    /// Opens the file anew if its name leads to another one by now, or to none.
    fn follow(&mut self) -> io::Result<()> {
        let Target::File { path, file } = &self.target else { return Ok(()) };
        let is_same = match std::fs::metadata(path) {
            Ok(named) => {
                let open = file.metadata()?;
                (named.dev(), named.ino()) == (open.dev(), open.ino())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if is_same { Ok(()) } else { self.reopen() }
    }
}

/// A file to write behind what is there; a new one is nobody's but ours and our group's.
fn append(path: &Path) -> io::Result<File> {
    // A pipe would keep whoever opens it waiting for a reader.
    if std::fs::metadata(path).is_ok_and(|there| there.file_type().is_fifo()) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "it is a pipe; name a file"));
    }
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_a_known_word_or_a_path() {
        for (text, output) in [
            ("stdout", Some(Output::Stdout)),
            ("stderr", Some(Output::Stderr)),
            ("/var/log/audit.log", Some(Output::File("/var/log/audit.log".into()))),
            ("./audit.log", Some(Output::File("./audit.log".into()))),
            ("audit.log", None),
            ("stdrr", None),
            ("/var/log/", None),
            ("", None),
        ] {
            assert_eq!(Output::parse(text), output, "{text}");
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_written_whole_once_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let mut sink = Sink::open(&Output::File(path.clone())).unwrap();
        sink.write(b"one\ntw").unwrap();
        let stuck = sink.stuck(b"one\ntw", io::ErrorKind::StorageFull.into());
        assert_eq!(stuck.written, 4);
        sink.write(b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntw\ntwo\n");
    }
}
