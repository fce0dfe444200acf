//! How amounts, sizes and times are put into words.

use std::time::Duration;

use crate::FUEL_PER_CPU_SECOND;
use crate::model::text::FUEL_STEPS;
pub(super) use crate::model::text::{bytes, fuel};

/// Two words are alike from here on (Jaro-Winkler). Below, a suggestion confuses more than it helps.
const ALIKE: f64 = 0.75;

/// At least so many units of fuel, short and as `--fuel` takes it: rounded up, so that it is enough.
pub(super) fn fuel_flag(units: u64) -> String {
    FUEL_STEPS.into_iter().find(|(size, _)| units >= *size).map_or_else(
        || fuel(units),
        // A whole number of tenths is said as it is.
        |(size, _)| fuel(units.checked_next_multiple_of(size / 10).unwrap_or(units)),
    )
}

/// Fuel as the time that a present-day core takes for it.
pub(super) fn cpu_seconds(units: u64) -> String {
    hundredths(units / (FUEL_PER_CPU_SECOND / 100))
}

/// Fuel that a task burnt in a known time, as the time that a core takes for it. A task has one thread, so it is not more
/// than that time: some of what costs fuel, such as filling memory, is faster than most.
pub(super) fn cpu_seconds_within(units: u64, wall: Duration) -> String {
    let at_most = u64::try_from(wall.as_millis() / 10).unwrap_or(u64::MAX);
    hundredths((units / (FUEL_PER_CPU_SECOND / 100)).min(at_most))
}

fn hundredths(hundredths: u64) -> String {
    match hundredths {
        0 => "< 0.01 CPU seconds".to_owned(),
        1..1000 => format!("≈ {}.{:02} CPU seconds", hundredths / 100, hundredths % 100),
        _ => format!("≈ {} CPU seconds", hundredths / 100),
    }
}

/// A number of bytes as `--memory` takes it: `128MiB`, `64KiB`.
pub(super) fn bytes_flag(count: u64) -> String {
    const STEPS: [(u64, &str); 2] = [(1 << 20, "MiB"), (1 << 10, "KiB")];
    let step = STEPS.into_iter().find(|(size, _)| count >= *size && count.is_multiple_of(*size));
    step.map_or_else(|| count.to_string(), |(size, suffix)| format!("{}{suffix}", count / size))
}

/// At least so many bytes, short and as `--limit` takes it: rounded up, so that it is enough.
pub(super) fn bytes_flag_up(count: u64) -> String {
    const STEPS: [u64; 2] = [1 << 20, 1 << 10];
    let step = STEPS.into_iter().find(|size| count >= *size).unwrap_or(1);
    bytes_flag(count.checked_next_multiple_of(step).unwrap_or(count))
}

/// A number with its digits in groups of three, as `--limit` takes it: `10_000`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// A time that passed: `340ms`, `3.2s`, `5m 10s`, `2h 03m`.
pub(super) fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.as_millis() == 0 => "< 1ms".to_owned(),
        0 => format!("{}ms", time.as_millis()),
        1..60 => format!("{seconds}.{}s", time.subsec_millis() / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A time that is only guessed, in whole seconds: `12s`, `5m 10s`.
pub(super) fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{}s", seconds.max(1)),
        _ => elapsed(time),
    }
}

/// A limit of time, as `--timeout` takes it: `5m`, `1h30m`.
pub(super) fn duration_flag(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

/// The beginning of a text, with a note of how much was left out.
pub(super) fn clip(text: &str, bytes_max: usize) -> String {
    let (shown, rest) = text.split_at(text.floor_char_boundary(bytes_max));
    if rest.is_empty() { shown.to_owned() } else { format!("{shown}… ({} bytes more)", rest.len()) }
}

/// The name that was probably meant.
pub(super) fn suggestion<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|name| (strsim::jaro_winkler(typed, name), name));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}

/// Breaks a text into lines of at most `width` characters, at spaces. Like in Markdown, a line break is a space; an empty
/// line and the beginning of a list's entry are not.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for source in text.lines() {
        let source = source.trim();
        if source.is_empty() || source.starts_with("- ") || source.starts_with("* ") {
            lines.push(std::mem::take(&mut line));
        }
        for word in source.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.push(line);
    lines.retain(|line| !line.is_empty());
    lines
}

