//! Ids, keys, hosts and other short texts: what is read is written as it can be read again.

use std::str::FromStr as _;

use crate::model::cron::CronTimes;
use crate::model::grants::http::{HostPattern, host_name};
use crate::model::ids::{PluginDigest, ScheduleId, SignalKey, TaskId, TaskKey};
use crate::model::listing::TaskCursor;
use crate::model::manifest::is_name;
use crate::model::outbox::ClaimToken;
use crate::model::publisher::PublisherKey;
use crate::model::text::{escape, shortened};
use crate::model::time::Timestamp;

use super::text;

/// All of them, with the same text.
pub(super) fn ids(bytes: &[u8]) {
    let text = &*text(bytes);
    if let Some(id) = TaskId::parse(text) {
        assert_eq!(id.to_string(), text);
        assert!(TaskKey::from(id).is_like_an_id());
    }
    if let Some(id) = ScheduleId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    assert_eq!(SignalKey::new(text).is_ok(), TaskKey::new(text).is_ok());
    if let Ok(key) = SignalKey::new(text) {
        assert_eq!(key.as_str(), text);
        assert_eq!(escape(key.as_str()).lines().count(), 1);
    }
    if let Ok(cursor) = TaskCursor::from_str(text) {
        assert_eq!(TaskCursor::from_str(&cursor.to_string()), Ok(cursor));
    }
    let _ = ClaimToken::from_str(text);
    let digest = serde_json::Value::String(text.to_owned());
    if let Ok(digest) = serde_json::from_value::<PluginDigest>(digest) {
        assert!(digest.to_string().eq_ignore_ascii_case(text));
    }
    if let Some(key) = PublisherKey::parse(text) {
        assert_eq!(PublisherKey::parse(&key.to_string()), Some(key));
    }
    hosts(text);
    shown(text);
    cron(text);
    if is_name(text) {
        assert!(TaskKey::new(text).is_ok() && host_name(text).is_none_or(|name| name == text));
    }
}

fn hosts(text: &str) {
    if let Some(name) = host_name(text) {
        assert_eq!(host_name(&name).as_deref(), Some(name.as_str()), "a name has one form");
        assert!(!name.contains(['/', '@', '*', ' ', '%']) && name.bytes().all(|c| c.is_ascii_graphic()), "{name:?}");
    }
    if let Ok(pattern) = text.parse::<HostPattern>() {
        let again = pattern.to_string().parse::<HostPattern>();
        assert_eq!(again.as_ref(), Ok(&pattern));
        assert!(pattern.covers(&pattern) && pattern.overlaps(&pattern) && HostPattern::EVERY.covers(&pattern));
    }
}

fn shown(text: &str) {
    let safe = escape(text);
    assert!(!safe.chars().any(char::is_control), "{safe:?}");
    assert_eq!(escape(&safe), safe, "what is safe stays as it is");
    for most in [0, 1, 7, 64] {
        assert!(shortened(text, most).len() <= most + '…'.len_utf8());
    }
}

/// The first line is the expression, the second one the zone.
fn cron(text: &str) {
    let (expression, zone) = text.split_once('\n').unwrap_or((text, "UTC"));
    let Ok(times) = CronTimes::parse(expression, zone) else { return };
    let mut now = Timestamp(1_700_000_000_000);
    for _ in 0..3 {
        let Some(next) = times.next_after(now) else { break };
        assert!(next > now);
        now = next;
    }
}
