//! One session's book: who is waited for in which turn, and which updates lie ready. No clock, no tasks, nobody who waits.
//!
//! It holds no outcome and no question, only which task has one: an update is as small as an id, and there are a few for each
//! task that the host remembers. What is taken out of it is looked up in the task's state.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::approval::ApprovalNumber;
use crate::model::ids::TaskId;

use super::{ContinuePolicy, DeliveryMode};

pub(crate) mod beside;

use beside::Settled;

/// What lies ready, without what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) task: TaskId,
    pub(crate) body: ItemBody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemBody {
    Result { answers_call: bool, asks_on: bool },
    Detached,
    Question(ApprovalNumber),
}

/// A task that comes into the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entrant {
    pub(crate) task: TaskId,
    pub(crate) turn: Option<String>,
    pub(crate) foreground: bool,
    /// Whether somebody waits for it beside the book, and tells its call what comes of it.
    pub(crate) beside: bool,
    pub(crate) delivery: DeliveryMode,
    pub(crate) continue_policy: ContinuePolicy,
}

/// What there is for whoever waits for a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum TurnLook {
    Next(Item),
    /// Something is to come.
    Wait,
    /// Nobody is waited for, and nothing lies ready.
    #[default]
    Over,
}

/// What an interrupted turn leaves behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Interruption {
    /// The tasks that were waited for, in the order of their starts. They are to be stopped.
    pub(crate) stopped: Vec<TaskId>,
    /// The same of those that somebody waits for beside the book, who says how they end.
    pub(crate) beside: Vec<TaskId>,
    /// What lay ready and nobody had taken, questions left out.
    pub(crate) cleared: Vec<Item>,
}

/// Updates by their place in the order of all, oldest first: taking one out of the middle costs no more than the next.
type Queue = BTreeMap<u64, Item>;

/// Where a task is, as its session sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Waited for in its turn.
    Foreground,
    Background,
    /// Its turn was interrupted: it is being stopped, and whoever interrupted is told how it ends.
    Interrupted,
    Ended,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    turn: Option<String>,
    place: Place,
    delivery: DeliveryMode,
    continue_policy: ContinuePolicy,
    /// The newest question that was told.
    asked: ApprovalNumber,
    /// Where its items are, in some queue.
    items: Vec<u64>,
    /// While somebody waits for it beside the book: the answers that are withheld until it is known what came of that.
    beside: Option<Vec<ItemBody>>,
    /// Whether its turn counts it among those that are waited for.
    counted: bool,
}

#[derive(Debug, Default)]
struct Turn {
    /// The tasks that are waited for.
    live: usize,
    queue: Queue,
}

/// Whether some result in the loop's queue asks for another turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum AsksOn {
    #[default]
    No,
    Untold,
    Told,
}

/// The book of one session.
#[derive(Debug, Default)]
pub(crate) struct SessionBook {
    tasks: HashMap<TaskId, Entry>,
    turns: HashMap<String, Turn>,
    to_loop: Queue,
    manual: Queue,
    /// What was counted last, of tasks and of items.
    numbers: u64,
    /// The tasks without an outcome.
    live: usize,
    asks_on: AsksOn,
    /// The places of the results that ask for another turn and lie ready.
    asking: BTreeSet<u64>,
    /// Whether a message asks the agent to act, and the loop was not told so.
    called: bool,
    /// Results that were forgotten before anybody took them.
    lost: u64,
}

impl SessionBook {
    /// Takes a task in that lives from now on.
    pub(crate) fn enter(&mut self, entrant: Entrant) {
        let Entrant { task, turn, foreground, beside, delivery, continue_policy } = entrant;
        let place = if foreground && turn.is_some() { Place::Foreground } else { Place::Background };
        self.numbers += 1;
        let (number, asked, items) = (self.numbers, ApprovalNumber(0), Vec::new());
        let beside = beside.then(Vec::new);
        let entry = Entry { number, turn, place, delivery, continue_policy, asked, items, beside, counted: false };
        self.tasks.insert(task, entry);
        if place == Place::Foreground {
            self.count(task);
        }
        self.live += 1;
    }

