//! Makes text from outside safe to show to a person.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Replaces everything that could move a cursor, start an escape sequence, end a line or turn the reading direction by
/// its visible form (`\n`, `\u{1b}`). What is left is one line that shows what was really said.
///
/// ```
/// assert_eq!(taskcell::escape("plain text, ünïcode"), "plain text, ünïcode");
/// assert_eq!(taskcell::escape("red\u{1b}[31m\nnext"), r"red\u{1b}[31m\nnext");
/// ```
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if is_dangerous(c) => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// Control characters, line and paragraph separators, and the marks that reorder or hide text.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_text_becomes_one_visible_line() {
        let nasty = "a\r\u{1b}]0;title\u{7}\u{9b}31m\u{202e}evil\u{2066}\u{2028}\u{feff}\0";
        let shown = escape(nasty);
        assert!(shown.chars().all(|c| !is_dangerous(c)), "{shown}");
        assert!(shown.contains(r"\u{202e}evil"));
    }
}
