//! The limits of a task, as a person names, writes and reads them; and `taskcell limits`, which lists them.
//!
//! On the command line a limit has its name on the wire without the unit: `timeout`, not `timeout_ms`, because a value
//! brings its unit along.

use std::ffi::OsStr;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};
use serde_json::{Map, Value, json};

use crate::{LimitInfo, LimitUnit, Limits, LimitsRequest};

use super::args::LimitsArguments;
use super::exit::Exit;
use super::fault::Fault;
use super::{environment, output, text, values};

/// Columns of the table when nobody says how wide it may be, and at most.
const COLUMNS: u16 = 100;
/// Columns that a sentence needs beside the names; below, it stands under them.
const SENTENCE_MIN: usize = 24;

/// One `--limit NAME=VALUE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting {
    info: LimitInfo,
    /// A request with this one limit.
    pub(super) request: LimitsRequest,
}

impl Setting {
    /// The limit's name on the command line.
    pub(super) fn name(&self) -> &'static str {
        name(&self.info)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (typed, value) =
            text.split_once('=').ok_or("a limit is given as NAME=VALUE, for example fuel=2G or idle=5m")?;
        let wanted = typed.replace('-', "_");
        let info = *LimitsRequest::ALL.iter().find(|info| name(info) == wanted).ok_or_else(|| unknown(typed))?;
        let count = match (info.name, info.unit) {
            ("fuel" | "fuel_per_hour", _) => values::fuel(value)?,
            ("memory_bytes", _) => values::memory(value)?,
            ("progress_per_second" | "events_per_second", _) => values::rate(value)?,
            (_, LimitUnit::Fuel) => values::units(value)?,
            (_, LimitUnit::Time) => u64::try_from(values::timeout(value)?.as_millis()).unwrap_or(u64::MAX),
            (_, LimitUnit::Bytes) => values::bytes(value)?,
            (_, LimitUnit::Count) if value == NONE => u64::MAX,
            (_, LimitUnit::Count) => values::count(value)?,
        };
        // The wire's form is the one place where every limit has a name.
        let one = Value::Object(Map::from_iter([(info.name.to_owned(), Value::from(count))]));
        match serde_json::from_value(one) {
            Ok(request) => Ok(Self { info, request }),
            Err(_) => Err(format!("at most {}", text::count(u32::MAX.into()))),
        }
    }
}

/// How no limit at all is written.
const NONE: &str = "none";

/// Reads `--limit`, and tells the shell's completions the names.
#[derive(Debug, Clone, Copy)]
pub(super) struct SettingParser;

impl TypedValueParser for SettingParser {
    type Value = Setting;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Setting, clap::Error> {
        TypedValueParser::parse_ref(&Setting::parse, command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values = LimitsRequest::ALL.iter().map(|info| {
            let first = purpose(info).split(". ").next().unwrap_or_default().to_owned();
            PossibleValue::new(format!("{}=", name(info))).help(first)
        });
        Some(Box::new(values))
    }
}

/// A limit's name on the command line.
pub(super) fn name(info: &LimitInfo) -> &'static str {
    match info.unit {
        LimitUnit::Time => info.name.strip_suffix("_ms").unwrap_or(info.name),
        LimitUnit::Fuel | LimitUnit::Bytes | LimitUnit::Count => info.name,
    }
}

fn unknown(typed: &str) -> String {
    let names: Vec<&str> = LimitsRequest::ALL.iter().map(name).collect();
    let meant = text::suggestion(&typed.to_lowercase(), names.iter().copied());
    let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
    format!("there is no limit `{typed}`; {meant}The limits are: {}", names.join(", "))
}

/// Each limit that a request names, with its number on the wire.
pub(super) fn named(request: &LimitsRequest) -> impl Iterator<Item = (&'static LimitInfo, u64)> + use<> {
    let wire = serde_json::to_value(request).unwrap_or_default();
    LimitsRequest::ALL.iter().filter_map(move |info| Some((info, wire.get(info.name)?.as_u64()?)))
}

/// A limit's value as `--limit` takes it.
pub(super) fn written(info: &LimitInfo, value: u64) -> String {
    match info.unit {
        LimitUnit::Fuel => text::fuel(value),
        LimitUnit::Time => text::duration_flag(Duration::from_millis(value)),
        LimitUnit::Bytes => text::bytes_flag(value),
        LimitUnit::Count if value == u64::MAX => NONE.to_owned(),
        LimitUnit::Count => text::count(value),
    }
}

/// What a limit is for, without its default, which stands beside it; what follows from the default stays.
fn purpose(info: &LimitInfo) -> String {
    let all = info.about.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentences = all.trim_end_matches('.').split(". ");
    let kept: Vec<&str> =
        sentences.filter(|sentence| !sentence.starts_with("Default ") || sentence.contains(':')).collect();
    format!("{}.", kept.join(". "))
}

/// Lists every limit there is.
pub(super) fn list(arguments: &LimitsArguments) -> Result<Exit, Fault> {
    let written = if arguments.json {
        output::json(&document(), true)
    } else {
        output::lines(&table(environment::columns_of_stdout().unwrap_or(COLUMNS).min(COLUMNS)))
    };
    written.map_err(Fault::stdout)?;
    Ok(Exit::Succeeded)
}