    /// These are the task's open questions now. Those that were told and are no longer open are taken back.
    pub(crate) fn ask(&mut self, task: TaskId, open: &[ApprovalNumber]) {
        let is_over = |body: &ItemBody| matches!(body, ItemBody::Question(number) if !open.contains(number));
        self.take_back(task, is_over);
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        match entry.place {
            Place::Interrupted | Place::Ended => return,
            Place::Foreground | Place::Background => {}
        }
        let asked = entry.asked;
        entry.asked = open.iter().copied().max().map_or(asked, |newest| newest.max(asked));
        for number in open.iter().filter(|number| **number > asked) {
            self.put(task, ItemBody::Question(*number));
        }
    }

    /// Nobody waits for the task any more: its turn is told so once, and what it still asks is told to the loop.
    pub(crate) fn detach(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        if entry.place != Place::Foreground {
            return;
        }
        self.put(task, ItemBody::Detached);
        self.go_on(task);
    }

    /// What becomes of the task's updates in the background, from now on.
    pub(crate) fn set_delivery(&mut self, task: TaskId, delivery: DeliveryMode, continue_policy: ContinuePolicy) {
        let Some(entry) = self.tasks.get(&task) else { return };
        let moves = entry.delivery != delivery && entry.place == Place::Background;
        let questions =
            if moves { self.take_back(task, |body| matches!(body, ItemBody::Question(_))) } else { Vec::new() };
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        (entry.delivery, entry.continue_policy) = (delivery, continue_policy);
        for question in questions {
            self.put(task, question.body);
        }
    }

    /// The task has its outcome. The first time counts.
    pub(crate) fn end(&mut self, task: TaskId) {
        self.ask(task, &[]);
        let Some(entry) = self.tasks.get(&task) else { return };
        match entry.place {
            Place::Ended => return,
            Place::Interrupted if entry.beside.is_none() => {}
            Place::Interrupted | Place::Foreground => {
                self.put(task, ItemBody::Result { answers_call: true, asks_on: false });
            }
            Place::Background => self.put(task, entry.notification()),
        }
        self.leave_turn(task, Place::Ended);
        self.live = self.live.saturating_sub(1);
        self.drop_if_done(task);
    }

    /// What there is for whoever waits for a turn; it is taken out.
    pub(crate) fn next_in(&mut self, turn: &str) -> TurnLook {
        let Some(found) = self.turns.get_mut(turn) else { return TurnLook::Over };
        match found.queue.pop_first() {
            Some((place, item)) => {
                self.taken(place, item);
                TurnLook::Next(item)
            }
            // Without either it would not be there.
            None if found.live > 0 => TurnLook::Wait,
            None => TurnLook::Over,
        }
    }

    /// Nobody waits for this turn any more.
    pub(crate) fn interrupt(&mut self, turn: &str) -> Interruption {
        let Some(found) = self.turns.remove(turn) else { return Interruption::default() };
        let awaited = |entry: &Entry| entry.counted && entry.turn.as_deref() == Some(turn);
        let mut stopped: Vec<_> = self
            .tasks
            .iter_mut()
            .filter(|(_, entry)| awaited(entry))
            .map(|(task, entry)| (entry.number, *task, entry))
            .collect();
        stopped.sort_unstable_by_key(|(number, ..)| *number);
        let mut interruption = Interruption::default();
        for (_, task, entry) in stopped {
            entry.counted = false;
            if entry.place == Place::Foreground {
                entry.place = Place::Interrupted;
                let of = if entry.beside.is_some() { &mut interruption.beside } else { &mut interruption.stopped };
                of.push(task);
            }
        }
        for (place, item) in found.queue {
            self.taken(place, item);
            if !matches!(item.body, ItemBody::Question(_)) {
                interruption.cleared.push(item);
            }
        }
        interruption
    }

