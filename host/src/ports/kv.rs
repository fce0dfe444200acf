//! A plugin's own small store: shared by its tasks, kept between them, and bounded.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use super::clock::BoxFuture;
use super::store::StoreError;

/// Keys that are listed at once.
const KEYS_PAGE: usize = 1000;
/// What an entry costs beside its key and value, so that a flood of empty ones is bounded too.
const ENTRY_BYTES: u64 = 64;

/// Keys and what they stand for.
pub(crate) type Values = Vec<(String, Vec<u8>)>;

/// Keeps the plugins' values. Used as `Arc<dyn ValueStore>`.
pub(crate) trait ValueStore: Send + Sync + fmt::Debug {
    /// All that a plugin has stored. Sees every [`ValueStore::put`] that was begun before and was not dropped unpolled, also
    /// one that nobody waits for any more.
    fn load<'a>(&'a self, plugin: &'a str) -> BoxFuture<'a, Result<Values, StoreError>>;

    /// Sets a value, or removes it. When it answers `Ok`, that outlives whatever the store outlives.
    ///
    /// Cancel safety: one whose future is dropped may or may not have been taken.
    fn put<'a>(
        &'a self,
        plugin: &'a str,
        key: &'a str,
        value: Option<Vec<u8>>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// One plugin's store: read once, and written through.
#[derive(Debug)]
pub(crate) struct PluginStore {
    values: Arc<dyn ValueStore>,
    plugin: String,
    /// Held while a value is being stored, so that all see the changes in one order. `None` until it is read, and again when
    /// nobody knows whether a change was stored.
    entries: tokio::sync::Mutex<Option<Entries>>,
    bytes_max: u64,
}

#[derive(Debug, Default)]
struct Entries {
    values: BTreeMap<String, Vec<u8>>,
    bytes: u64,
}

/// Why a plugin's store does not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PluginStoreError {
    /// It is full.
    #[error("the plugin's store holds at most {max} bytes of keys and values, and this does not fit")]
    Full {
        /// What it holds.
        max: u64,
    },
    /// What it is kept in does not work.
    #[error("the plugin's store cannot be used now: {0}")]
    Store(#[from] StoreError),
}

impl PluginStore {
    /// The store of a plugin, for this many bytes of keys and values.
    pub(crate) fn new(values: Arc<dyn ValueStore>, plugin: String, bytes_max: u64) -> Self {
        Self { values, plugin, entries: tokio::sync::Mutex::default(), bytes_max }
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, PluginStoreError> {
        let mut entries = self.entries.lock().await;
        Ok(self.loaded(&mut entries).await?.values.get(key).cloned())
    }

    /// Sets a value. When it answers, that is stored.
    ///
    /// Cancel safety: the value was set or was not, and who reads it is told which.
    pub(crate) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), PluginStoreError> {
        let mut entries = self.entries.lock().await;
        self.loaded(&mut entries).await?;
        self.change(&mut entries, key, Some(value)).await
    }

    /// Sets a value if it still is what the caller believes. Says whether it did.
    pub(crate) async fn compare_and_set(
        &self,
        key: String,
        current: Option<&[u8]>,
        value: Vec<u8>,
    ) -> Result<bool, PluginStoreError> {
        let mut entries = self.entries.lock().await;
        if self.loaded(&mut entries).await?.values.get(&key).map(Vec::as_slice) != current {
            return Ok(false);
        }
        self.change(&mut entries, key, Some(value)).await.map(|()| true)
    }

    /// Removes a key. Says whether it was there.
    pub(crate) async fn delete(&self, key: &str) -> Result<bool, PluginStoreError> {
        let mut entries = self.entries.lock().await;
        if !self.loaded(&mut entries).await?.values.contains_key(key) {
            return Ok(false);
        }
        self.change(&mut entries, key.to_owned(), None).await.map(|()| true)
    }

    /// Keys that begin with `prefix` and come after `after`, in order.
    pub(crate) async fn keys(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, PluginStoreError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let mut entries = self.entries.lock().await;
        let values = &self.loaded(&mut entries).await?.values;
        let keys = values.range::<str, _>((from, Bound::Unbounded)).map(|(key, _)| key);
        Ok(keys.take_while(|key| key.starts_with(prefix)).take(KEYS_PAGE).cloned().collect())
    }

    async fn loaded<'a>(&self, entries: &'a mut Option<Entries>) -> Result<&'a mut Entries, StoreError> {
        let known = self.take(entries).await?;
        Ok(entries.insert(known))
    }

    async fn take(&self, entries: &mut Option<Entries>) -> Result<Entries, StoreError> {
        match entries.take() {
            Some(known) => Ok(known),
            None => Ok(Entries::of(self.values.load(&self.plugin).await?)),
        }
    }

    /// Stores a change, and only then lets it be seen. If that fails or is dropped, everything is read again.
    async fn change(
        &self,
        entries: &mut Option<Entries>,
        key: String,
        value: Option<Vec<u8>>,
    ) -> Result<(), PluginStoreError> {
        let mut known = self.take(entries).await?;
        let before = known.weight_of(&key);
        let after = value.as_ref().map_or(0, |value| weight(&key, value));
        let bytes = known.bytes - before + after;
        if after > 0 && bytes > self.bytes_max {
            *entries = Some(known);
            return Err(PluginStoreError::Full { max: self.bytes_max });
        }
        self.values.put(&self.plugin, &key, value.clone()).await?;
        known.bytes = bytes;
        match value {
            Some(value) => known.values.insert(key, value),
            None => known.values.remove(&key),
        };
        *entries = Some(known);
        Ok(())
    }
}

