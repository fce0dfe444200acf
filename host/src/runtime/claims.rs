//! The books of what is taken: keys, which one task has at a time, and requests that are started once.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState as Quick;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::model::idempotency::{Fingerprint, OnceKey};
use crate::model::ids::{TaskId, TaskRef};

/// Idempotency keys that are remembered for one task. It has one of its own, and one more for each start that joined it.
/// Protects the host's memory from whoever joins a long task again and again.
const ONCE_OF_TASK_MAX: usize = 1024;

/// Who has which key, who is to have it next, and which requests were started once.
#[derive(Debug, Default)]
pub(super) struct Claims {
    keys: HashMap<Arc<TaskRef>, Holder>,
    /// Tasks that were started without a key. Their ids are their keys, which nobody else asks for and nobody waits for.
    unkeyed: HashSet<TaskId, Quick>,
    once: HashMap<OnceKey, Once>,
    /// The idempotency keys of each task, its own first.
    of_task: HashMap<TaskId, VecDeque<OnceKey>, Quick>,
}

/// The task that has a key, from before its birth until it has its outcome.
#[derive(Debug)]
struct Holder {
    id: TaskId,
    /// Those that wait to replace it, and then each other.
    heirs: VecDeque<TaskId>,
    changed: Changed,
}

/// A request that was started, or is being started.
#[derive(Debug)]
struct Once {
    id: TaskId,
    task: TaskRef,
    print: Fingerprint,
    /// Whether the task exists.
    born: bool,
    changed: Changed,
}

/// Wakes whoever waits for something to change, also when that is gone. Made when somebody waits.
#[derive(Debug, Default)]
struct Changed(Option<Arc<Notify>>);

/// A key that is taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) by: TaskId,
    /// Completes when that is so no more, or the task has been born.
    pub(super) changed: OwnedNotified,
}

/// What is known of an idempotency key.
#[derive(Debug)]
pub(super) enum OnceAnswer {
    /// Nothing: it is the asker's now.
    Mine,
    /// The same request was started as this task.
    Known(TaskId),
    /// Another request was, as this task.
    Another(TaskRef),
    /// Somebody is starting with it just now.
    Wait(OwnedNotified),
}

/// Whether its key is its id. One that only looks like an id is a key like others.
fn is_without_key(task: &TaskRef, id: TaskId) -> bool {
    task.key.as_id() == Some(id)
}

impl Claims {
    /// Claims a key for a task that is not born yet. Who waits for it gets it when its turn has come, and asks again.
    pub(super) fn claim(&mut self, task: &Arc<TaskRef>, id: TaskId, waits: bool) -> Result<(), Taken> {
        if is_without_key(task, id) {
            self.unkeyed.insert(id);
            return Ok(());
        }
        match self.keys.entry(Arc::clone(task)) {
            Entry::Vacant(entry) => {
                entry.insert(Holder { id, heirs: VecDeque::new(), changed: Changed::default() });
                Ok(())
            }
            Entry::Occupied(entry) if entry.get().id == id => Ok(()),
            Entry::Occupied(entry) => {
                let holder = entry.into_mut();
                if waits && !holder.heirs.contains(&id) {
                    holder.heirs.push_back(id);
                }
                Err(Taken { by: holder.id, changed: holder.changed.wait() })
            }
        }
    }

    /// Gives a key back, or stops waiting for it. The next one who waits has it then.
    pub(super) fn release(&mut self, task: &TaskRef, id: TaskId) {
        if is_without_key(task, id) {
            self.unkeyed.remove(&id);
            return;
        }
        let Some(holder) = self.keys.get_mut(task) else { return };
        if holder.id != id {
            holder.heirs.retain(|heir| *heir != id);
            return;
        }
        match holder.heirs.pop_front() {
            Some(heir) => {
                holder.id = heir;
                holder.changed.tell();
            }
            None => drop(self.keys.remove(task)),
        }
    }

    /// Asks for an idempotency key, for a task that is not born yet.
    pub(super) fn once(&mut self, key: &OnceKey, print: Fingerprint, task: &TaskRef, id: TaskId) -> OnceAnswer {
        match self.once.get_mut(key) {
            None => {
                let once = Once { id, task: task.clone(), print, born: false, changed: Changed::default() };
                self.once.insert(key.clone(), once);
                OnceAnswer::Mine
            }
            // Whoever starts with it now may be refused, and then it is free again.
            Some(once) if !once.born => OnceAnswer::Wait(once.changed.wait()),
            Some(once) if once.print == print => OnceAnswer::Known(once.id),
            Some(once) => OnceAnswer::Another(once.task.clone()),
        }
    }

    /// The task of an idempotency key exists: it was born, or joined.
    pub(super) fn settle_once(&mut self, key: &OnceKey, task: TaskId) {
        let Some(once) = self.once.get_mut(key) else { return };
        (once.id, once.born) = (task, true);
        once.changed.tell();
        let of_task = self.of_task.entry(task).or_default();
        of_task.push_back(key.clone());
        if of_task.len() > ONCE_OF_TASK_MAX
            && let Some(oldest) = of_task.remove(1)
        {
            self.once.remove(&oldest);
        }
    }

    /// Nothing was started with this idempotency key: it is free again.
    pub(super) fn give_up_once(&mut self, key: &OnceKey) {
        self.once.remove(key);
    }

