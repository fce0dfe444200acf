//! `taskcell:plugin/kv` and `taskcell:plugin/config`.

use std::sync::Arc;

use crate::model::grants::touch::Touch;
use crate::model::machine::{Refusal, RefusalKind};
use crate::ports::kv::{PluginStore, PluginStoreError};
use crate::sandbox::bindings::taskcell::plugin::{config, kv, types};
use crate::sandbox::cell::CellData;

use super::convert;

impl CellData {
    /// The plugin's store, if it may use it, and the key, if it is one.
    async fn store_for(&mut self, key: &str) -> Result<Arc<PluginStore>, Refusal> {
        convert::signal_key(key.to_owned())?;
        self.own_store().await
    }

    /// What the guest gives, without the host's secrets: the same each time, so that it finds again what it has stored.
    fn hidden_key(&self, mut key: String) -> String {
        self.link.secrets.hide(&mut key);
        key
    }

    fn hidden_value(&self, value: Vec<u8>) -> Vec<u8> {
        self.link.secrets.hidden(&value).unwrap_or(value)
    }

    async fn own_store(&mut self) -> Result<Arc<PluginStore>, Refusal> {
        self.link.permitted(Touch::Kv).await?;
        let none = || Refusal::new(RefusalKind::Denied, "a plugin that is only described has no store");
        self.link.kv.clone().ok_or_else(none)
    }
}

impl From<PluginStoreError> for Refusal {
    fn from(error: PluginStoreError) -> Self {
        let kind = match error {
            PluginStoreError::Full { .. } => RefusalKind::TooLarge,
            PluginStoreError::Store(_) => RefusalKind::Host,
        };
        Self::new(kind, error.to_string())
    }
}

impl config::Host for CellData {
    async fn get(&mut self) -> wasmtime::Result<String> {
        let config = self.link.config.to_string();
        self.called(config.len());
        Ok(config)
    }
}

impl kv::Host for CellData {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, types::Refusal>> {
        let key = self.hidden_key(key);
        let value = match self.store_for(&key).await {
            Ok(store) => store.get(&key).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        self.called(key.len() + value.as_ref().map_or(0, |value| value.as_ref().map_or(0, Vec::len)));
        Ok(value.map_err(Into::into))
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), types::Refusal>> {
        self.called(key.len() + value.len());
        let (key, value) = (self.hidden_key(key), self.hidden_value(value));
        let set = match self.store_for(&key).await {
            Ok(store) => store.set(key, value).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        Ok(set.map_err(Into::into))
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        current: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, types::Refusal>> {
        self.called(key.len() + value.len() + current.as_ref().map_or(0, Vec::len));
        let (key, value) = (self.hidden_key(key), self.hidden_value(value));
        let current = current.map(|current| self.hidden_value(current));
        let set = match self.store_for(&key).await {
            Ok(store) => store.compare_and_set(key, current.as_deref(), value).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        drop(current);
        Ok(set.map_err(Into::into))
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<bool, types::Refusal>> {
        self.called(key.len());
        let key = self.hidden_key(key);
        let was = match self.store_for(&key).await {
            Ok(store) => store.delete(&key).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        Ok(was.map_err(Into::into))
    }

    async fn keys(
        &mut self,
        prefix: String,
        after: Option<String>,
    ) -> wasmtime::Result<Result<Vec<String>, types::Refusal>> {
        let (prefix, after) = (self.hidden_key(prefix), after.map(|after| self.hidden_key(after)));
        let keys = match self.own_store().await {
            Ok(store) => store.keys(&prefix, after.as_deref()).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        let asked = prefix.len() + after.as_ref().map_or(0, String::len);
        self.called(asked + keys.as_ref().map_or(0, |keys| convert::carried(keys)));
        Ok(keys.map_err(Into::into))
    }
}
