//! What belongs to a plugin beside its code: its configuration, and its store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use serde_json::{Map, Value};

use crate::ports::kv::{PluginStore, ValueStore};

/// Bytes of one plugin's keys and values unless somebody says otherwise. Protects the host's memory.
pub(crate) const STORE_BYTES_DEFAULT: u64 = 1 << 20;

/// The plugins' belongings, by the plugins' names. They outlive the code: a new version finds what the old one kept.
#[derive(Debug)]
pub(crate) struct Belongings {
    configs: HashMap<String, Arc<Value>>,
    /// That of each plugin that has none of its own.
    others: Arc<Value>,
    values: Arc<dyn ValueStore>,
    stores: Mutex<HashMap<String, Arc<PluginStore>, RandomState>>,
    store_bytes: u64,
}

impl Belongings {
    /// `others`: the configuration of plugins that have none of their own. `values`: where the plugins' stores are kept.
    pub(crate) fn new(
        configs: HashMap<String, Value>,
        others: Option<Value>,
        store_bytes: u64,
        values: Arc<dyn ValueStore>,
    ) -> Self {
        Self {
            configs: configs.into_iter().map(|(name, config)| (name, Arc::new(config))).collect(),
            others: Arc::new(others.unwrap_or_else(|| Value::Object(Map::new()))),
            values,
            stores: Mutex::default(),
            store_bytes,
        }
    }

    /// The plugin's configuration: its own, or that of plugins without any.
    pub(crate) fn config(&self, plugin: &str) -> Arc<Value> {
        Arc::clone(self.configs.get(plugin).unwrap_or(&self.others))
    }

    /// The plugin's store, made when it is first wanted.
    pub(crate) fn store(&self, plugin: &str) -> Arc<PluginStore> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(plugin) {
            return Arc::clone(store);
        }
        let store = Arc::new(PluginStore::new(Arc::clone(&self.values), plugin.to_owned(), self.store_bytes));
        stores.insert(plugin.to_owned(), Arc::clone(&store));
        store
    }
}