    /// Takes at most so many updates of tasks in the background, oldest first.
    pub(crate) fn drain(&mut self, from: DeliveryMode, most: usize) -> Vec<Item> {
        let mut drained = Vec::new();
        while drained.len() < most
            && let Some((place, item)) = self.queue(from).pop_first()
        {
            self.taken(place, item);
            drained.push(item);
        }
        drained
    }

    /// How many updates the loop can drain.
    pub(crate) fn ready(&self) -> usize {
        self.to_loop.len()
    }

    /// Whether one of them asks for another turn: told once, until all that do are drained.
    pub(crate) fn tell_on(&mut self) -> bool {
        let asks = self.asks_on == AsksOn::Untold;
        if asks {
            self.asks_on = AsksOn::Told;
        }
        asks
    }

    /// There is a message that asks the agent to act.
    pub(crate) fn call(&mut self) {
        self.called = true;
    }

    /// Whether there is one that the loop was not told of.
    pub(crate) fn tell_call(&mut self) -> bool {
        std::mem::take(&mut self.called)
    }

    /// A result was taken whose task was forgotten just then.
    pub(crate) fn lose(&mut self) {
        self.lost = self.lost.saturating_add(1);
    }

    /// How many results were forgotten before anybody took them: told once.
    pub(crate) fn tell_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// The host has forgotten the task.
    pub(crate) fn forget(&mut self, task: TaskId) {
        self.settle(task, Settled::GivenUp);
        let left = self.take_back(task, |_| true);
        let results = left.iter().filter(|item| matches!(item.body, ItemBody::Result { .. }));
        self.lost = self.lost.saturating_add(results.count() as u64);
        self.drop_if_done(task);
    }

    /// Whether every task has its outcome.
    pub(crate) fn is_idle(&self) -> bool {
        self.live == 0
    }

    /// Whether there is nothing to remember: no task lives, and nothing lies ready.
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn queue(&mut self, of: DeliveryMode) -> &mut Queue {
        match of {
            DeliveryMode::ToLoop => &mut self.to_loop,
            DeliveryMode::Manual => &mut self.manual,
        }
    }

