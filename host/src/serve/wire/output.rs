//! Which of a task's output somebody wants to read.

use std::time::Duration;

use serde_json::Value;

use crate::{OutputCursor, OutputFrom, OutputQuery, OutputWait};

use super::query::{BadQuery, Pairs, Query, Said};

const STREAMS: [&str; 3] = ["stdout", "stderr", "log"];

/// The number of a place, as it stands in JSON.
fn number(cursor: OutputCursor) -> String {
    serde_json::to_value(cursor).map(|value| value.to_string()).unwrap_or_default()
}

impl Query for OutputQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let (tail, cursor) = match self.from {
            OutputFrom::Tail(lines) => (Some(lines), None),
            OutputFrom::After(cursor) => (None, Some(number(cursor))),
        };
        let wanted = [self.stdout, self.stderr, self.log];
        let streams: Vec<&str> =
            STREAMS.into_iter().zip(wanted).filter_map(|(name, wanted)| wanted.then_some(name)).collect();
        let wait = match self.wait {
            OutputWait::No => None,
            OutputWait::UntilSome => Some("some"),
            OutputWait::UntilEnd => Some("end"),
        };
        Said::default()
            .with("tail", tail)
            .with("cursor", cursor)
            .with("streams", Some(streams.join(",")))
            .with("wait", wait)
            .with("timeout_ms", Some(u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX)))
            .with("bytes", Some(self.bytes_max))
            .0
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        let mut query = Self::default();
        query.from = match (pairs.parsed("tail")?, pairs.parsed::<u64>("cursor")?) {
            (Some(_), Some(_)) => {
                return Err(BadQuery::new("tail", "is for reading from the end, and `cursor` from a place"));
            }
            (Some(lines), None) => OutputFrom::Tail(lines),
            (None, Some(place)) => {
                let cursor = serde_json::from_value(Value::from(place));
                OutputFrom::After(cursor.map_err(|_| BadQuery::new("cursor", "is no place in an output"))?)
            }
            (None, None) => query.from,
        };
        if let Some(streams) = pairs.one("streams")? {
            let named: Vec<&str> = streams.split(',').collect();
            if !named.iter().all(|name| STREAMS.contains(name)) {
                return Err(BadQuery::new("streams", "is a list of stdout, stderr and log, with commas"));
            }
            (query.stdout, query.stderr, query.log) =
                (named.contains(&"stdout"), named.contains(&"stderr"), named.contains(&"log"));
        }
        query.wait = match pairs.one("wait")?.as_deref() {
            None => OutputWait::No,
            Some("some") => OutputWait::UntilSome,
            Some("end") => OutputWait::UntilEnd,
            Some(_) => return Err(BadQuery::new("wait", "is `some` or `end`")),
        };
        if let Some(time) = pairs.parsed("timeout_ms")? {
            query.timeout = Duration::from_millis(time);
        }
        if let Some(bytes) = pairs.parsed("bytes")? {
            query.bytes_max = bytes;
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r44_what_is_wanted_is_read_as_it_was_written() {
        let mut other = OutputQuery::after(serde_json::from_value(Value::from(9)).unwrap());
        (other.log, other.stdout, other.wait, other.bytes_max) = (true, false, OutputWait::UntilSome, 1000);
        other.timeout = Duration::from_millis(1500);
        for query in [OutputQuery::default(), OutputQuery::tail(3), other] {
            let pairs = query.pairs().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            assert_eq!(OutputQuery::read(pairs), Ok(query));
        }
        for (name, value) in [("streams", "stdout,,log"), ("wait", "forever"), ("cursor", "x"), ("tail", "-1")] {
            assert!(OutputQuery::read(vec![(name.to_owned(), value.to_owned())]).is_err(), "{name}={value}");
        }
    }
}
