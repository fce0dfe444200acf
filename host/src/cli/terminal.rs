//! The terminal at stderr, as the progress bar and the tree see it: a little narrower than it is.
//!
//! A bar that fills its line leaves the cursor at the edge, and the `^C` that the terminal writes there when somebody
//! presses Ctrl-C wraps to the next line, so that the bar is not where it is looked for when it is removed.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressDrawTarget, TermLike};
use unicode_width::UnicodeWidthStr as _;

use super::environment;

/// Columns that are left free at the edge: `^C` twice.
const FREE_COLUMNS: u16 = 4;
/// The size of a terminal that does not tell.
const USUAL_COLUMNS: u16 = 80;
const USUAL_ROWS: u16 = 24;
/// Times a second that the bar is drawn at most.
const DRAWN_PER_SECOND: u8 = 10;

/// Where the bar is drawn.
pub(super) fn target() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Narrow::default()), DRAWN_PER_SECOND)
}

/// How many columns a line may have.
pub(super) fn columns() -> u16 {
    environment::columns().unwrap_or(USUAL_COLUMNS).saturating_sub(FREE_COLUMNS).max(1)
}

/// How many lines it has.
pub(super) fn rows() -> u16 {
    environment::rows().unwrap_or(USUAL_ROWS)
}

#[derive(Debug, Default)]
struct Narrow {
    /// Where the cursor is in its line, as long as it has not been moved out of it.
    column: AtomicUsize,
}

impl Narrow {
    fn put(text: &str) -> io::Result<()> {
        io::stderr().lock().write_all(text.as_bytes())
    }

    fn go(count: usize, direction: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { Self::put(&format!("\u{1b}[{count}{direction}")) }
    }

    /// Whether a text that comes now belongs to the next line. A line is filled up, and then the next text comes: on a
    /// terminal of this width the cursor would be in the next line by itself.
    fn goes_on_below(&self, text: &str) -> bool {
        let width = usize::from(self.width());
        let column = self.column.load(Ordering::Relaxed);
        let below = column > 0 && column.is_multiple_of(width) && !text.is_empty();
        self.column.store(if below { text.width() } else { column + text.width() }, Ordering::Relaxed);
        below
    }
}

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        columns()
    }

    fn height(&self) -> u16 {
        rows()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        Self::go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        Self::go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        Self::go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        Self::go(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.column.store(0, Ordering::Relaxed);
        Self::put(&format!("{s}\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        if s == "\r" {
            self.column.store(0, Ordering::Relaxed);
        } else if self.goes_on_below(s) {
            Self::put("\n")?;
        }
        Self::put(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.column.store(0, Ordering::Relaxed);
        Self::put("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_line_that_is_filled_goes_on_below() {
        let narrow = Narrow::default();
        let filled = " ".repeat(usize::from(narrow.width()) - 2);
        let written = ["ab", filled.as_str(), "", "cd", filled.as_str(), "é", "f"];
        let below = written.map(|text| narrow.goes_on_below(text));
        assert_eq!(below, [false, false, false, true, false, true, false]);
    }
}
