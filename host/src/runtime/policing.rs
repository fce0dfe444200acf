//! The policy of a host, and the mandates of its live tasks, which follow it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;

use crate::model::capability::Capability;
use crate::model::grants::Grants;
use crate::model::ids::TaskId;
use crate::model::limits::Limits;
use crate::model::policy::answer::AlwaysAllowed;
use crate::model::policy::mandate::Mandate;
use crate::model::policy::{Policy, Rules, Standing};
use crate::ports::audit::{AuditLine, AuditLog, AuditRing, AuditWhat, HidingLog, Ledger};
use crate::ports::clock::Clock;
use crate::ports::mandate::LiveMandate;
use crate::ports::secrets::{InvalidSecret, Secrets, Values};

use super::builder::HostBuilder;
use super::host::Host;
use super::plugin::Plugin;
use super::revoking::{LostGrant, PolicyChange};
use super::start_error::StartError;

/// Where the policy is, and who goes by it.
pub(crate) struct PolicyDesk {
    /// `None`: whoever starts a task is the operator.
    policy: RwLock<Option<Arc<Policy>>>,
    /// Whether there ever was one. Every start looks at it, and many hosts have none.
    has_policy: CachePadded<AtomicBool>,
    /// The mandates that were made out, with the plugins that they are for. One that nobody has any more is forgotten when
    /// the list has doubled since the last look.
    out: Mutex<Out>,
    /// Where answers for always are written down, beside the policy that is in force.
    writer: Option<PolicyWriter>,
    audit: Arc<dyn AuditLog>,
    /// What belongs to the policy and is not in it.
    secrets: Arc<Secrets>,
}

/// Writes an answer for always into the operator's file.
pub(crate) type PolicyWriter = Arc<dyn Fn(&AlwaysAllowed) -> io::Result<()> + Send + Sync>;

impl Default for PolicyDesk {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl fmt::Debug for PolicyDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyDesk").field("policy", &self.policy).field("out", &self.out).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Out {
    mandates: HashMap<TaskId, Issued, RandomState>,
    look_at: usize,
    /// What was taken away from all tasks of a plugin, by its name, since the policy was put in force.
    revoked: HashMap<String, BTreeSet<Capability>>,
}

/// A mandate that was made out.
#[derive(Debug)]
struct Issued {
    mandate: Weak<LiveMandate>,
    plugin: Plugin,
    /// The task that this one is a child of.
    parent: Option<TaskId>,
}

/// Whose mandate it is to be.
#[derive(Clone, Copy)]
pub(super) struct Holder<'a> {
    pub(super) id: TaskId,
    pub(super) plugin: &'a Plugin,
    pub(super) task_type: &'a str,
    pub(super) parent: Option<TaskId>,
    pub(super) clock: &'a Arc<dyn Clock>,
}

/// Lines that are kept in memory where nobody says where they go.
const AUDIT_LINES: usize = 1000;

/// Mandates made out before the list is looked through for the first time.
const LOOK_MIN: usize = 64;

/// The policy as this machine's folders are now. One that is not there stays as it is written: nothing lies in it.
fn real(policy: Policy) -> Policy {
    policy.with_real_folders(|folder| folder.canonicalize().unwrap_or_else(|_| folder.to_owned()))
}

impl Out {
    /// Takes a capability away from those that are meant. Returns those that had it.
    fn withdraw(&self, capability: Capability, meant: impl Fn(TaskId, &Issued) -> bool) -> HashSet<TaskId> {
        let mut held = HashSet::new();
        for (id, issued) in &self.mandates {
            let Some(mandate) = issued.mandate.upgrade().filter(|_| meant(*id, issued)) else { continue };
            if mandate.seen().has(capability) {
                held.insert(*id);
            }
            mandate.withdraw(capability);
        }
        held
    }
}

impl PolicyDesk {
    pub(super) fn new(policy: Option<Policy>, writer: Option<PolicyWriter>) -> Self {
        let audit = Arc::new(AuditRing::new(AUDIT_LINES));
        let has_policy = AtomicBool::new(policy.is_some()).into();
        let policy = RwLock::new(policy.map(real).map(Arc::new));
        Self { policy, has_policy, out: Mutex::default(), writer, audit, secrets: Arc::default() }
    }

    /// With an audit log of its own, and these secrets.
    pub(super) fn with(self, audit: Option<Arc<dyn AuditLog>>, secrets: &Arc<Secrets>) -> Self {
        let log = audit.unwrap_or(self.audit);
        let secrets = Arc::clone(secrets);
        let audit = Arc::new(HidingLog { log, secrets: Arc::clone(&secrets) });
        Self { audit, secrets, ..self }
    }

