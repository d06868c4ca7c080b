//! Whether what is printed has colours: on a terminal, unless `NO_COLOR` or the like say otherwise.

use anstream::{AutoStream, ColorChoice};

/// See above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    On,
    Off,
}

impl Colour {
    /// For standard output.
    pub(super) fn of_stdout() -> Self {
        match AutoStream::choice(&std::io::stdout()) {
            ColorChoice::Auto | ColorChoice::Always | ColorChoice::AlwaysAnsi => Self::On,
            ColorChoice::Never => Self::Off,
        }
    }

    /// The text in this manner of the terminal (ECMA-48, SGR), or as it is.
    pub(super) fn paint(self, manner: u8, text: &str) -> String {
        match self {
            Self::On => format!("\u{1b}[{manner}m{text}\u{1b}[0m"),
            Self::Off => text.to_owned(),
        }
    }
}
