//! What a task may do at this moment: looked at before each thing that has to be granted, and changed from outside.

use std::io;
#[cfg(feature = "http")]
use std::net::IpAddr;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::model::capability::Capability;
#[cfg(feature = "http")]
use crate::model::grants::http::HttpTouch;
use crate::model::grants::touch::Touch;
use crate::model::grants::{DirGrant, Grants};
#[cfg(feature = "http")]
use crate::model::policy::SecretRule;
use crate::model::policy::SharedRules;
use crate::model::policy::mandate::{Denied, Mandate, Verdict};
use crate::model::signal::Party;
use crate::model::state::Granting;

use super::audit::{AuditLine, AuditWhat, Ledger};
use rooms::Rooms;
pub(crate) use rooms::{Space, part_of};

mod rooms;

/// Yeses for one time that wait for their use. A guest makes one call at a time, and may ask for a few in advance.
const PASSES_MAX: usize = 16;

/// A task's mandate, which its cell and its actor look at and the host changes. What is taken away is gone with the next
/// look.
#[derive(Debug)]
pub(crate) struct LiveMandate {
    mandate: RwLock<Mandate>,
    /// What was allowed for one time and is not used yet.
    passes: Mutex<Vec<Touch>>,
    /// How many times in a row it was denied something.
    denied_in_row: AtomicU32,
    /// What it was denied last.
    last_denied: Mutex<Option<Box<Denied>>>,
    /// What it has used of granted folders with a quota.
    rooms: Mutex<Rooms>,
    /// Where it is told what it may and may not.
    ledger: Option<Ledger>,
}

impl LiveMandate {
    pub(crate) fn new(mandate: Mandate) -> Self {
        Self {
            mandate: RwLock::new(mandate),
            passes: Mutex::default(),
            denied_in_row: AtomicU32::new(0),
            last_denied: Mutex::default(),
            rooms: Mutex::default(),
            ledger: None,
        }
    }

    /// One whose every use is told.
    pub(crate) fn audited(mandate: Mandate, ledger: Ledger) -> Self {
        Self { ledger: Some(ledger), ..Self::new(mandate) }
    }

