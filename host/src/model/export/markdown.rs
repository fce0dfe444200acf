//! Text of others in Markdown: as code, which nothing in it can end.

use serde_json::Value;

use crate::model::text::{escape, shortened};

/// Bytes of a text within a line.
const SPAN_BYTES_MAX: usize = 2000;
/// Bytes of a block; all of it is in the JSON lines.
const BLOCK_BYTES_MAX: usize = 16 << 10;

/// A text as a span of code: one line, without anything that acts on a terminal.
pub(crate) fn code(text: &str) -> String {
    if text.is_empty() {
        return "(nothing)".to_owned();
    }
    let text = escape(&shortened(text, SPAN_BYTES_MAX)).into_owned();
    let fence = "`".repeat(longest_run(&text) + 1);
    // One space at each side is taken away again, if both are there and there is something else.
    let spaced = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let space = if spaced && !text.trim_matches(' ').is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Lines as a block of code.
pub(crate) fn block(language: &str, text: &str) -> String {
    let shown = shortened(text, BLOCK_BYTES_MAX);
    let lines: Vec<_> = shown.split('\n').map(escape).collect();
    let fence = "`".repeat(lines.iter().map(|line| longest_run(line)).max().unwrap_or(0).max(2) + 1);
    let mut block = format!("{fence}{language}\n");
    for line in lines {
        block += &line;
        block.push('\n');
    }
    block + &fence + "\n"
}

/// A value as a block of code.
pub(crate) fn json(value: &Value) -> String {
    block("json", &serde_json::to_string_pretty(value).unwrap_or_default())
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Markdown sees between the backticks that begin a span, and what comes after it.
    fn span(text: &str) -> Option<(&str, &str)> {
        let fence = text.len() - text.trim_start_matches('`').len();
        let mut at = fence;
        while let Some(found) = text[at..].find('`') {
            let begin = at + found;
            let run = text[begin..].len() - text[begin..].trim_start_matches('`').len();
            if run == fence {
                return Some((&text[fence..begin], &text[begin + run..]));
            }
            at = begin + run;
        }
        None
    }

    #[test]
    fn r4b_ordinary_text_is_shown_as_it_is() {
        assert_eq!(code("report.md"), "`report.md`");
        assert_eq!(code("a `b`"), "`` a `b` ``");
        assert_eq!(code(""), "(nothing)");
        assert_eq!(block("json", "{}"), "```json\n{}\n```\n");
        assert_eq!(block("", "a\n```\n# b"), "````\na\n```\n# b\n````\n");
    }

    proptest! {
        #[test]
        fn r4b_no_text_ends_its_span_or_its_block(text in "[`a \n\r\u{202e}<\\[_*\u{1b}]{1,30}") {
            let shown = code(&text);
            let (inside, after) = span(&shown).unwrap();
            prop_assert_eq!(after, "");
            let escaped = escape(&text);
            prop_assert_eq!(inside.trim_matches(' '), escaped.trim_matches(' '));
            let acts = |c: char| c == '\u{202e}' || (c.is_control() && c != '\n');
            prop_assert!(!shown.contains(acts) && !shown.contains('\n'));

            let shown = block("", &text);
            let lines: Vec<_> = shown.lines().collect();
            let fence = lines[0];
            prop_assert!(fence.len() >= 3 && lines.last() == Some(&fence));
            let ends = |line: &&&str| line.trim_matches(' ').starts_with(fence);
            prop_assert_eq!(lines[1..].iter().filter(ends).count(), 1);
            prop_assert_eq!(lines.len(), 2 + text.split('\n').count());
            prop_assert!(!shown.contains(acts));
        }
    }
}