fn defaults() -> impl Iterator<Item = (&'static LimitInfo, u64)> + use<> {
    named(&Limits::default().into())
}

fn document() -> Value {
    let unit = |unit| match unit {
        LimitUnit::Fuel => "fuel",
        LimitUnit::Time => "milliseconds",
        LimitUnit::Bytes => "bytes",
        LimitUnit::Count => "count",
    };
    let limits = defaults().map(|(info, value)| {
        json!({
            "name": info.name,
            "flag": format!("--limit {}=", name(info)),
            "unit": unit(info.unit),
            "default": value,
            "about": purpose(info),
        })
    });
    json!({ "limits": limits.collect::<Vec<_>>() })
}

fn table(columns: u16) -> Vec<String> {
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let names = width(&mut defaults().map(|(info, _)| name(info).len())).max("LIMIT".len());
    let values = width(&mut defaults().map(|(info, value)| written(info, value).len())).max("DEFAULT".len());
    let beside = names + 2 + values + 2;
    let room = usize::from(columns).saturating_sub(beside);
    let mut lines = Vec::new();
    if room < SENTENCE_MIN {
        for (info, value) in defaults() {
            lines.push(format!("{}  {}", name(info), written(info, value)));
            let sentence = text::wrap(&purpose(info), usize::from(columns).saturating_sub(4));
            lines.extend(sentence.into_iter().map(|line| format!("    {line}")));
        }
    } else {
        lines.push(format!("{:names$}  {:values$}  WHAT IT IS FOR", "LIMIT", "DEFAULT"));
        for (info, value) in defaults() {
            let mut sentence = text::wrap(&purpose(info), room).into_iter();
            let first = sentence.next().unwrap_or_default();
            lines.push(format!("{:names$}  {:values$}  {first}", name(info), written(info, value)));
            lines.extend(sentence.map(|line| format!("{:beside$}{line}", "")));
        }
    }
    lines.push(String::new());
    let last = "Each is set with `taskcell run --limit NAME=VALUE`. Fuel takes k, M, G, T; times are written like 5m; sizes \
                like 64MiB. A plugin may ask for less than the default, never for more; you may set either.";
    lines.extend(text::wrap(last, usize::from(columns)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Setting::parse(text).unwrap_err()
    }

    #[test]
    fn every_limit_can_be_set_and_its_default_is_written_as_it_is_read() {
        let all = LimitsRequest::from(Limits::default());
        assert_eq!(defaults().count(), LimitsRequest::ALL.len());
        let mut read = LimitsRequest::default();
        for (info, value) in defaults() {
            let text = format!("{}={}", name(info), written(info, value));
            let setting = Setting::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(named(&setting.request).collect::<Vec<_>>(), [(info, value)], "{text}");
            read = read.or(setting.request);
        }
        assert_eq!(read, all);
    }

    #[test]
    fn each_kind_of_value_is_written_in_its_way() {
        let set = |text: &str| Setting::parse(text).map(|setting| setting.request).unwrap();
        assert_eq!(set("fuel_on_request=1.5G").fuel_on_request, Some(1_500_000_000));
        assert_eq!(set("fuel-on-request=0").fuel_on_request, Some(0));
        assert_eq!(set("idle=1h30m").idle, Some(Duration::from_mins(90)));
        assert_eq!(set("scratch_bytes=2GiB").scratch_bytes, Some(2 << 30));
        assert_eq!(set("artifacts=10_000").artifacts, Some(10_000));
    }

    #[test]
    fn what_cannot_be_a_limit_is_told_with_what_could_be() {
        assert!(
            fault("fule=2G")
                .contains("did you mean `fuel`? The limits are: fuel, fuel_on_request, fuel_per_hour, timeout, ")
        );
        assert!(fault("timeout_ms=5").contains("did you mean `timeout`?"));
        assert!(!fault("zzz=1").contains("did you mean"));
        assert!(fault("fuel").contains("NAME=VALUE"));
        assert!(fault("fuel=0").contains("nothing runs") && fault("idle=5").contains("30s, 5m"));
        for name in ["progress_per_second", "events-per-second"] {
            assert!(fault(&format!("{name}=0")).contains("the least is 1 a second"));
        }
        assert!(fault("memory_bytes=5GiB").contains("at most 4GiB"));
        assert_eq!(fault("handles=5000000000"), "at most 4_294_967_295");
        assert!(fault("handles=5MiB").contains("no number") && fault("log_bytes=much").contains("no size"));
    }

    #[test]
    fn the_table_fits_and_says_the_default_once() {
        for columns in [40, 80, 100] {
            let table = table(columns);
            assert!(table.iter().all(|line| line.chars().count() <= columns.into()), "{columns}: {table:#?}");
        }
        let table = table(100).join("\n");
        assert!(table.contains("idle                 10m      Wall time without any call"), "{table}");
        assert!(table.contains("Default none: then each request"), "{table}");
        assert!(!table.contains("Default 10"), "{table}");
    }
}
