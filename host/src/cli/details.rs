//! The flags of `taskcell run` that say how its task is treated: what it is called, when it begins, whether it is tried
//! again, what its result must be.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Error};
use clap::Args;
use jiff::{Timestamp as Instant, Zoned, civil};
use serde_json::Value;

use crate::{RetryPolicy, StartRequest, Timestamp};

use super::exit::Exit;
use super::fault::Fault;
use super::{environment, files, plans, values};

/// How a moment is written.
const MOMENT: &str = "write for example 18:30, '2030-12-24 18:30' or 2030-12-24T18:30:00Z";

#[derive(Debug, Default, Args)]
pub(super) struct DetailArguments {
    /// What people call this run
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Puts a label on this run; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// The session it belongs to; its children belong to it too
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Its priority, and that of its children, among tasks that wait for their turn: the higher goes first [default: 0]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Begins at this moment: 18:30, '2030-12-24 18:30' or 2030-12-24T18:30:00Z; without a zone it is yours
    #[arg(long, value_name = "TIME", value_parser = |text: &str| moment(text, &environment::now()), conflicts_with = "after")]
    at: Option<Moment>,
    /// Begins after this time: 30s, 5m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    after: Option<Duration>,
    /// How often it is tried again when it fails and says that another try may help; 1s, 2s, 4s … lie between [default: 0]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(..=1000))]
    retries: Option<u32>,
    /// The plan that it goes through
    #[arg(long, value_name = "JSON|@FILE")]
    plan: Option<String>,
    /// Lets a success before its plan is done be a failure, which --retries tries again
    #[arg(long)]
    enforce_plan: bool,
    /// A JSON Schema that the result must match, beside the plugin's own
    #[arg(long, value_name = "JSON|@FILE")]
    output_schema: Option<String>,
}

/// A moment that a person named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(Timestamp);

impl DetailArguments {
    /// Puts everything into the request.
    pub(super) fn apply(&self, request: StartRequest) -> Result<StartRequest, Fault> {
        let mut request = request;
        request.details.title.clone_from(&self.title);
        request.details.session.clone_from(&self.session);
        for (name, value) in &self.label {
            let other = request.details.labels.insert(name.clone(), value.clone());
            if other.is_some_and(|other| other != *value) {
                return Err(Fault::usage(format!("the label `{name}` is given twice, with two values")));
            }
        }
        request.details.priority = self.priority.unwrap_or_default();
        request.details.run_at = self.at.map(|Moment(at)| at);
        request.run_after = self.after;
        if let Some(retries) = self.retries {
            request = request.retry(RetryPolicy::attempts(retries.saturating_add(1)));
        }
        request.plan = self.plan.as_deref().map(plans::read).transpose()?;
        request.details.enforce_plan = self.enforce_plan;
        request.details.output_schema = self.output_schema.as_deref().map(schema).transpose()?;
        Ok(request)
    }
}

/// Reads a schema, from the command line or a file.
fn schema(text: &str) -> Result<Value, Fault> {
    let usage = |error: Error| Fault::new(Exit::Usage, error);
    let (text, source) = match text.strip_prefix('@') {
        Some(path) => {
            let read = files::read_text(Path::new(path));
            (read.with_context(|| format!("failed to read the schema from {path}")).map_err(usage)?, path)
        }
        None => (text.to_owned(), "--output-schema"),
    };
    serde_json::from_str(&text).map_err(|error| {
        let fault = usage(Error::new(error).context(format!("failed to read the schema: {source} is not JSON")));
        fault.hint(r#"for example --output-schema '{"type": "string"}'; a file needs an @"#)
    })
}

/// `NAME=VALUE`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the label's name is missing before `=`".to_owned()),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("a label is given as NAME=VALUE, for example {text}=yes")),
    }
}

