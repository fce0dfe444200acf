//! Which plugins are loaded, which tasks are alive, and who has which key.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use tokio::sync::futures::OwnedNotified;

use crate::model::filter::TaskFilter;
use crate::model::idempotency::{Fingerprint, OnceKey};
use crate::model::ids::{TaskId, TaskRef};

use super::claims::{Claims, OnceAnswer};
use super::index::Index;
use super::lately::Lately;
use super::orphans::Orphans;
use super::shared::Shared;
use super::start_error::StartError;
use super::version::{Standing, Version, VersionUse};

/// Ended tasks that are looked at when one more ends: more than one, so that those which nobody holds any more go.
const SWEPT_AT_ONCE: usize = 16;

/// How long the host remembers an ended task that nobody holds a handle to. Protects its memory from its own past.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    pub(crate) tasks: usize,
    pub(crate) time: Duration,
    /// Bytes of their logs and outputs together, about.
    pub(crate) bytes: u64,
}

/// What a task weighs in memory beside its texts and its events: its state, what others follow it by, and what it may do.
/// Measured with `taskcell-bench soak --memory`, which has 9.4 KiB for a `hello` with its four events.
const TASK_BYTES: u64 = 8 << 10;

/// A task that is over, in the order of the ends.
#[derive(Debug, Clone, Copy)]
struct Past {
    id: TaskId,
    /// Until when it is remembered, on the steady clock.
    until: Duration,
    bytes: u64,
}

/// A task's place in the tree of the task that began it all, given back when this is dropped. It is counted at that
/// first task also when that has ended, so that no chain of detached children outgrows the limit.
#[derive(Debug)]
pub(crate) struct TreePlace {
    registry: Arc<Registry>,
    pub(crate) root: TaskId,
    /// How many tasks are above.
    pub(crate) depth: u32,
}

impl Drop for TreePlace {
    fn drop(&mut self) {
        let mut books = self.registry.lock();
        if let Some(below) = books.trees.get_mut(&self.root) {
            *below = below.saturating_sub(1);
            if *below == 0 {
                books.trees.remove(&self.root);
            }
        }
    }
}

/// A key that another start has.
#[derive(Debug)]
pub(super) struct Held {
    /// The task; `None` while it is being born.
    pub(super) live: Option<Arc<Shared>>,
    /// Completes when the key has been given on, or its task was born.
    pub(super) changed: OwnedNotified,
}

/// What is known of an idempotency key.
#[derive(Debug)]
pub(super) enum Once {
    /// It is the asker's now, who settles it or gives it up.
    Mine,
    /// The same request was started as this task.
    Known(Arc<Shared>),
    /// Another request was.
    Another(TaskRef),
    /// Somebody starts with it just now.
    Wait(OwnedNotified),
}

/// The host's books.
#[derive(Debug)]
pub(crate) struct Registry {
    books: Mutex<Books>,
    /// The moment after which ended tasks are forgotten, in nanoseconds of the steady clock; there is none with the largest number.
    /// Every start looks at it, and the books are for who finds something.
    due: CachePadded<AtomicU64>,
    keep: Keep,
    numbers: CachePadded<AtomicU64>,
    /// What may be left in the store of starts that were refused.
    pub(super) orphans: Orphans,
    /// What the latest tasks were started with.
    pub(super) lately: Lately,
}

#[derive(Debug, Default)]
struct Books {
    plugins: BTreeMap<String, Arc<Version>>,
    /// The names of versions that are left and whose last tasks are not gone.
    leaving: Vec<(u64, String)>,
    tasks: HashMap<TaskId, Arc<Shared>, RandomState>,
    /// The same, by what they are looked for.
    index: Index,
    /// What is taken: a key belongs to one live task at a time.
    claims: Claims,
    /// How many tasks there are in each tree, the first not counted.
    trees: HashMap<TaskId, u32>,
    /// Ended tasks, oldest first.
    ended: VecDeque<Past>,
    /// What they weigh together.
    ended_bytes: u64,
    /// Those whose time was over while somebody held a handle.
    held: VecDeque<TaskId>,
}