    /// Puts an update where the task's updates go now.
    fn put(&mut self, task: TaskId, body: ItemBody) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let answers = match body {
            ItemBody::Detached => Some(true),
            ItemBody::Result { answers_call, .. } => Some(answers_call),
            ItemBody::Question(_) => None,
        };
        if let (Some(_), Some(withheld)) = (answers, &mut entry.beside) {
            withheld.push(body);
            return;
        }
        self.numbers += 1;
        let place = self.numbers;
        entry.items.push(place);
        let (item, delivery) = (Item { task, body }, entry.delivery);
        match &entry.turn {
            Some(turn) if answers.unwrap_or(entry.place == Place::Foreground) => {
                self.turns.entry(turn.clone()).or_default().queue.insert(place, item);
            }
            Some(_) | None => {
                self.queue(delivery).insert(place, item);
                if matches!(body, ItemBody::Result { asks_on: true, .. }) {
                    self.asking.insert(place);
                    if self.asks_on == AsksOn::No {
                        self.asks_on = AsksOn::Untold;
                    }
                }
            }
        }
    }

    /// Takes a task's updates back that nobody has taken, and returns them.
    fn take_back(&mut self, task: TaskId, which: impl Fn(&ItemBody) -> bool) -> Vec<Item> {
        let Some(entry) = self.tasks.get_mut(&task).filter(|entry| !entry.items.is_empty()) else { return Vec::new() };
        let of_turn = entry.turn.as_ref().and_then(|turn| self.turns.get_mut(turn)).map(|turn| &mut turn.queue);
        let mut queues: Vec<&mut Queue> = of_turn.into_iter().chain([&mut self.to_loop, &mut self.manual]).collect();
        let mut back = Vec::new();
        entry.items.retain(|place| {
            for queue in &mut queues {
                if let Slot::Occupied(slot) = queue.entry(*place) {
                    let goes = which(&slot.get().body);
                    if goes {
                        self.asking.remove(place);
                        back.push(slot.remove());
                    }
                    return !goes;
                }
            }
            false
        });
        self.tidy(task);
        back
    }

    /// An update has left its queue.
    fn taken(&mut self, place: u64, item: Item) {
        self.asking.remove(&place);
        if let Some(entry) = self.tasks.get_mut(&item.task) {
            entry.items.retain(|own| *own != place);
        }
        self.tidy(item.task);
        self.drop_if_done(item.task);
    }

    fn leave_turn(&mut self, task: TaskId, to: Place) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        entry.place = to;
        // Whether its turn hears of it is not known while somebody waits beside the book.
        if entry.beside.is_none() {
            self.uncount(task);
        }
    }

    /// Its turn waits for it.
    fn count(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task).filter(|entry| !entry.counted) else { return };
        let Some(turn) = &entry.turn else { return };
        self.turns.entry(turn.clone()).or_default().live += 1;
        entry.counted = true;
    }

    /// Its turn does not wait for it any more.
    fn uncount(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let was_counted = std::mem::take(&mut entry.counted);
        let turn = entry.turn.as_ref().filter(|_| was_counted);
        if let Some(turn) = turn.and_then(|turn| self.turns.get_mut(turn)) {
            turn.live = turn.live.saturating_sub(1);
        }
        self.tidy(task);
    }

    /// Leaves no empty turn of the task's behind, and asks nobody on for what is gone.
    fn tidy(&mut self, task: TaskId) {
        if self.asking.is_empty() {
            self.asks_on = AsksOn::No;
        }
        let turn = self.tasks.get(&task).and_then(|entry| entry.turn.as_ref());
        let Some(turn) = turn else { return };
        if self.turns.get(turn).is_some_and(|turn| turn.live == 0 && turn.queue.is_empty()) {
            self.turns.remove(turn);
        }
    }

    fn drop_if_done(&mut self, task: TaskId) {
        let is_done = |entry: &Entry| entry.place == Place::Ended && entry.items.is_empty() && entry.beside.is_none();
        if self.tasks.get(&task).is_some_and(is_done) {
            self.tasks.remove(&task);
        }
    }
}

#[cfg(test)]
impl SessionBook {
    /// Whether what is counted is what is there, and nothing empty is kept.
    pub(crate) fn check(&self) {
        let queues = self.turns.values().map(|turn| &turn.queue).chain([&self.to_loop, &self.manual]);
        let items: BTreeMap<u64, TaskId> = queues.flatten().map(|(place, item)| (*place, item.task)).collect();
        for (task, entry) in &self.tasks {
            let own: Vec<u64> = items.iter().filter(|(_, of)| *of == task).map(|(place, _)| *place).collect();
            assert_eq!(own, entry.items);
            let is_left = !own.is_empty() || entry.beside.is_some();
            assert!(entry.place != Place::Ended || is_left, "an ended task has something left");
            assert!(entry.place != Place::Foreground || entry.counted, "its turn does not wait for it");
        }
        assert!(items.values().all(|task| self.tasks.contains_key(task)));
        for (name, turn) in &self.turns {
            let awaited = |entry: &&Entry| entry.counted && entry.turn.as_ref() == Some(name);
            assert_eq!(self.tasks.values().filter(awaited).count(), turn.live);
            assert!(turn.live > 0 || !turn.queue.is_empty(), "an empty turn is kept");
        }
        assert_eq!(self.live, self.tasks.values().filter(|entry| entry.place != Place::Ended).count());
        let asks = |item: &Item| matches!(item.body, ItemBody::Result { asks_on: true, .. });
        let lies_ready = self.to_loop.iter().chain(&self.manual);
        let asking: BTreeSet<u64> = lies_ready.filter(|(_, item)| asks(item)).map(|(place, _)| *place).collect();
        assert_eq!(asking, self.asking);
        assert!(!self.asking.is_empty() || self.asks_on == AsksOn::No);
    }
}
