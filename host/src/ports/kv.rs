//! A plugin's own small store: shared by its tasks, kept between them, and bounded.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys that are listed at once.
const KEYS_PAGE: usize = 1000;
/// What an entry costs beside its key and value, so that a flood of empty ones is bounded too.
const ENTRY_BYTES: u64 = 64;

/// One plugin's store. It lives as long as its host.
#[derive(Debug)]
pub(crate) struct PluginStore {
    entries: Mutex<Entries>,
    bytes_max: u64,
}

#[derive(Debug, Default)]
struct Entries {
    values: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

/// The store is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the plugin's store holds at most {max} bytes of keys and values, and this does not fit")]
pub(crate) struct StoreFull {
    pub(crate) max: u64,
}

impl PluginStore {
    /// An empty store for this many bytes of keys and values.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { entries: Mutex::default(), bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.lock().values.get(key).cloned()
    }

    pub(crate) fn set(&self, key: String, value: Vec<u8>) -> Result<(), StoreFull> {
        self.lock().set(key, value, self.bytes_max)
    }

    /// Sets a value if it still is what the caller believes. Says whether it did.
    pub(crate) fn compare_and_set(
        &self,
        key: String,
        current: Option<&[u8]>,
        value: Vec<u8>,
    ) -> Result<bool, StoreFull> {
        let mut entries = self.lock();
        if entries.values.get(&key).map(Vec::as_slice) != current {
            return Ok(false);
        }
        entries.set(key, value, self.bytes_max).map(|()| true)
    }

    /// Removes a key. Says whether it was there.
    pub(crate) fn delete(&self, key: &str) -> bool {
        let mut entries = self.lock();
        let Some(value) = entries.values.remove(key) else { return false };
        entries.bytes -= weight(key, &value);
        true
    }

    /// Keys that begin with `prefix` and come after `after`, in order.
    pub(crate) fn keys(&self, prefix: &str, after: Option<&str>) -> Vec<String> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let entries = self.lock();
        let keys = entries.values.range::<str, _>((from, Bound::Unbounded)).map(|(key, _)| key);
        keys.take_while(|key| key.starts_with(prefix)).take(KEYS_PAGE).cloned().collect()
    }
}

impl Entries {
    fn set(&mut self, key: String, value: Vec<u8>, max: u64) -> Result<(), StoreFull> {
        let before = self.values.get(&key).map_or(0, |before| weight(&key, before));
        let bytes = self.bytes - before + weight(&key, &value);
        if bytes > max {
            return Err(StoreFull { max });
        }
        self.bytes = bytes;
        self.values.insert(key, value);
        Ok(())
    }
}

fn weight(key: &str, value: &[u8]) -> u64 {
    key.len() as u64 + value.len() as u64 + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r8_a_value_is_kept_until_it_is_changed_or_removed() {
        let store = PluginStore::new(1024);
        assert_eq!(store.get("a"), None);
        store.set("a".into(), vec![1]).unwrap();
        assert_eq!(store.get("a"), Some(vec![1]));
        assert_eq!(store.compare_and_set("a".into(), None, vec![2]), Ok(false));
        assert_eq!(store.compare_and_set("a".into(), Some(&[1]), vec![2]), Ok(true));
        assert_eq!(store.compare_and_set("new".into(), None, vec![]), Ok(true));
        assert!(store.delete("a") && !store.delete("a"));
    }

    #[test]
    fn r8_the_store_is_bounded_and_what_is_removed_makes_room() {
        let store = PluginStore::new(200);
        store.set("a".into(), vec![0; 100]).unwrap();
        assert_eq!(store.set("b".into(), vec![0; 100]), Err(StoreFull { max: 200 }));
        store.set("a".into(), vec![1; 110]).unwrap();
        store.delete("a");
        store.set("b".into(), vec![0; 100]).unwrap();
        assert!(PluginStore::new(100).set("empty".into(), Vec::new()).is_ok());
        assert!(PluginStore::new(60).set("empty".into(), Vec::new()).is_err(), "an entry costs something");
    }

    #[test]
    fn r8_keys_are_listed_in_order_and_in_pages() {
        let store = PluginStore::new(1 << 20);
        for number in 0..1500 {
            store.set(format!("n/{number:04}"), Vec::new()).unwrap();
        }
        store.set("other".into(), Vec::new()).unwrap();
        let first = store.keys("n/", None);
        assert_eq!((first.len(), first[0].as_str()), (1000, "n/0000"));
        let rest = store.keys("n/", first.last().map(String::as_str));
        assert_eq!((rest.len(), rest[0].as_str(), rest[499].as_str()), (500, "n/1000", "n/1499"));
        assert_eq!(store.keys("o", Some("a")), ["other"]);
        assert!(store.keys("n/", Some("n/1499")).is_empty());
    }
}