/// Tasks that the books do not hold any more.
struct Forgotten {
    ids: Vec<TaskId>,
    _tasks: Vec<Arc<Shared>>,
}

impl Books {
    fn leave(&mut self, version: Arc<Version>) -> Arc<Version> {
        version.stand(Standing::Leaving);
        self.leaving.push((version.number, version.plugin.name().to_owned()));
        version
    }

    fn is_held(&self, id: TaskId) -> bool {
        self.tasks.get(&id).is_some_and(|shared| Arc::strong_count(shared) > 1)
    }

    /// What is forgotten is to be dropped when the books are not locked any more: much may go with it.
    fn sweep(&mut self, keep: Keep, now: Duration) -> Forgotten {
        let mut forgotten = Vec::new();
        for _ in 0..self.held.len().min(SWEPT_AT_ONCE) {
            forgotten.extend(self.held.pop_front());
        }
        for _ in 0..SWEPT_AT_ONCE {
            let too_many = self.ended.len() > keep.tasks || self.ended_bytes > keep.bytes;
            let over = |past: &Past| too_many || now > past.until;
            let Some(oldest) = self.ended.front().copied().filter(over) else { break };
            self.ended.pop_front();
            self.ended_bytes = self.ended_bytes.saturating_sub(oldest.bytes);
            forgotten.push(oldest.id);
        }
        // Somebody who holds a handle may still want to read.
        let (held, forgotten): (Vec<_>, Vec<_>) = forgotten.into_iter().partition(|id| self.is_held(*id));
        self.held.extend(held);
        let tasks = forgotten.iter().filter_map(|id| self.forget(*id)).collect();
        Forgotten { ids: forgotten, _tasks: tasks }
    }

    /// The moment after which [`Books::sweep`] finds something; `None` as long as nothing has ended.
    fn due(&self, keep: Keep) -> Option<Duration> {
        if !self.held.is_empty() || self.ended.len() > keep.tasks || self.ended_bytes > keep.bytes {
            return Some(Duration::ZERO);
        }
        self.ended.front().map(|past| past.until)
    }

    /// A task is over.
    fn retire(&mut self, id: TaskId, until: Duration) {
        // One that somebody has removed meanwhile is not here.
        if let Some(bytes) = self.tasks.get(&id).map(|shared| shared.kept_bytes().saturating_add(TASK_BYTES)) {
            self.ended.push_back(Past { id, until, bytes });
            self.ended_bytes = self.ended_bytes.saturating_add(bytes);
        }
    }

    /// Forgets a task: nobody finds it here any more.
    fn forget(&mut self, id: TaskId) -> Option<Arc<Shared>> {
        let task = self.tasks.remove(&id);
        if let Some(task) = &task {
            task.forgotten.store(true, Ordering::SeqCst);
            self.index.forget(task);
        }
        self.claims.forget(id);
        task
    }
}

impl Registry {
    pub(crate) fn new(keep: Keep) -> Self {
        let (orphans, lately) = (Orphans::default(), Lately::default());
        Self {
            books: Mutex::default(),
            due: AtomicU64::new(u64::MAX).into(),
            keep,
            numbers: AtomicU64::new(1).into(),
            orphans,
            lately,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a version its plugin's name, if that is free.
    pub(crate) fn add_version(&self, version: Arc<Version>) -> Result<(), Arc<Version>> {
        match self.lock().plugins.entry(version.plugin.name().to_owned()) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(version);
                Ok(())
            }
            std::collections::btree_map::Entry::Occupied(entry) => Err(Arc::clone(entry.get())),
        }
    }

