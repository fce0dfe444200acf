//! Ids, keys, hosts, paths and other short texts: what is read is written as it can be read again, and what is let through
//! leads nowhere else.

use std::path::{Component, Path};
use std::str::FromStr as _;

use crate::model::attachment::{ATTACHMENTS, is_file_name};
use crate::model::cron::CronTimes;
use crate::model::grants::http::{HostPattern, host_name};
use crate::model::grants::{Access, Grants, SCRATCH};
use crate::model::ids::{PluginDigest, ScheduleId, SignalKey, TaskId, TaskKey};
use crate::model::listing::TaskCursor;
use crate::model::manifest::is_name;
use crate::model::outbox::ClaimToken;
use crate::model::publisher::PublisherKey;
use crate::model::text::{escape, shortened};
use crate::model::time::Timestamp;
use crate::sandbox::calls::output::{check_name, scratch_path};

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
    paths(text);
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

/// Names of files and ways to them, as guests and callers give them.
fn paths(text: &str) {
    if is_file_name(text) || check_name(text).is_ok() {
        let path = Path::new("/folder").join(text);
        assert_eq!(path.parent(), Some(Path::new("/folder")), "a name leads into its folder and not further");
        assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(text));
        assert_eq!(escape(text).lines().count(), 1);
    }
    if let Some(inside) = scratch_path(text) {
        let plain = inside.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        assert!(
            plain && Path::new("/folder").join(&inside).starts_with("/folder"),
            "{text:?} leads to {}",
            inside.display()
        );
    }
    if Grants::default().dir("/folder", text, Access::Read).clash().is_none() {
        let guest = Path::new("/").join(text);
        let up = guest.components().any(|part| part == Component::ParentDir);
        assert!(
            !up && ![SCRATCH, ATTACHMENTS].iter().any(|own| guest.starts_with(own)),
            "{text:?} hides the host's own"
        );
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
