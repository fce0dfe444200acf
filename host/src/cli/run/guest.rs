//! Puts what a guest prints and logs into lines, each with its origin.

use crate::{OutputChunk, OutputPage, OutputSource};

use crate::cli::progress::labelled;

/// Bytes of a line that are gathered before it is shown although it has no end yet.
const LINE_BYTES_MAX: usize = 4000;

/// Puts pieces of output together again. What is shown is not escaped yet.
#[derive(Debug, Default)]
pub(super) struct GuestLines {
    stdout: String,
    stderr: String,
}

impl GuestLines {
    /// The lines that a page of output completes.
    pub(super) fn take(&mut self, page: &OutputPage) -> Vec<String> {
        let mut lines = Vec::new();
        if page.lost > 0 {
            lines.extend(self.finish());
            lines.push(labelled("...", &format!("{} pieces of output came too fast and are lost", page.lost)));
        }
        for OutputChunk { source, text } in &page.chunks {
            match source {
                OutputSource::Stdout => split(&mut self.stdout, "out", text, &mut lines),
                OutputSource::Stderr => split(&mut self.stderr, "err", text, &mut lines),
                OutputSource::Log { level, target } if target.is_empty() => lines.push(labelled(level, text)),
                OutputSource::Log { level, target } => lines.push(labelled(level, &format!("{target}: {text}"))),
            }
        }
        lines
    }

    /// What is left without an end of line.
    pub(super) fn finish(&mut self) -> Vec<String> {
        let rest = [("out", std::mem::take(&mut self.stdout)), ("err", std::mem::take(&mut self.stderr))];
        rest.iter().filter(|(_, text)| !text.is_empty()).map(|(label, text)| labelled(label, text)).collect()
    }
}

fn split(partial: &mut String, label: &str, text: &str, lines: &mut Vec<String>) {
    for piece in text.split_inclusive('\n') {
        partial.push_str(piece);
        if partial.ends_with('\n') || partial.len() > LINE_BYTES_MAX {
            lines.push(labelled(label, partial.trim_end_matches(['\n', '\r'])));
            partial.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(chunks: &[(OutputSource, &str)]) -> OutputPage {
        let chunks =
            chunks.iter().map(|(source, text)| OutputChunk { source: source.clone(), text: (*text).to_owned() });
        OutputPage { chunks: chunks.collect(), ..OutputPage::default() }
    }

    #[test]
    fn pieces_become_lines_and_the_streams_are_not_mixed() {
        let mut lines = GuestLines::default();
        let first = page(&[
            (OutputSource::Stdout, "one\ntw"),
            (OutputSource::Stderr, "oops"),
            (OutputSource::Stdout, "o\r\nend"),
        ]);
        assert_eq!(lines.take(&first), ["   out | one", "   out | two"]);
        assert_eq!(lines.finish(), ["   out | end", "   err | oops"]);
        assert!(lines.finish().is_empty());
    }

    #[test]
    fn log_lines_have_level_and_target() {
        let log = |target: &str| OutputSource::Log { level: "warn".to_owned(), target: target.to_owned() };
        let shown = GuestLines::default().take(&page(&[(log("walk"), "skipped x"), (log(""), "plain")]));
        assert_eq!(shown, ["  warn | walk: skipped x", "  warn | plain"]);
    }

    #[test]
    fn a_line_without_end_is_shown_all_the_same_and_a_loss_is_told() {
        let mut lines = GuestLines::default();
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        assert_eq!(lines.take(&page(&[(OutputSource::Stdout, &long)])).len(), 1);
        lines.take(&page(&[(OutputSource::Stdout, "half")]));
        let lost = OutputPage { lost: 3, ..OutputPage::default() };
        assert_eq!(lines.take(&lost), ["   out | half", "   ... | 3 pieces of output came too fast and are lost"]);
    }
}