    /// Lets a plugin's name point to another version. Nobody can start a task of the old one any more. Returns that, or
    /// nothing when the name does not point to it by now.
    pub(super) fn replace_version(&self, old: &Version, new: Arc<Version>) -> Option<Arc<Version>> {
        let mut books = self.lock();
        let known = books.plugins.get_mut(old.plugin.name()).filter(|known| known.number == old.number)?;
        let left = std::mem::replace(known, new);
        Some(books.leave(left))
    }

    /// Takes a plugin's name away. Nobody can start a task of its version any more. Returns that, if there was one.
    pub(super) fn remove_version(&self, name: &str) -> Option<Arc<Version>> {
        let mut books = self.lock();
        let left = books.plugins.remove(name)?;
        Some(books.leave(left))
    }

    /// Nothing is left of a version that has left.
    pub(super) fn forget_version(&self, number: u64) {
        self.lock().leaving.retain(|(left, _)| *left != number);
    }

    /// Lets tasks of a plugin be started, or not. Says whether that was a change.
    pub(super) fn set_standing(&self, version: &Version, standing: Standing) -> bool {
        let _books = self.lock();
        version.standing() != Standing::Leaving && version.stand(standing)
    }

    /// The version whose task is to be started: it stays, until this is dropped, for whoever waits for its last task.
    pub(crate) fn use_version(&self, name: &str) -> Result<VersionUse, StartError> {
        let books = self.lock();
        let known = books.plugins.get(name);
        let name = || name.to_owned();
        match known {
            Some(version) => match version.standing() {
                Standing::Enabled => Ok(VersionUse::starting(Arc::clone(version))),
                Standing::Disabled => Err(StartError::PluginDisabled { name: name() }),
                Standing::Leaving => Err(StartError::PluginUnloading { name: name() }),
            },
            None if books.leaving.iter().any(|(_, left)| *left == name()) => {
                Err(StartError::PluginUnloading { name: name() })
            }
            None => Err(StartError::UnknownPlugin { name: name(), loaded: books.plugins.keys().cloned().collect() }),
        }
    }

    /// The version that a plugin's name points to.
    pub(crate) fn version(&self, name: &str) -> Option<Arc<Version>> {
        self.lock().plugins.get(name).cloned()
    }

    /// The versions that names point to, by name.
    pub(crate) fn versions(&self) -> Vec<Arc<Version>> {
        self.lock().plugins.values().cloned().collect()
    }

    /// The tasks of a version that have no outcome yet, oldest first.
    pub(super) fn live_of(&self, version: u64) -> Vec<Arc<Shared>> {
        let mut live = self.live();
        live.retain(|task| task.version() == version);
        live
    }

    /// Claims the task's key, before the task exists. Who waits is in line from now on, until the key is its own or it
    /// is released.
    pub(super) fn claim(&self, task: &Arc<TaskRef>, id: TaskId, waits: bool) -> Result<(), Held> {
        let mut books = self.lock();
        let Err(taken) = books.claims.claim(task, id, waits) else { return Ok(()) };
        Err(Held { live: books.tasks.get(&taken.by).cloned(), changed: taken.changed })
    }

    /// Gives a key back that was claimed for a task which is not born, if that has it or waits for it.
    pub(super) fn release(&self, task: &TaskRef, id: TaskId) {
        let mut books = self.lock();
        // One of this id lives: then it is that one's, and the store has refused a second one.
        if !books.tasks.get(&id).is_some_and(|born| books.index.lives(born)) {
            books.claims.release(task, id);
        }
    }

    /// A task has its outcome: its key is free, and it is not among those that live.
    pub(super) fn end(&self, task: &Shared) {
        let mut books = self.lock();
        books.index.end(task);
        books.claims.release(&task.task, task.id);
    }

