//! The books, as they were: everything that was found is entered before anything of it runs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::model::event::Event;
use crate::model::idempotency::OnceKey;
use crate::model::ids::TaskId;
use crate::model::outbox::AgentMessage;
use crate::model::snapshot::Phase;
use crate::model::time::Timestamp;
use crate::ports::clock::BoxFuture;
use crate::ports::mailbox::Mailbox;

use super::super::after::AfterLane;
use super::super::awaiting::{Caretaker, Kept, Untold};
use super::super::birth::Newborn;
use super::super::delivery::{LoopLife, LoopPlace};
use super::super::external::nobodys_code;
use super::super::feed::EventLane;
use super::super::hooks::TaskHooks;
use super::super::host::Inner;
use super::super::keys::Claim;
use super::super::making::Embryo;
use super::super::registry::Once;
use super::super::shared::{Moment, Shared};
use super::super::version::VersionUse;
use super::Recovery;
use super::found::{Fit, Found};

/// What goes on once everything is entered.
pub(in crate::runtime) type Life = BoxFuture<'static, ()>;

/// A task's place in its tree: the first of the tree, and how many are above.
type Place = (TaskId, u32);

impl Inner {
    /// Enters everything, and returns what is to run then.
    pub(super) fn enter_all(
        self: &Arc<Self>,
        found: Vec<Found>,
        kept: &HashMap<TaskId, u64>,
        recovery: &mut Recovery,
    ) -> Vec<Life> {
        let (mut lives, mut past, mut messages) = (Vec::new(), Vec::new(), Vec::new());
        let newest = newest(&found);
        let goes_on = found.iter().filter(|task| task.state.outcome.is_none());
        let goes_on: HashSet<TaskId> = goes_on.map(|task| task.id).collect();
        let mut places: HashMap<TaskId, Option<Place>> = HashMap::new();
        self.enter_once(&found);
        for mut task in found {
            let place = task.state.details.parent.map(|parent| match places.get(&parent) {
                Some(Some((root, depth))) => (*root, depth + 1),
                // The first of its tree, or one that is forgotten.
                Some(None) | None => (parent, 1),
            });
            places.insert(task.id, place);
            let open = std::mem::take(&mut task.messages).into_values();
            let decided = std::mem::take(&mut task.decided);
            let shared = match task.fit.take() {
                Some(fit) if task.state.outcome.is_none() => {
                    let (shared, life) = self.revive(task, fit, place);
                    lives.push(life);
                    shared
                }
                None if task.state.outcome.is_none() => {
                    let (shared, life) = self.keep_waiting(task, place);
                    lives.push(life);
                    shared
                }
                fit => {
                    let (shared, effects) = self.enter_ended(task, fit, &decided);
                    if let Some(bytes) = kept.get(&shared.id) {
                        let _ = shared.kept_scratch.set(*bytes);
                    }
                    recovery.effects += effects.len();
                    lives.extend(effects);
                    if let Some(parent) = shared.parent.filter(|parent| goes_on.contains(parent)) {
                        self.standby.keep_child(parent, Arc::clone(&shared));
                    }
                    past.push(Arc::clone(&shared));
                    shared
                }
            };
            messages.extend(open.map(|message| (message, Arc::clone(&shared))));
            shared.around.feed.tell_each(
                &shared.identity(),
                EventLane::Task,
                decided.iter().map(|(phase, event)| (*phase, event)),
            );
        }
        if !self.standby.leaves() {
            self.retire_past(past, newest);
            self.put_back(messages);
        }
        self.around.approvals.changed();
        lives
    }