    /// A task was born: whoever waited for that looks again.
    pub(super) fn born(&mut self, task: &TaskRef) {
        if task.key.as_id().is_some_and(|id| self.unkeyed.contains(&id)) {
            return;
        }
        if let Some(holder) = self.keys.get(task) {
            holder.changed.tell();
        }
    }

    /// A task is forgotten, and its idempotency keys with it.
    pub(super) fn forget(&mut self, id: TaskId) {
        for key in self.of_task.remove(&id).unwrap_or_default() {
            self.once.remove(&key);
        }
    }

    /// Who has this key.
    pub(super) fn holder(&self, task: &TaskRef) -> Option<TaskId> {
        let unkeyed = task.key.as_id().and_then(|id| self.unkeyed.get(&id).copied());
        unkeyed.or_else(|| self.keys.get(task).map(|holder| holder.id))
    }

    /// How many keys, and how many idempotency keys are taken.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        assert_eq!(self.once.len(), self.of_task.values().map(VecDeque::len).sum::<usize>());
        (self.keys.len() + self.unkeyed.len(), self.once.len())
    }
}

impl Changed {
    fn wait(&mut self) -> OwnedNotified {
        Arc::clone(self.0.get_or_insert_default()).notified_owned()
    }

    fn tell(&self) {
        if let Some(waiting) = &self.0 {
            waiting.notify_waiters();
        }
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::TaskKey;
    use crate::model::request::StartRequest;

    fn task() -> Arc<TaskRef> {
        let key = TaskKey::new("k").unwrap();
        Arc::new(TaskRef { plugin: "p".to_owned(), task_type: "t".to_owned(), key })
    }

    fn id(number: u128) -> TaskId {
        TaskId::from_random(number)
    }

    #[test]
    fn r6_a_name_that_looks_like_an_id_is_a_key_that_one_has() {
        let key = TaskKey::new("deadbeefdeadbeefdeadbeefdeadbeef").unwrap();
        let daemon = Arc::new(TaskRef { key, ..(*task()).clone() });
        let mut claims = Claims::default();
        claims.claim(&daemon, id(1), false).unwrap();
        assert_eq!(claims.claim(&daemon, id(2), false).unwrap_err().by, id(1));
        claims.release(&daemon, id(2));
        assert_eq!(claims.holder(&daemon), Some(id(1)));
        claims.release(&daemon, id(1));
        assert_eq!((claims.holder(&daemon), claims.counts()), (None, (0, 0)));
    }

    #[test]
    fn r12_a_key_goes_to_those_who_wait_in_the_order_in_which_they_came() {
        let mut claims = Claims::default();
        claims.claim(&task(), id(1), false).unwrap();
        assert_eq!(claims.claim(&task(), id(2), false).unwrap_err().by, id(1), "who does not wait is not waited for");
        for waiting in [3, 4, 5, 3] {
            assert_eq!(claims.claim(&task(), id(waiting), true).unwrap_err().by, id(1));
        }
        claims.release(&task(), id(4));
        for next in [3, 5] {
            claims.release(&task(), claims.holder(&task()).unwrap());
            assert_eq!(claims.holder(&task()), Some(id(next)));
            claims.claim(&task(), id(next), true).unwrap();
            assert!(claims.claim(&task(), id(9), false).is_err(), "nobody comes between");
        }
        claims.release(&task(), id(1));
        claims.release(&task(), id(5));
        assert_eq!(claims.counts(), (0, 0));
    }

    #[test]
    fn r10_an_idempotency_key_lives_as_long_as_its_task_is_remembered() {
        let mut claims = Claims::default();
        let request = StartRequest::new("p", "t").once("k");
        let (key, print) = (OnceKey::of(&request).unwrap(), Fingerprint::of(&request));
        let other = Fingerprint::of(&request.fuel(1));
        assert!(matches!(claims.once(&key, print, &task(), id(1)), OnceAnswer::Mine));
        assert!(matches!(claims.once(&key, other, &task(), id(2)), OnceAnswer::Wait(_)), "it may come to nothing");
        claims.give_up_once(&key);
        assert!(
            matches!(claims.once(&key, print, &task(), id(3)), OnceAnswer::Mine),
            "a refused start does not burn it"
        );
        claims.settle_once(&key, id(3));
        assert!(matches!(claims.once(&key, print, &task(), id(4)), OnceAnswer::Known(known) if known == id(3)));
        assert!(matches!(claims.once(&key, other, &task(), id(4)), OnceAnswer::Another(_)));
        claims.forget(id(3));
        assert_eq!(claims.counts(), (0, 0));
    }

    #[test]
    fn r10_a_task_that_is_joined_again_and_again_remembers_the_newest() {
        let mut claims = Claims::default();
        let key = |number: usize| OnceKey::of(&StartRequest::new("p", "t").once(number.to_string())).unwrap();
        let print = Fingerprint::of(&StartRequest::new("p", "t"));
        for number in 0..2 * ONCE_OF_TASK_MAX {
            assert!(matches!(claims.once(&key(number), print, &task(), id(7)), OnceAnswer::Mine));
            claims.settle_once(&key(number), id(7));
        }
        assert_eq!(claims.counts(), (0, ONCE_OF_TASK_MAX));
        for kept in [0, 2 * ONCE_OF_TASK_MAX - 1] {
            assert!(matches!(claims.once(&key(kept), print, &task(), id(8)), OnceAnswer::Known(_)), "{kept}");
        }
    }
}