impl Entries {
    fn of(values: Vec<(String, Vec<u8>)>) -> Self {
        let bytes = values.iter().map(|(key, value)| weight(key, value)).sum();
        Self { values: values.into_iter().collect(), bytes }
    }

    fn weight_of(&self, key: &str) -> u64 {
        self.values.get(key).map_or(0, |value| weight(key, value))
    }
}

fn weight(key: &str, value: &[u8]) -> u64 {
    key.len() as u64 + value.len() as u64 + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Waker};

    use super::*;

    /// Values that are set, but nobody is told while it is shut; or that cannot be set at all.
    #[derive(Debug, Default)]
    struct Drawer {
        all: Mutex<BTreeMap<String, Vec<u8>>>,
        shut: AtomicBool,
        fails: AtomicBool,
    }

    impl Drawer {
        fn change(&self, key: &str, value: Option<Vec<u8>>) {
            let mut all = self.all.lock().unwrap();
            match value {
                Some(value) => all.insert(key.to_owned(), value),
                None => all.remove(key),
            };
        }
    }

    impl ValueStore for Drawer {
        fn load<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Values, StoreError>> {
            let all = self.all.lock().unwrap().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            Box::pin(std::future::ready(Ok(all)))
        }

        fn put<'a>(
            &'a self,
            _: &'a str,
            key: &'a str,
            value: Option<Vec<u8>>,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            Box::pin(async move {
                if self.fails.load(Ordering::SeqCst) {
                    return Err(StoreError::Unavailable);
                }
                self.change(key, value);
                if self.shut.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                Ok(())
            })
        }
    }

    fn store(bytes_max: u64) -> PluginStore {
        on(&Arc::default(), bytes_max)
    }

    fn on(values: &Arc<Drawer>, bytes_max: u64) -> PluginStore {
        PluginStore::new(Arc::clone(values) as _, "one".into(), bytes_max)
    }

    #[tokio::test]
    async fn r8_a_value_is_kept_until_it_is_changed_or_removed() {
        let store = store(1024);
        assert_eq!(store.get("a").await, Ok(None));
        store.set("a".into(), vec![1]).await.unwrap();
        assert_eq!(store.get("a").await, Ok(Some(vec![1])));
        assert_eq!(store.compare_and_set("a".into(), None, vec![2]).await, Ok(false));
        assert_eq!(store.compare_and_set("a".into(), Some(&[1]), vec![2]).await, Ok(true));
        assert_eq!(store.compare_and_set("new".into(), None, vec![]).await, Ok(true));
        assert_eq!((store.delete("a").await, store.delete("a").await), (Ok(true), Ok(false)));
    }

    #[tokio::test]
    async fn r8_the_store_is_bounded_and_what_is_removed_makes_room() {
        let small = store(200);
        small.set("a".into(), vec![0; 100]).await.unwrap();
        assert_eq!(small.set("b".into(), vec![0; 100]).await, Err(PluginStoreError::Full { max: 200 }));
        small.set("a".into(), vec![1; 110]).await.unwrap();
        small.delete("a").await.unwrap();
        small.set("b".into(), vec![0; 100]).await.unwrap();
        assert!(store(100).set("empty".into(), Vec::new()).await.is_ok());
        assert!(store(60).set("empty".into(), Vec::new()).await.is_err(), "an entry costs something");
    }

    #[tokio::test]
    async fn r8_keys_are_listed_in_order_and_in_pages() {
        let store = store(1 << 20);
        for number in 0..1500 {
            store.set(format!("n/{number:04}"), Vec::new()).await.unwrap();
        }
        store.set("other".into(), Vec::new()).await.unwrap();
        let first = store.keys("n/", None).await.unwrap();
        assert_eq!((first.len(), first[0].as_str()), (1000, "n/0000"));
        let rest = store.keys("n/", first.last().map(String::as_str)).await.unwrap();
        assert_eq!((rest.len(), rest[0].as_str(), rest[499].as_str()), (500, "n/1000", "n/1499"));
        assert_eq!(store.keys("o", Some("a")).await.unwrap(), ["other"]);
        assert!(store.keys("n/", Some("n/1499")).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn t40_another_host_finds_what_was_set_and_its_size() {
        let values = Arc::new(Drawer::default());
        let store = on(&values, 200);
        store.set("a".into(), vec![1; 100]).await.unwrap();
        let next = on(&values, 200);
        assert_eq!(next.get("a").await, Ok(Some(vec![1; 100])));
        assert_eq!(next.set("b".into(), vec![0; 100]).await, Err(PluginStoreError::Full { max: 200 }));
        assert_eq!(next.delete("a").await, Ok(true));
        assert_eq!(on(&values, 200).get("a").await, Ok(None));
    }

    #[tokio::test]
    async fn t40_a_value_that_could_not_be_stored_is_not_there() {
        let values = Arc::new(Drawer::default());
        let store = on(&values, 1024);
        store.set("a".into(), vec![1]).await.unwrap();
        values.fails.store(true, Ordering::SeqCst);
        let failed = Err(PluginStoreError::Store(StoreError::Unavailable));
        assert_eq!(store.set("a".into(), vec![2]).await, failed);
        assert_eq!(store.get("a").await, Ok(Some(vec![1])));
    }

    /// Its guest is stopped while the value is being stored; the next one sees what is stored, and not what was before.
    #[tokio::test]
    async fn t40_a_change_that_nobody_waits_for_any_more_is_seen_as_it_was_stored() {
        let values = Arc::new(Drawer::default());
        let store = on(&values, 1024);
        store.set("a".into(), vec![1]).await.unwrap();
        values.shut.store(true, Ordering::SeqCst);
        {
            let mut set = pin!(store.set("a".into(), vec![2]));
            assert!(set.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(store.get("a").await, Ok(Some(vec![2])));
    }
}
