//! The policy of a host, and the mandates of its live tasks, which follow it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use crate::model::grants::Grants;
use crate::model::ids::TaskId;
use crate::model::limits::Limits;
use crate::model::policy::mandate::Mandate;
use crate::model::policy::{Policy, Rules};
use crate::model::requests::Requested;
use crate::ports::mandate::LiveMandate;

use super::host::{Host, StartError};
use super::plugin::Plugin;

/// Where the policy is, and who goes by it.
#[derive(Debug, Default)]
pub(crate) struct PolicyDesk {
    /// `None`: whoever starts a task is the operator.
    policy: RwLock<Option<Arc<Policy>>>,
    /// The mandates that were made out, with the plugins that they are for. One that nobody has any more is forgotten when
    /// the list has doubled since the last look.
    out: Mutex<Out>,
}

#[derive(Debug, Default)]
struct Out {
    mandates: HashMap<TaskId, (Weak<LiveMandate>, Plugin)>,
    look_at: usize,
}

/// Mandates made out before the list is looked through for the first time.
const LOOK_MIN: usize = 64;

/// The policy as this machine's folders are now. One that is not there stays as it is written: nothing lies in it.
fn real(policy: Policy) -> Policy {
    policy.with_real_folders(|folder| folder.canonicalize().unwrap_or_else(|_| folder.to_owned()))
}

impl PolicyDesk {
    pub(super) fn new(policy: Option<Policy>) -> Self {
        Self { policy: RwLock::new(policy.map(real).map(Arc::new)), out: Mutex::default() }
    }

    /// The policy of this moment.
    pub(super) fn policy(&self) -> Option<Arc<Policy>> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rules_for(&self, plugin: &Plugin) -> Option<Arc<Rules>> {
        self.policy().map(|policy| Arc::new(policy.rules_for(plugin.name(), &plugin.digest())))
    }

    /// What a task of this type may do at this moment.
    pub(super) fn mandate(&self, plugin: &Plugin, task_type: &str, given: Option<Grants>) -> Mandate {
        let manifest = plugin.manifest();
        let asked = manifest.task_type(task_type).into_iter().flat_map(|of| manifest.requests_of(of));
        Mandate::new(Requested::new(asked, plugin.imports()), self.rules_for(plugin), given)
    }

    /// Makes out a mandate that follows the policy.
    pub(super) fn issue(
        &self,
        id: TaskId,
        plugin: &Plugin,
        task_type: &str,
        given: Option<Grants>,
    ) -> Arc<LiveMandate> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that no change of the policy passes between the look and the list.
        let mandate = Arc::new(LiveMandate::new(self.mandate(plugin, task_type, given)));
        if out.mandates.len() >= out.look_at.max(LOOK_MIN) {
            out.mandates.retain(|_, (mandate, _)| mandate.strong_count() > 0);
            out.look_at = out.mandates.len().saturating_mul(2);
        }
        out.mandates.insert(id, (Arc::downgrade(&mandate), plugin.clone()));
        mandate
    }

    /// How many mandates are known.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).mandates.len()
    }

    /// Puts another policy in force, for the tasks that run as well.
    pub(super) fn set(&self, policy: Policy) {
        let policy = Arc::new(real(policy));
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&policy));
        for (mandate, plugin) in out.mandates.values() {
            if let Some(mandate) = mandate.upgrade() {
                mandate.set_rules(Arc::new(policy.rules_for(plugin.name(), &plugin.digest())));
            }
        }
    }

    /// The host's limits, with the policy's for this plugin in their place.
    pub(super) fn limits(&self, host: &Limits, plugin: &str) -> Limits {
        self.policy().map_or(*host, |policy| host.replaced_by(policy.limits_for(plugin)))
    }

    /// Whether a task of this plugin can be given all of this.
    pub(super) fn check(&self, plugin: &Plugin, given: &Grants) -> Result<(), StartError> {
        let Some(rules) = self.rules_for(plugin) else { return Ok(()) };
        match given.first_beyond(&rules.all()) {
            None => Ok(()),
            Some((capability, scope)) => Err(StartError::BeyondPolicy { capability, scope }),
        }
    }
}

impl Host {
    /// Puts another policy in force. Tasks that run go by it with the next thing that they do: what it does not grant any
    /// more is gone, and what it grants in addition is there.
    ///
    /// A host that was built without a policy gets one with this, and cannot lose it again. Where the folders lie that it
    /// names is looked up on the disk, which may block for a moment.
    pub fn set_policy(&self, policy: Policy) {
        self.inner().policy.set(policy);
    }
}