/// A time of the day, which is the next one; a date with a time; or one with a zone of its own.
fn moment(text: &str, now: &Zoned) -> Result<Moment, String> {
    let zone = now.time_zone();
    let local = |at: civil::DateTime| at.to_zoned(zone.clone()).map(|at| at.timestamp());
    let of_day = |time: civil::Time| {
        let today = local(now.date().to_datetime(time))?;
        if today > now.timestamp() { Ok(today) } else { local(now.date().tomorrow()?.to_datetime(time)) }
    };
    // A date before a time: a time is found in a date as well.
    let at = text
        .parse::<Instant>()
        .or_else(|_| text.parse::<civil::DateTime>().and_then(local))
        .or_else(|_| text.parse::<civil::Time>().and_then(of_day))
        .map_err(|_| format!("this is no moment; {MOMENT}"))?;
    if at <= now.timestamp() {
        return Err("that moment is over".to_owned());
    }
    Timestamp::of_instant(at).map(Moment).ok_or_else(|| format!("this is no moment; {MOMENT}"))
}

/// When a task begins, for a person: the time of the day, and the date if it is another.
pub(super) fn beginning(at: Timestamp, now: &Zoned) -> Option<String> {
    let at = at.instant()?.to_zoned(now.time_zone().clone());
    (at > *now).then(|| at.strftime(if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2030-12-24T18:00:00+01:00[+01:00]".parse().unwrap()
    }

    fn at(text: &str) -> Result<String, String> {
        let Moment(at) = moment(text, &now())?;
        Ok(at.instant().unwrap().to_string())
    }

    #[test]
    fn r10_a_moment_is_read_as_a_person_writes_it() {
        for (text, meant) in [
            ("18:30", "2030-12-24T17:30:00Z"),
            ("18:00", "2030-12-25T17:00:00Z"),
            ("07:15:30", "2030-12-25T06:15:30Z"),
            ("2030-12-31 23:59", "2030-12-31T22:59:00Z"),
            ("2030-12-31", "2030-12-30T23:00:00Z"),
            ("2030-12-24T18:30:00Z", "2030-12-24T18:30:00Z"),
            ("2030-12-24T18:30-05:00", "2030-12-24T23:30:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(meant), "{text}");
        }
        for (text, complaint) in [
            ("2030-12-24 17:59", "that moment is over"),
            ("1969-01-01T00:00:00Z", "that moment is over"),
            ("soon", "this is no moment; write"),
            ("25:00", "this is no moment; write"),
            ("", "this is no moment; write"),
        ] {
            assert!(at(text).is_err_and(|error| error.starts_with(complaint)), "{text}");
        }
    }

    #[test]
    fn r10_the_beginning_is_told_in_the_persons_time() {
        let told = |text: &str| beginning(Timestamp::of_instant(text.parse().unwrap()).unwrap(), &now());
        assert_eq!(told("2030-12-24T17:30:00Z").as_deref(), Some("18:30:00"));
        assert_eq!(told("2030-12-24T23:30:00Z").as_deref(), Some("2030-12-25 00:30:00"));
        assert_eq!(told("2030-12-24T16:30:00Z"), None, "it is over");
    }

    #[test]
    fn r10_flags_become_details() {
        let arguments = DetailArguments {
            title: Some("the index".to_owned()),
            label: vec![("team".to_owned(), "search".to_owned()), ("empty".to_owned(), String::new())],
            priority: Some(-3),
            after: Some(Duration::from_secs(5)),
            retries: Some(2),
            output_schema: Some(r#"{"type":"string"}"#.to_owned()),
            ..DetailArguments::default()
        };
        let request = arguments.apply(StartRequest::new("p", "t")).unwrap();
        let details = &request.details;
        assert_eq!((details.title.as_deref(), details.labels.len(), details.priority), (Some("the index"), 2, -3));
        assert_eq!((request.run_after, details.retry.attempts), (Some(Duration::from_secs(5)), 3));
        assert_eq!(details.output_schema, Some(serde_json::json!({"type": "string"})));
        let two = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        let twice = DetailArguments { label: two, ..DetailArguments::default() };
        let fault = twice.apply(StartRequest::new("p", "t")).unwrap_err();
        assert!(fault.lines()[0].contains("the label `a` is given twice"), "{:?}", fault.lines());
        let bad = DetailArguments { output_schema: Some("{type}".to_owned()), ..DetailArguments::default() };
        assert!(bad.apply(StartRequest::new("p", "t")).unwrap_err().lines()[0].contains("--output-schema is not JSON"));
    }

    #[test]
    fn r10_a_label_has_a_name() {
        assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(label("=b").is_err() && label("a").is_err_and(|error| error.contains("a=yes")));
    }
}