    /// Tells something that is no task's.
    pub(super) fn tell(&self, line: &AuditLine) -> io::Result<()> {
        self.audit.write(line)
    }

    /// What writes answers for always down.
    pub(super) fn writer(&self) -> Option<PolicyWriter> {
        self.writer.clone()
    }

    /// The policy of this moment.
    pub(super) fn policy(&self) -> Option<Arc<Policy>> {
        if !self.has_policy.load(Ordering::SeqCst) {
            return None;
        }
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rules_for(&self, plugin: &Plugin) -> Option<Arc<Rules>> {
        self.policy().map(|policy| Arc::new(policy.rules_for(plugin.name(), &plugin.digest())))
    }

    /// What a task of this type may do at this moment.
    pub(super) fn mandate(&self, plugin: &Plugin, task_type: &str, given: Option<Grants>) -> Mandate {
        Mandate::new(plugin.requested(task_type), self.rules_for(plugin), given)
    }

    /// Makes out a mandate that follows the policy.
    pub(super) fn issue(&self, holder: Holder<'_>, given: Option<Grants>) -> Arc<LiveMandate> {
        let Holder { id, plugin, task_type, parent, clock } = holder;
        let of = (plugin.name(), plugin.digest());
        let ledger = Ledger::new(Arc::clone(&self.audit), Arc::clone(clock), id, of);
        let mut out = self.out();
        // Under the lock, so that no change of the policy passes between the look and the list.
        let mandate = Arc::new(LiveMandate::audited(self.mandate(plugin, task_type, given), ledger));
        if out.mandates.len() >= out.look_at.max(LOOK_MIN) {
            out.mandates.retain(|_, issued| issued.mandate.strong_count() > 0);
            out.look_at = out.mandates.len().saturating_mul(2);
        }
        // What its plugin or its parent has lost it does not get, also when it was on its way just then.
        let lost = out.revoked.get(plugin.name()).into_iter().flatten().copied();
        lost.for_each(|capability| mandate.withdraw(capability));
        let above = parent.and_then(|parent| out.mandates.get(&parent)).and_then(|above| above.mandate.upgrade());
        if let Some(above) = above {
            mandate.lose_with(&above);
        }
        let issued = Issued { mandate: Arc::downgrade(&mandate), plugin: plugin.clone(), parent };
        out.mandates.insert(id, issued);
        mandate
    }

    /// How many mandates are known.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.out().mandates.len()
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a capability away from all tasks of a plugin. Returns those that had it.
    pub(super) fn withdraw_from_plugin(&self, name: &str, capability: Capability) -> HashSet<TaskId> {
        let mut out = self.out();
        out.revoked.entry(name.to_owned()).or_default().insert(capability);
        out.withdraw(capability, |_, issued| issued.plugin.name() == name)
    }

    /// Takes it away from some tasks, which are known by their ids and their parents'. Returns those that had it.
    pub(super) fn withdraw_from(
        &self,
        capability: Capability,
        meant: impl Fn(TaskId, Option<TaskId>) -> bool,
    ) -> HashSet<TaskId> {
        self.out().withdraw(capability, |id, issued| meant(id, issued.parent))
    }

    /// Puts another policy in force, for the tasks that run as well.
    pub(super) fn put(&self, policy: Policy) -> PolicyChange {
        let mut out = self.out();
        out.revoked.clear();
        self.set_in(&out, real(policy))
    }

    /// The same with the values of its secrets, in the same moment.
    pub(super) fn put_with(&self, policy: Policy, secrets: Values) -> PolicyChange {
        // Folders are looked up before anybody has to wait for it.
        let policy = real(policy);
        self.secrets.exchange(secrets, || {
            let mut out = self.out();
            out.revoked.clear();
            self.set_in(&out, policy)
        })
    }

    fn set_in(&self, out: &Out, policy: Policy) -> PolicyChange {
        let policy = Arc::new(policy);
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&policy));
        self.has_policy.store(true, Ordering::SeqCst);
        let mut lost = Vec::new();
        for (id, Issued { mandate, plugin, .. }) in &out.mandates {
            let Some(mandate) = mandate.upgrade() else { continue };
            let before = mandate.bound();
            mandate.set_rules(Arc::new(policy.rules_for(plugin.name(), &plugin.digest())));
            if let Some((capability, scope)) = before.first_lost(&mandate.bound()) {
                lost.push(LostGrant { id: *id, capability, scope });
            }
        }
        lost.sort_by_key(|lost| lost.id);
        PolicyChange { lost, unaudited: None }
    }

    /// Has an answer in the policy that somebody gave for always.
    pub(super) fn allow(&self, answer: &AlwaysAllowed) {
        let out = self.out();
        // Under the lock, so that no other change is lost.
        let Some(with) = self.policy().and_then(|policy| policy.with_answer(answer).ok()) else { return };
        self.set_in(&out, with);
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
    /// Why the policy grants this plugin nothing, in a sentence: its rules are for other bytes, as after an update, or it has
    /// none for a plugin whose manifest asks for something. `None` where the rules are for these bytes, and without a policy.
    pub fn why_granted_nothing(&self, plugin: &Plugin) -> Option<String> {
        let standing = &self.inner().policy.rules_for(plugin)?.standing;
        let asks = || plugin.manifest().tasks.iter().any(|of| plugin.requested(&of.name).names_beyond_ambient());
        match standing {
            Standing::Known => None,
            Standing::Unknown => asks().then(|| standing.says()),
            Standing::OtherBytes(_) | Standing::NoDigest => Some(standing.says()),
        }
    }

    /// Puts another policy in force. Tasks that run go by it with the next thing that they do: what it does not grant any
    /// more is gone, and what it grants in addition is there.
    ///
    /// What was revoked from single tasks stays gone; what was revoked from a plugin is up to the new policy.
    ///
    /// A host that was built without a policy gets one with this, and cannot lose it again. Where the folders lie that it
    /// names is looked up on the disk, which may block for a moment.
    pub fn set_policy(&self, policy: Policy) -> PolicyChange {
        let inner = self.inner();
        let line = AuditLine::new(inner.around.clock.date(), AuditWhat::Policy);
        let told = inner.policy.tell(&line);
        PolicyChange { unaudited: told.err().map(|error| error.to_string()), ..inner.policy.put(policy) }
    }

    /// Puts another policy in force as [`Host::set_policy`] does, and in the same moment the values of the secrets, by their
    /// names, in the place of all that were there: no request has a value of the one with a rule of the other. A secret that is
    /// not among them has no value any more. Tasks that run have the new values in their next requests; one that is granted a
    /// new secret finds what stands for it in its environment when it looks.
    ///
    /// What was the value of a secret once is hidden for as long as the host lives
    /// ([`HostBuilder::secret`](crate::HostBuilder::secret)).
    ///
    /// # Errors
    /// When one of the values cannot be a secret's. Then nothing has happened.
    pub fn set_policy_with_secrets<N: Into<String>, V: Into<String>>(
        &self,
        policy: Policy,
        secrets: impl IntoIterator<Item = (N, V)>,
    ) -> Result<PolicyChange, InvalidSecret> {
        let inner = self.inner();
        let secrets = Values::new(secrets.into_iter().map(|(name, value)| (name.into(), value.into())))?;
        let told = inner.policy.tell(&AuditLine::new(inner.around.clock.date(), AuditWhat::Policy));
        let unaudited = told.err().map(|error| error.to_string());
        Ok(PolicyChange { unaudited, ..inner.policy.put_with(policy, secrets) })
    }
}

impl HostBuilder {
    /// What plugins may touch. Without a policy whoever starts a task grants what they like; with one a task gets what
    /// the policy gives its plugin, or less.
    ///
    /// [`Host::set_policy`] puts another one in force later.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Where it is told what tasks may do and may not, who was asked, and what was taken away: an
    /// [`AuditFile`](crate::AuditFile) for instance. Without it a host with a data directory has one there, `audit.jsonl`, and
    /// others keep the newest thousand lines in memory. What cannot be told is not allowed.
    #[must_use]
    pub fn audit(mut self, log: impl AuditLog + 'static) -> Self {
        self.audit = Some(Arc::new(log));
        self
    }

    /// What writes it down when somebody allows something for all tasks of a plugin: most often
    /// [`AlwaysAllowed::written_into`] on the file that the policy was read from. It may block. What became of it is told in
    /// the audit log, and that it failed in the task's own log too; the answer holds then as long as this host. Without it
    /// such an answer holds no longer than that.
    #[must_use]
    pub fn policy_writer(mut self, write: impl Fn(&AlwaysAllowed) -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.policy_writer = Some(Arc::new(write));
        self
    }
}