    /// Idempotency keys stand for their tasks again, the newest first: of two, the start of the older was not acknowledged.
    fn enter_once(&self, found: &[Found]) {
        for task in found.iter().rev() {
            let papers = task.papers.as_ref();
            let asked = papers.and_then(|papers| papers.once.clone());
            let key = asked.or_else(|| OnceKey::of_details(&task.state.details));
            let print = papers.and_then(|papers| papers.fingerprint);
            let Some((key, print)) = key.zip(print) else { continue };
            match self.registry.once(&key, print, &task.task, task.id) {
                Once::Mine => self.registry.settle_once(&key, task.id),
                Once::Known(_) | Once::Another(_) | Once::Wait(_) => {}
            }
        }
    }

    /// A task that goes on: its actor, made anew.
    fn revive(self: &Arc<Self>, found: Found, fit: Fit, place: Option<Place>) -> (Arc<Shared>, Life) {
        let (claim, kept) = self.take_up(found, place);
        let shared = Arc::clone(&kept.body.shared);
        let (actor, cell) = kept.actor(self, fit);
        (shared, Box::pin(Newborn { claim, actor, cell }.live_again()))
    }

    /// A task that waits until its plugin is loaded, or for another host.
    fn keep_waiting(self: &Arc<Self>, found: Found, place: Option<Place>) -> (Arc<Shared>, Life) {
        let papers = found.papers.clone();
        let (mut claim, kept) = self.take_up(found, place);
        let shared = Arc::clone(&kept.body.shared);
        self.registry.enter(Arc::clone(&shared));
        claim.keep();
        (shared, Caretaker::new(self, kept, papers).wait())
    }

    /// What a task has that has not ended, whatever becomes of it here.
    fn take_up(&self, found: Found, place: Option<Place>) -> (Claim, Kept) {
        let Found { id, task, state, told_once, papers, .. } = found;
        let claim = Claim::new(&self.registry, task.clone(), id);
        // It is free: one task has it, and others were seen to.
        let _ = claim.take();
        // There is room however many there are: they were let in by the host before.
        let tree = place.and_then(|(root, depth)| self.registry.enter_tree(root, depth, u32::MAX));
        // One that is not registered now may be with the next host.
        let at_end = self.on_terminals.of(&state.details, None).ok().flatten();
        let untold = papers.is_some_and(|papers| papers.untold);
        let place = LoopPlace::new(&self.loops, id, &state.details, untold, None);
        let of_tree = tree.as_ref().map(|place| (place.root, place.depth));
        let embryo = Embryo { id, task, number: self.registry.next_number(), state, tree: of_tree, place };
        (claim, Kept { body: embryo.embody(self), told_once, tree, at_end })
    }