    fn mandate(&self) -> RwLockReadGuard<'_, Mandate> {
        self.mandate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Mandate> {
        self.mandate.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn passes(&self) -> MutexGuard<'_, Vec<Touch>> {
        self.passes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the task may do this now.
    pub(crate) fn decide(&self, touch: &Touch) -> Verdict {
        self.mandate().decide(touch)
    }

    /// The same just before it does it. A yes for this one time is used up, unless it is left for another look.
    pub(crate) fn enter(&self, touch: &Touch, leave: bool) -> Verdict {
        let verdict = self.told(touch, leave);
        // A request may still turn out to be none that is allowed, by its address or its body.
        if matches!(verdict, Verdict::Allowed { .. }) && !matches!(touch, Touch::Http(_) | Touch::Secret(_)) {
            self.keeps_within();
        }
        verdict
    }

    /// It did something that it may: what it is denied from now on is counted anew.
    pub(crate) fn keeps_within(&self) {
        self.denied_in_row.store(0, Ordering::Relaxed);
    }

    /// Whether it may do this without anybody being asked, just before it does it: for what cannot be refused, and so says
    /// nothing about what the guest has understood.
    pub(crate) fn allows(&self, touch: &Touch) -> bool {
        match self.told(touch, false) {
            Verdict::Allowed { .. } => true,
            Verdict::Ask { .. } | Verdict::Denied { .. } => false,
        }
    }

    /// What is allowed is told, or it is not allowed.
    fn told(&self, touch: &Touch, leave: bool) -> Verdict {
        let rule = match self.decide(touch) {
            Verdict::Allowed { rule } => rule,
            Verdict::Ask { rule } if self.has_pass(touch, leave) => rule,
            verdict @ (Verdict::Ask { .. } | Verdict::Denied { .. }) => return verdict,
        };
        match self.ledger.as_ref().map_or(Ok(()), |ledger| ledger.allow(touch, &rule)) {
            Ok(()) => Verdict::Allowed { rule },
            Err(error) => Verdict::Denied { rule: NO_AUDIT.to_owned(), denied: unheard(touch, &error) },
        }
    }

    /// Tells that somebody is asked, or what was answered.
    ///
    /// # Errors
    /// When it cannot be told: then it is denied.
    pub(crate) fn tell(&self, touch: &Touch, line: impl FnOnce(&Ledger) -> AuditLine) -> Result<(), Denied> {
        let told = self.ledger.as_ref().map_or(Ok(()), |ledger| ledger.write(&line(ledger)));
        told.map_err(|error| unheard(touch, &error))
    }

    /// Tells that a capability was taken away. That it cannot be told gives nothing back.
    pub(crate) fn tell_revoked(&self, capability: Capability, by: Party) {
        if let Some(ledger) = &self.ledger {
            let line = ledger.line(AuditWhat::Revoke);
            let _ = ledger.write(&AuditLine { capability: Some(capability), by: Some(by), ..line });
        }
    }

    /// The task ends here: tells how often it was allowed what. A log that panics hurts only itself.
    pub(crate) fn settle(&self) {
        if let Some(ledger) = &self.ledger {
            let _ = catch_unwind(AssertUnwindSafe(|| ledger.settle()));
        }
    }

    /// Lets the task do this once.
    pub(crate) fn pass(&self, touch: Touch) {
        let mut passes = self.passes();
        if passes.len() >= PASSES_MAX {
            passes.remove(0);
        }
        passes.push(touch);
    }

    fn has_pass(&self, touch: &Touch, leave: bool) -> bool {
        let mut passes = self.passes();
        let place = passes.iter().position(|pass| pass == touch);
        if let Some(place) = place.filter(|_| !leave) {
            passes.remove(place);
        }
        place.is_some()
    }

    /// It was denied this, and how many times in a row it was denied something.
    pub(crate) fn count_denial(&self, denied: &Denied, rule: &str) -> u32 {
        if let Some(ledger) = &self.ledger {
            ledger.deny(denied, rule);
        }
        *self.last_denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(denied.clone()));
        self.denied_in_row.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// What it was denied last.
    pub(crate) fn last_denied(&self) -> Option<Denied> {
        self.last_denied.lock().unwrap_or_else(PoisonError::into_inner).as_deref().cloned()
    }

    /// Whether it may not do this, not even after a question.
    #[cfg(feature = "http")]
    pub(crate) fn denies(&self, touch: &Touch) -> bool {
        match self.decide(touch) {
            Verdict::Allowed { .. } | Verdict::Ask { .. } => false,
            Verdict::Denied { .. } => true,
        }
    }

    /// Whether a request that it may send may go to this address.
    #[cfg(feature = "http")]
    pub(crate) fn may_reach(&self, request: &HttpTouch, address: IpAddr) -> bool {
        self.mandate().may_reach(request, address)
    }

    /// Where the policy lets this secret go.
    #[cfg(feature = "http")]
    pub(crate) fn secret_rule(&self, name: &str) -> Option<SecretRule> {
        self.mandate().secret_rule(name)
    }

    /// The folders that it sees.
    pub(crate) fn dirs(&self) -> Vec<DirGrant> {
        self.mandate().dirs()
    }

    /// The environment that it may see at this moment. Nobody is asked: a guest reads all of it at once.
    pub(crate) fn env_now(&self) -> Vec<(String, String)> {
        let mut env = self.mandate().env();
        env.retain(|(name, _)| self.allows(&Touch::Env(name.clone())));
        env
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what the task is about to write into a granted folder, and to make there, if there is room for it.
    pub(crate) fn use_room(&self, dir: &DirGrant, bytes: u64, inodes: u64) -> Space {
        self.rooms().use_up(dir, bytes, inodes)
    }

    /// Bytes that it may still write there.
    pub(crate) fn bytes_left(&self, dir: &DirGrant) -> u64 {
        self.rooms().bytes_left(dir)
    }

    /// It does not write them after all.
    pub(crate) fn give_back(&self, dir: &DirGrant, bytes: u64) {
        self.rooms().give_back(dir, bytes);
    }

    /// Its log has that it takes so much there, in all.
    pub(crate) fn has_room(&self, folder: &str, bytes: u64, inodes: u64) {
        self.rooms().taken(folder, bytes, inodes);
    }

    /// Takes a capability away for good.
    pub(crate) fn withdraw(&self, capability: Capability) {
        self.change().withdraw(capability);
    }

    /// Keeps what somebody said, for as long as the task lives.
    pub(crate) fn answered(&self, touch: Touch, yes: bool) {
        self.change().answered(touch, yes);
    }

    /// Everything that its own type asks for and may have, be it after a question.
    pub(crate) fn seen(&self) -> Grants {
        self.mandate().seen()
    }

    /// Everything that it was given and that nothing forbids.
    pub(crate) fn bound(&self) -> Grants {
        self.mandate().bound()
    }

    /// What a child of it is given.
    pub(crate) fn of_child(&self, same_plugin: bool) -> Grants {
        self.mandate().of_child(same_plugin)
    }

    /// What the task above has lost this one does not get.
    pub(crate) fn lose_with(&self, above: &Self) {
        let lost = above.mandate().withdrawn().clone();
        for capability in lost {
            self.withdraw(capability);
        }
    }

    /// Takes over what the task's log says about it.
    pub(crate) fn remember(&self, granting: &Granting) {
        self.rooms().remember(&granting.rooms);
        let mut mandate = self.change();
        granting.revoked.iter().for_each(|capability| mandate.withdraw(*capability));
        granting.answered.iter().for_each(|(touch, yes)| mandate.answered(touch.clone(), *yes));
    }

    /// The policy has changed.
    pub(crate) fn set_rules(&self, rules: SharedRules) {
        self.change().set_rules(rules);
    }
}

/// A mandate in the hands of its actor: it is settled also when that is torn off. Others hold it for a moment, under locks, and
/// must not be the ones who write.
#[derive(Debug)]
pub(crate) struct Settling(pub(crate) Arc<LiveMandate>);

impl Deref for Settling {
    type Target = Arc<LiveMandate>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        self.0.settle();
    }
}

/// The rule by which things are denied that cannot be told.
const NO_AUDIT: &str = "audit";

fn unheard(touch: &Touch, error: &io::Error) -> Denied {
    Denied::of(
        touch,
        format!("the audit log cannot be written, and what it does not have is not allowed: {error}"),
        true,
    )
}