    /// Asks for an idempotency key, before the task exists.
    pub(super) fn once(&self, key: &OnceKey, print: Fingerprint, task: &TaskRef, id: TaskId) -> Once {
        let mut books = self.lock();
        match books.claims.once(key, print, task, id) {
            OnceAnswer::Mine => Once::Mine,
            OnceAnswer::Another(task) => Once::Another(task),
            OnceAnswer::Wait(changed) => Once::Wait(changed),
            OnceAnswer::Known(known) => match books.tasks.get(&known) {
                Some(shared) => Once::Known(Arc::clone(shared)),
                // Never: keys are forgotten with their task.
                None => Once::Another(task.clone()),
            },
        }
    }

    /// The idempotency key stands for this task from now on.
    pub(super) fn settle_once(&self, key: &OnceKey, task: TaskId) {
        self.lock().claims.settle_once(key, task);
    }

    /// Nothing came of it: the idempotency key is free.
    pub(super) fn give_up_once(&self, key: &OnceKey) {
        self.lock().claims.give_up_once(key);
    }

    /// Enters a task that exists now.
    pub(crate) fn enter(&self, shared: Arc<Shared>) {
        let mut books = self.lock();
        books.claims.born(&shared.task);
        books.index.enter(&shared);
        books.tasks.insert(shared.id, shared);
    }

    /// Enters a task that is over already, and returns the ids of those that are forgotten for it.
    pub(super) fn enter_ended(&self, shared: Arc<Shared>, now: Duration) -> Vec<TaskId> {
        let id = shared.id;
        self.enter_past(shared);
        self.retire(id, now)
    }

    /// Enters a task that is over already, and has still to be retired.
    pub(super) fn enter_past(&self, shared: Arc<Shared>) {
        let mut books = self.lock();
        books.index.enter(&shared);
        books.index.end(&shared);
        books.tasks.insert(shared.id, shared);
    }

    /// Notes that a task has been over for so long. Nothing is forgotten for it. The oldest come first.
    pub(super) fn retire_past(&self, id: TaskId, over_for: Duration, now: Duration) {
        // Longer ago than this host has lived: then it is over at once, if its time is.
        let until = if over_for > self.keep.time {
            Duration::ZERO
        } else {
            now.saturating_add(self.keep.time.saturating_sub(over_for))
        };
        let mut books = self.lock();
        books.retire(id, until);
        self.note_due(&books);
    }

    /// Says when there is something to forget, after what has ended has changed.
    fn note_due(&self, books: &Books) {
        let due = books.due(self.keep).map_or(u64::MAX, |due| u64::try_from(due.as_nanos()).unwrap_or(u64::MAX));
        if self.due.load(Ordering::SeqCst) != due {
            self.due.store(due, Ordering::SeqCst);
        }
    }

    /// When the next ended task is forgotten, if it is not held.
    pub(super) fn next_over(&self) -> Option<Duration> {
        self.lock().ended.front().map(|past| past.until)
    }

    /// How long ended tasks are remembered.
    pub(super) fn keeps_for(&self) -> Duration {
        self.keep.time
    }

    /// Whether this task has its key: it lives, or is being born.
    pub(super) fn has_key(&self, task: &TaskRef, id: TaskId) -> bool {
        self.lock().claims.holder(task) == Some(id)
    }

    /// Forgets a task that is over, and says whether it was known.
    pub(super) fn remove(&self, id: TaskId) -> bool {
        let mut books = self.lock();
        let is_known = books.tasks.contains_key(&id);
        if let Some(place) = books.ended.iter().position(|past| past.id == id)
            && let Some(past) = books.ended.remove(place)
        {
            books.ended_bytes = books.ended_bytes.saturating_sub(past.bytes);
        }
        books.held.retain(|held| *held != id);
        let forgotten = books.forget(id);
        self.note_due(&books);
        drop(books);
        drop(forgotten);
        is_known
    }

    /// Notes that a task is over, and returns the ids of those that are forgotten for it.
    pub(crate) fn retire(&self, id: TaskId, now: Duration) -> Vec<TaskId> {
        let mut books = self.lock();
        books.retire(id, now.saturating_add(self.keep.time));
        let forgotten = books.sweep(self.keep, now);
        self.note_due(&books);
        drop(books);
        forgotten.ids
    }

