//! Rows put into columns, and columns into the width that there is.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::cli::progress::Room;

use super::Count;
use super::node::Node;

/// Between two columns.
const GAP: &str = "  ";
/// Of ten columns of the screen, so many at most are for the names.
const NAME_TENTHS: usize = 4;
/// Of a name, no more is shown anywhere.
const NAME_COLUMNS_MAX: usize = 60;
/// How wide a line is where no terminal says so.
const PLAIN_COLUMNS: usize = 160;

/// How wide a line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::run) struct Columns(usize);

impl Columns {
    /// As the terminal has it; without one, as a file's reader can bear it.
    pub(in crate::cli::run) fn of(terminal: Option<u16>) -> Self {
        Self(terminal.map_or(PLAIN_COLUMNS, usize::from))
    }

    fn room(self) -> Room {
        Room::of(u16::try_from(self.0).ok())
    }
}

/// One line to be.
#[derive(Debug)]
pub(super) enum Row<'a> {
    /// A task of its own.
    Node {
        /// The lines of the tree in front of it.
        lead: String,
        /// The task.
        node: &'a Node,
        /// The one that all is below of.
        root: &'a Node,
    },
    /// Tasks that are only counted.
    Words {
        /// With the lines of the tree in front.
        text: String,
        /// How many.
        tasks: usize,
    },
}

impl<'a> Row<'a> {
    pub(super) fn node(lead: String, node: &'a Node, root: &'a Node) -> Self {
        Self::Node { lead, node, root }
    }

    pub(super) fn count(lead: &str, count: &Count) -> Self {
        Self::Words { text: format!("{lead}└─ {}", count.words()), tasks: count.tasks() }
    }

    pub(super) fn rest(tasks: usize) -> Self {
        Self::Words { text: format!("… {tasks} more"), tasks }
    }

    pub(super) fn tasks(&self) -> usize {
        match self {
            Self::Node { .. } => 1,
            Self::Words { tasks, .. } => *tasks,
        }
    }
}

/// The rows as lines, none wider than `columns`.
pub(super) fn lines(rows: &[Row<'_>], columns: Columns) -> Vec<String> {
    let room = columns.room();
    let name_max = (columns.0 * NAME_TENTHS / 10).min(NAME_COLUMNS_MAX);
    let table: Vec<Vec<String>> = rows.iter().map(|row| cells(row, room, name_max)).collect();
    let count = table.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |at: usize| {
        // What is only counted has one cell, which may reach over the others.
        let cells = table.iter().filter(|row| row.len() > 1).filter_map(|row| row.get(at));
        cells.map(|cell| cell.width()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(widest).collect();
    table.iter().map(|row| cut(&line(row, &widths, room), columns.0)).collect()
}

/// What a row says: its name, how the task stands, its percent, its fuel, its memory, its words. Where there is little
/// room, the figures make way for the words.
fn cells(row: &Row<'_>, room: Room, name_max: usize) -> Vec<String> {
    let (lead, node, top) = match row {
        Row::Node { lead, node, root } => (lead, node, root),
        Row::Words { text, .. } => return vec![text.clone()],
    };
    // A lead that is as wide as a name may be would leave nothing of the name.
    let name = cut_front(lead, name_max / 2) + &node.name(top);
    let (name, standing, words) = (cut(&name, name_max), node.standing.words(), node.words());
    let percent = node.percent().map(|percent| format!("{percent:>3}%")).unwrap_or_default();
    match room {
        Room::Narrow => vec![name, standing, percent.trim_start().to_owned(), words],
        Room::Middle => vec![name, standing, percent, node.fuel_burnt(), words],
        Room::Wide => vec![name, standing, percent, node.fuel_of_budget(), node.memory(), words],
    }
}

fn line(row: &[String], widths: &[usize], room: Room) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        // A column without anything in it is none; on a narrow screen nothing stands below another.
        if *width == 0 || (room == Room::Narrow && cell.is_empty()) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(GAP);
        }
        line.push_str(cell);
        if room != Room::Narrow {
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width())));
        }
    }
    if row.len() == 1 {
        row.concat()
    } else {
        line.truncate(line.trim_end().len());
        line
    }
}

/// The beginning of a line that fits, with a mark where it was cut.
fn cut(line: &str, columns: usize) -> String {
    if line.width() <= columns {
        return line.to_owned();
    }
    let mut shown = String::new();
    let mut width = 0;
    for c in line.chars() {
        width += columns_of(c);
        if width + 1 > columns {
            break;
        }
        shown.push(c);
    }
    if columns > 0 {
        shown.push('…');
    }
    shown
}

/// The end of what stands in front of a name, if not all of it fits: how deep it is matters less than beside what.
fn cut_front(lead: &str, columns: usize) -> String {
    let over = lead.chars().count().saturating_sub(columns);
    if over == 0 { lead.to_owned() } else { format!("…{}", lead.chars().skip(over + 1).collect::<String>()) }
}

/// How many columns a character may take. What asks for a picture of the character before it makes that wider.
fn columns_of(c: char) -> usize {
    if c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) }
}