    /// A task that is over, and whatever is still to be called about that.
    fn enter_ended(
        self: &Arc<Self>,
        found: Found,
        fit: Option<Fit>,
        decided: &[(Phase, Event)],
    ) -> (Arc<Shared>, Vec<Life>) {
        let Found { id, task, papers, state, after, .. } = found;
        let untold = papers.as_ref().is_some_and(|papers| papers.untold);
        // What was done elsewhere calls nobody.
        let own = papers.as_ref().is_none_or(|papers| papers.plugin != nobodys_code());
        let of_code = papers.filter(|_| own && !after.hooked && !self.standby.leaves());
        let version = fit.map(|fit| fit.version).or_else(|| {
            let version = self.registry.version(&task.plugin)?;
            let same = of_code.as_ref().is_some_and(|papers| papers.plugin == version.plugin.digest());
            same.then(|| VersionUse::new(version))
        });
        let named =
            state.details.on_terminal.clone().filter(|name| own && !after.called && self.on_terminals.knows(name));
        let at_end = named.and_then(|_| self.on_terminals.of(&state.details, None).ok().flatten());
        let at_end = at_end.filter(|_| !self.standby.leaves());
        if let (Some(papers), None) = (&of_code, &version) {
            let of = Untold { id, plugin: papers.plugin, grants: papers.grants.as_deref().cloned() };
            self.standby.awaiting.note_untold(&task.plugin, of);
        }
        let hooks = version.zip(of_code.as_ref()).and_then(|(version, papers)| {
            let hooks = self.task_hooks(&version.plugin, &task.task_type, papers.grants.as_deref())?;
            Some((hooks, version))
        });

        let seq = state.seq;
        let (number, ended_at) = (self.registry.next_number(), state.ended_at);
        let place = LoopPlace::new(&self.loops, id, &state.details, untold, None).filter(|_| !decided.is_empty());
        let mut shared = Shared::new(id, task, number, state, Mailbox::closed(), self.around.clone());
        shared.place = place;
        shared.late_signals.store(after.late_signals, Ordering::Relaxed);
        shared.left_after(AfterLane::left(after.settled), after.seq);
        shared.set_head(seq, true);
        let now = shared.now();
        let date = ended_at.unwrap_or(now.date);
        let ended = Moment { steady: now.steady.saturating_sub(now.date.since(date)), date };
        shared.note(|moments| &mut moments.ended, ended);
        shared.set_gone(ended);
        let shared = Arc::new(shared);
        self.registry.enter_past(Arc::clone(&shared));
        if !decided.is_empty() {
            // Its session's loop hears of its end as of any other.
            let life = LoopLife::begin(&shared);
            let events: Vec<Event> = decided.iter().map(|(_, event)| event.clone()).collect();
            shared.tell_loop(&events);
            drop(life);
        }
        let mut effects: Vec<Life> = Vec::new();
        if let Some(at_end) = at_end {
            let (of, room) = (Arc::clone(&shared), Arc::clone(&self.standby.effects));
            effects.push(Box::pin(in_turn(room, move || all(at_end.call(of)))));
        }
        if let Some((hooks, version)) = hooks {
            effects.push(self.tell_of_end(Arc::clone(&shared), hooks, version));
        }
        (shared, effects)
    }

    /// Has a plugin's hook called about the end of a task, when there is room for that.
    pub(in crate::runtime) fn tell_of_end(&self, of: Arc<Shared>, hooks: Box<TaskHooks>, version: VersionUse) -> Life {
        let room = Arc::clone(&self.standby.effects);
        Box::pin(in_turn(room, move || all(hooks.on_terminal(of, version))))
    }

    /// Ended tasks are remembered for as long as if this host had seen their ends. When nothing has happened for longer
    /// than that, the date may have been set: then it counts as the day of the newest event.
    fn retire_past(&self, mut past: Vec<Arc<Shared>>, newest: Timestamp) {
        let at = |task: &Arc<Shared>| task.state().ended_at.unwrap_or_default();
        past.sort_by_key(at);
        for task in past {
            let now = task.now();
            let away = now.date.since(newest);
            let today = if away > self.registry.keeps_for() { newest } else { now.date };
            let over_for = today.since(at(&task));
            self.registry.retire_past(task.id, over_for, now.steady);
        }
    }

    /// Messages that nobody has settled lie in the outbox again, in the order in which they were sent.
    fn put_back(&self, mut messages: Vec<(AgentMessage, Arc<Shared>)>) {
        messages.sort_by_key(|(message, shared)| (message.at, shared.number, message.number));
        let calls: Vec<_> =
            messages.iter().filter(|(message, _)| message.trigger).map(|(_, of)| Arc::clone(of)).collect();
        self.around.outbox.take_back(messages.into_iter().map(|(message, _)| message));
        for of in calls {
            of.call_loop();
        }
    }
}

/// The date of the newest event that a host before this one wrote down.
fn newest(found: &[Found]) -> Timestamp {
    found.iter().map(|task| task.last_at.max(task.after.at)).max().unwrap_or_default()
}

/// Calls when there is room; only then its time begins.
async fn in_turn<Called: Future<Output = ()>>(room: Arc<Semaphore>, call: impl FnOnce() -> Called) {
    // Nobody closes it.
    let _place = room.acquire().await;
    call().await;
}

async fn all(mut called: JoinSet<()>) {
    while called.join_next().await.is_some() {}
}
