//! Text for people: what comes from outside made safe, and figures in words.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

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

/// The beginning of a text, with a mark where it was cut.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> Cow<'_, str> {
    match text.get(..text.floor_char_boundary(bytes_max)) {
        Some(begin) if begin.len() < text.len() => Cow::Owned(format!("{begin}…")),
        Some(_) | None => Cow::Borrowed(text),
    }
}

/// A duration as a person says it: exact below a minute, to the second above, to the minute above an hour.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 if time.subsec_millis() == 0 => format!("{seconds} s"),
        1..60 => format!("{} s", format!("{seconds}.{:03}", time.subsec_millis()).trim_end_matches('0')),
        60..3600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ if (seconds % 3600) < 60 => format!("{} h", seconds / 3600),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Amounts of fuel that have a letter, the largest first.
pub(crate) const FUEL_STEPS: [(u64, &str); 4] =
    [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];

/// Units of fuel, short and as they are typed too: `950`, `1.2M`, `20G`.
pub(crate) fn fuel(units: u64) -> String {
    let Some((unit, letter)) = FUEL_STEPS.into_iter().find(|(unit, _)| units >= *unit) else {
        return units.to_string();
    };
    let (whole, tenth) = (units / unit, units % unit / (unit / 10));
    if tenth == 0 { format!("{whole}{letter}") } else { format!("{whole}.{tenth}{letter}") }
}

/// Bytes as a person says them.
pub(crate) fn bytes(number: u64) -> String {
    let (unit, word) = match number {
        0..1024 => return format!("{number} bytes"),
        1024..0x10_0000 => (1 << 10, "KiB"),
        0x10_0000..0x4000_0000 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    let (whole, tenth) = (number / unit, number % unit * 10 / unit);
    if tenth == 0 { format!("{whole} {word}") } else { format!("{whole}.{tenth} {word}") }
}

/// What a panic said.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_said_in_words() {
        for (millis, said) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (1500, "1.5 s"),
            (10_020, "10.02 s"),
            (60_000, "1 min"),
            (90_500, "1 min 30 s"),
            (3_600_000, "1 h"),
            (5_400_000, "1 h 30 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), said);
        }
        let amounts = [(0, "0"), (999, "999"), (1_250, "1.2k"), (2_000_000_000, "2G"), (u64::MAX, "18446744T")];
        for (units, said) in amounts {
            assert_eq!(fuel(units), said);
        }
        assert_eq!(bytes(128 << 20), "128 MiB");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(shortened("größe", 4), "grö…");
        assert_eq!(shortened("größe", 7), "größe");
    }

    #[test]
    fn dangerous_text_becomes_one_visible_line() {
        let nasty = "a\r\u{1b}]0;title\u{7}\u{9b}31m\u{202e}evil\u{2066}\u{2028}\u{feff}\0";
        let shown = escape(nasty);
        assert!(shown.chars().all(|c| !is_dangerous(c)), "{shown}");
        assert!(shown.contains(r"\u{202e}evil"));
    }
}
