//! Tables on a terminal and lines of JSON, written as they come. Knows no commands.

use std::io::{self, Write};

use serde_json::Value;

use super::colour::Colour;
use crate::wording::{escaped, printable};

/// Whether there is anybody left to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Go on.
    Waits,
    /// Stop: the output was closed.
    Gone,
}

/// Columns as wide as the widest cell so far, within reason; the last one is as long as it is.
#[derive(Debug)]
pub(super) struct Table {
    titles: &'static [&'static str],
    widths: Vec<usize>,
    begun: bool,
    colour: Colour,
}

impl Table {
    pub(super) fn new(titles: &'static [&'static str]) -> Self {
        Self {
            titles,
            widths: titles.iter().map(|title| title.chars().count()).collect(),
            begun: false,
            colour: Colour::Off,
        }
    }

    /// The same with its titles in bold, where that can be shown.
    pub(super) fn coloured(self) -> Self {
        Self { colour: Colour::of_stdout(), ..self }
    }

    /// A page of rows, below the titles if it is the first.
    pub(super) fn page(&mut self, rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count().min(WIDEST));
            }
        }
        let mut text = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            let titles: Vec<String> = self.titles.iter().map(ToString::to_string).collect();
            text.push_str(&self.colour.paint(BOLD, self.line(&titles).trim_end()));
            text.push('\n');
        }
        rows.iter().for_each(|row| text.push_str(&self.line(row)));
        text
    }

    fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&self.widths) {
            line.push_str(cell);
            let gap = width.saturating_sub(cell.chars().count()) + 2;
            line.extend(std::iter::repeat_n(' ', gap));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// JSON as a line of its own, in which nothing acts on the terminal.
pub(super) fn line_of(told: &Value) -> String {
    escaped(&format!("{told}\n")).into_owned()
}

/// Writes to standard output, whose reader may leave at any time, as `head` does.
pub(super) fn write(text: &str) -> anyhow::Result<Reader> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Waits),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error.into()),
    }
}

/// Of the terminal.
const BOLD: u8 = 1;

/// A longer cell stands out of its column.
const WIDEST: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::new(&["A", "NAME", "LAST"]);
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let first = table.page(&[row(["1", "Zoë", "x"]), row(["22", "alice", ""])]);
        assert_eq!(first, "A   NAME   LAST\n1   Zoë    x\n22  alice\n");
        let wide = "w".repeat(70);
        let more = table.page(&[row(["3", &wide, "y"]), row(["4", "b\u{1b}[2J", "z"])]);
        let (long, short) = more.split_once('\n').unwrap();
        assert_eq!(long, format!("3   {wide}  y"));
        assert_eq!(short, format!("4   b\u{fffd}[2J{}z\n", " ".repeat(60 - 5 + 2)));
        assert!(Table::new(&["A"]).page(&[]).starts_with("A\n"), "titles also above nothing");
    }
}
