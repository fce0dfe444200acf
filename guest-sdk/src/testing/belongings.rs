//! The fake host's functions, and what belongs to the plugin: its configuration and its store.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;

use serde_json::Value;

use super::fake_host::FakeHost;
use super::pages::Pages;
use super::records::HostCalled;
use super::state::check_key;
use crate::backend::{BelongingsPage, HostPage};
use crate::error::{HostError, RefusalKind, Refused};

/// Keys that are listed at once.
const KEYS_PAGE: usize = 1000;

/// The fake host's part in it.
#[derive(Debug, Default)]
pub(super) struct Belongings {
    /// The functions' next answers, the first one first.
    answers: HashMap<String, VecDeque<Result<Value, HostError>>>,
    called: Vec<HostCalled>,
    config: Option<Value>,
    store: BTreeMap<String, Vec<u8>>,
}

impl FakeHost {
    /// What the task gets when it calls the host's function of this name. More answers are for the calls after it; when
    /// none is left, there is no such function.
    pub fn answer_host(&self, name: &str, answer: Result<Value, HostError>) {
        let answers = &mut self.state.borrow_mut().belongings.answers;
        answers.entry(name.to_owned()).or_default().push_back(answer);
    }

    /// The calls of the host's functions, in order.
    pub fn host_calls(&self) -> Vec<HostCalled> {
        self.state.borrow().belongings.called.clone()
    }

    /// The plugin's configuration, instead of an empty object.
    pub fn set_config(&self, config: Value) {
        self.state.borrow_mut().belongings.config = Some(config);
    }

    /// Puts something into the plugin's store, as a task that ran before.
    pub fn store(&self, key: &str, value: impl Into<Vec<u8>>) {
        self.state.borrow_mut().belongings.store.insert(key.to_owned(), value.into());
    }

    /// What is in the plugin's store under this key.
    pub fn stored(&self, key: &str) -> Option<Vec<u8>> {
        self.state.borrow().belongings.store.get(key).cloned()
    }
}

impl HostPage for Pages {
    fn call_host(&self, name: &str, input: &str) -> Result<String, HostError> {
        let input = serde_json::from_str(input).map_err(|error| Refused::invalid(error.to_string()))?;
        let belongings = &mut self.state.borrow_mut().belongings;
        belongings.called.push(HostCalled { name: name.to_owned(), input });
        let answer = belongings.answers.get_mut(name).and_then(VecDeque::pop_front);
        let missing =
            || Refused { kind: RefusalKind::NotFound, message: format!("this host has no function {name:?}") };
        Ok(answer.ok_or_else(missing)??.to_string())
    }
}

impl BelongingsPage for Pages {
    fn config(&self) -> String {
        self.state.borrow().belongings.config.as_ref().map_or_else(|| "{}".to_owned(), ToString::to_string)
    }

    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Refused> {
        check_key(key)?;
        Ok(self.state.borrow().belongings.store.get(key).cloned())
    }

    fn kv_set(&self, key: &str, value: &[u8]) -> Result<(), Refused> {
        check_key(key)?;
        self.state.borrow_mut().belongings.store.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    fn kv_compare_and_set(&self, key: &str, current: Option<&[u8]>, value: &[u8]) -> Result<bool, Refused> {
        let same = self.kv_get(key)?.as_deref() == current;
        if same {
            self.kv_set(key, value)?;
        }
        Ok(same)
    }

    fn kv_delete(&self, key: &str) -> Result<bool, Refused> {
        check_key(key)?;
        Ok(self.state.borrow_mut().belongings.store.remove(key).is_some())
    }

    fn kv_keys(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Refused> {
        let state = self.state.borrow();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = state.belongings.store.range::<str, _>((from, Bound::Unbounded)).map(|(key, _)| key);
        Ok(keys.filter(|key| key.starts_with(prefix)).take(KEYS_PAGE).cloned().collect())
    }
}
