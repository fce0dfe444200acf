//! What the fake host does not grant.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::fake_host::FakeHost;
use super::pages::Pages;
use crate::backend::GrantsPage;
use crate::values::Denied;

/// The fake host's part in it.
#[derive(Debug, Default)]
pub(super) struct Granting {
    /// Why, by the capability.
    denies: HashMap<String, String>,
    last: Option<Denied>,
}

impl FakeHost {
    /// Denies every request for this capability from now on.
    pub fn deny_grant(&self, capability: &str, reason: &str) {
        let denies = &mut self.state.borrow_mut().granting.denies;
        denies.insert(capability.to_owned(), reason.to_owned());
    }
}

impl GrantsPage for Pages {
    fn grants(&self) -> String {
        let denies = &self.state.borrow().granting.denies;
        let mut document = json!({ "version": 1 });
        for capability in ["signal", "kv", "agent", "clock-wall", "random"] {
            if let Some(fields) = document.as_object_mut() {
                fields.insert(capability.to_owned(), Value::Bool(!denies.contains_key(capability)));
            }
        }
        document.to_string()
    }

    fn request_grant(&self, capability: &str, scope: &str, _: &str) -> Result<(), Denied> {
        let granting = &mut self.state.borrow_mut().granting;
        let Some(reason) = granting.denies.get(capability).cloned() else { return Ok(()) };
        let (capability, scope) = (capability.to_owned(), scope.to_owned());
        let denied = Denied { capability, scope, reason, retryable: false };
        granting.last = Some(denied.clone());
        Err(denied)
    }

    fn last_denied(&self) -> Option<Denied> {
        self.state.borrow().granting.last.clone()
    }
}