    /// Forgets some of the ended tasks whose time is over, and returns their ids.
    pub(crate) fn sweep(&self, now: Duration) -> Vec<TaskId> {
        if now.as_nanos() < u128::from(self.due.load(Ordering::SeqCst)) {
            return Vec::new();
        }
        let mut books = self.lock();
        let forgotten = books.sweep(self.keep, now);
        self.note_due(&books);
        drop(books);
        forgotten.ids
    }

    /// At most so many tasks that may be meant, of those that were started before the one of this number, newest first; and
    /// the number of the oldest that was looked at, if there was any.
    pub(super) fn older(&self, filter: &TaskFilter, before: u64, limit: usize) -> (Vec<Arc<Shared>>, Option<u64>) {
        let books = self.lock();
        if let Some(id) = filter.id {
            let task = books.tasks.get(&id).filter(|task| task.number < before).cloned();
            let number = task.as_ref().map(|task| task.number);
            return (task.into_iter().collect(), number);
        }
        let found = books.index.older(filter, before, limit);
        let oldest = found.last().map(|(number, _)| *number);
        (found.iter().filter_map(|(_, id)| books.tasks.get(id)).cloned().collect(), oldest)
    }

    pub(crate) fn by_id(&self, id: TaskId) -> Option<Arc<Shared>> {
        self.lock().tasks.get(&id).cloned()
    }

    /// The live task of this reference.
    pub(crate) fn by_ref(&self, task: &TaskRef) -> Option<Arc<Shared>> {
        let books = self.lock();
        let of_key = books.claims.holder(task).and_then(|id| books.tasks.get(&id));
        // Who writes an id as a key may have another plugin in mind.
        of_key.filter(|found| *found.task == *task).cloned()
    }

    /// The task's oldest ancestor that is reached over live ones; itself, if it has none.
    pub(crate) fn root(&self, id: TaskId) -> TaskId {
        let books = self.lock();
        let live = |id: TaskId| books.tasks.get(&id).filter(|task| books.claims.holder(&task.task) == Some(id));
        let mut root = id;
        while let Some(parent) = live(root).and_then(|task| task.parent).and_then(live) {
            root = parent.id;
        }
        root
    }

    /// The tasks that have no outcome yet, oldest first.
    pub(crate) fn live(&self) -> Vec<Arc<Shared>> {
        let books = self.lock();
        books.index.live().filter_map(|id| books.tasks.get(&id)).cloned().collect()
    }

    /// A place for one more task in a tree of at most this many, the first included; `None` when it is full.
    pub(crate) fn enter_tree(self: &Arc<Self>, root: TaskId, depth: u32, most: u32) -> Option<TreePlace> {
        let mut books = self.lock();
        let below = books.trees.entry(root).or_default();
        if below.saturating_add(1) >= most {
            if *below == 0 {
                books.trees.remove(&root);
            }
            return None;
        }
        *below += 1;
        Some(TreePlace { registry: Arc::clone(self), root, depth })
    }

    /// The next number in the host's own order of starts and waits.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The tasks that are known, ended ones included.
    #[cfg(test)]
    pub(crate) fn known_ids(&self) -> Vec<TaskId> {
        self.lock().tasks.keys().copied().collect()
    }

    /// How many keys, and how many idempotency keys are taken.
    #[cfg(test)]
    pub(crate) fn claims(&self) -> (usize, usize) {
        self.lock().claims.counts()
    }

    /// Whether nothing is left to be looked for.
    #[cfg(test)]
    pub(crate) fn is_index_empty(&self) -> bool {
        self.lock().index.is_empty()
    }

    /// How many tasks are known, ended ones included.
    #[cfg(test)]
    pub(crate) fn known(&self) -> usize {
        self.lock().tasks.len()
    }
}