/// A word of a command line that a shell can take: quoted where it must be. Of `NAME=VALUE` only the value is quoted,
/// which is how a person writes it.
pub(super) fn shell_word(word: &str) -> String {
    let quoted = |text: &str| match shlex::try_quote(text) {
        Ok(quoted) => quoted.into_owned(),
        // NUL, which no command line can hold.
        Err(_) => text.to_owned(),
    };
    let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match word.split_once('=') {
        Some((name, value)) if plain(name) => format!("{name}={}", quoted(value)),
        _ => quoted(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (units, flag) in [(999, "999"), (1_250, "1.3k"), (5_000_000_000, "5G"), (1_999_999_999, "2G"), (0, "0")] {
            assert_eq!(fuel_flag(units), flag);
        }
        assert_eq!(cpu_seconds(10), "< 0.01 CPU seconds");
        assert_eq!(cpu_seconds(1_250_000_000), "≈ 0.12 CPU seconds");
        assert_eq!(cpu_seconds(1_000_000_000_000), "≈ 100 CPU seconds");
        assert_eq!(cpu_seconds_within(30_900_000_000, Duration::from_millis(1_600)), "≈ 1.60 CPU seconds");
        assert_eq!(cpu_seconds_within(1_250_000_000, Duration::from_mins(5)), "≈ 0.12 CPU seconds");
        assert_eq!(bytes_flag(256 << 20), "256MiB");
        assert_eq!(
            (bytes_flag(64 << 10), bytes_flag(1000), bytes_flag(0)),
            ("64KiB".into(), "1000".into(), "0".into())
        );
        assert_eq!((bytes_flag_up((4 << 20) + 1), bytes_flag_up(7)), ("5MiB".into(), "7".into()));
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1_000"), (12_345_678, "12_345_678")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn times_read_naturally() {
        let cases = [(0, "< 1ms"), (340, "340ms"), (3_250, "3.2s"), (310_000, "5m 10s"), (7_380_000, "2h 03m")];
        for (millis, text) in cases {
            assert_eq!(elapsed(Duration::from_millis(millis)), text);
        }
        assert_eq!(duration_flag(Duration::from_mins(90)), "1h30m");
        let guesses = [300, 12_900, 310_000].map(|millis| about(Duration::from_millis(millis)));
        assert_eq!(guesses, ["1s", "12s", "5m 10s"]);
    }

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        let names = ["digest", "count-words", "hello"];
        assert_eq!(suggestion("digset", names), Some("digest"));
        assert_eq!(suggestion("count_words", names), Some("count-words"));
        assert_eq!(suggestion("zzz", names), None);
        assert_eq!(suggestion("x", []), None);
    }

    #[test]
    fn long_texts_are_broken_at_spaces_and_clipped_at_characters() {
        assert_eq!(wrap("one two  three\n\nfour", 7), ["one two", "three", "four"]);
        assert_eq!(wrap("one\ntwo\n- three\n- four", 20), ["one two", "- three", "- four"]);
        assert_eq!(wrap("unbreakable", 3), ["unbreakable"]);
        assert_eq!(clip("a€b", 2), "a… (4 bytes more)");
        assert_eq!(clip("a€b", 5), "a€b");
    }

    #[test]
    fn words_are_quoted_only_where_they_must_be() {
        assert_eq!(shell_word("a/b-c.wasm"), "a/b-c.wasm");
        assert_eq!(shell_word("it's"), "\"it's\"");
        assert_eq!(shell_word("$HOME"), "'$HOME'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("approval=true"), "approval=true");
        assert_eq!(shell_word("name=Ada L"), "name='Ada L'");
        assert_eq!(shell_word("a b=c"), "'a b=c'");
        for word in ["it's $HOME!", "a=b=`c`", "\\ \"^\" ~"] {
            assert_eq!(shlex::split(&shell_word(word)).unwrap(), [word]);
        }
    }
}
