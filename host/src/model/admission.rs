//! Who may run next: fair between sessions and plugins, the more important first.
//!
//! Whoever waits stands in a lane with its like: the same plugin, session and parent. Limits hold for whole lanes, so one
//! look at a lane's head is enough. Of the lanes with the highest priority the one goes first that has the fewest running,
//! and of those the one that was served longest ago: a session that has a thousand tasks waiting does not keep another
//! from its first.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

use super::ids::TaskId;

/// How many tasks may run at once. Those that do not fit wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concurrency {
    /// In all.
    pub running: u32,
    /// Of one plugin.
    pub per_plugin: u32,
    /// Of one session. Tasks without a session are not counted.
    pub per_session: u32,
    /// Children of one task.
    pub per_parent: u32,
}

impl Concurrency {
    /// This many in all, and as many of each.
    pub fn of(running: u32) -> Self {
        Self { running, per_plugin: running, per_session: running, per_parent: running }
    }

    /// The same with at most this many in all.
    pub(crate) fn at_most(self, running: u32) -> Self {
        Self { running: self.running.min(running), ..self }
    }

    /// With at most this many of one plugin.
    #[must_use]
    pub fn per_plugin(mut self, most: u32) -> Self {
        self.per_plugin = most;
        self
    }

    /// With at most this many of one session.
    #[must_use]
    pub fn per_session(mut self, most: u32) -> Self {
        self.per_session = most;
        self
    }

    /// With at most this many children of one task.
    #[must_use]
    pub fn per_parent(mut self, most: u32) -> Self {
        self.per_parent = most;
        self
    }
}

/// Who wants to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Applicant {
    pub(crate) plugin: String,
    pub(crate) session: Option<String>,
    pub(crate) parent: Option<TaskId>,
}

/// The tasks that run and those that wait to.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Concurrency,
    running: u32,
    of_plugin: Counts<String>,
    of_session: Counts<String>,
    of_parent: Counts<TaskId>,
    of_lane: Counts<Applicant>,
    /// By priority, the lowest first.
    waiting: BTreeMap<i32, Level>,
}

/// Those of one priority.
#[derive(Debug, Default)]
struct Level {
    /// By their tickets, which is the order in which they came. Whoever leaves is found among very many.
    lanes: HashMap<Applicant, BTreeSet<u64>>,
    /// The lanes in the order in which they are served.
    turns: VecDeque<Applicant>,
}

#[derive(Debug)]
struct Counts<K>(HashMap<K, u32>);

impl<K: Eq + Hash + Clone> Counts<K> {
    fn of(&self, key: &K) -> u32 {
        self.0.get(key).copied().unwrap_or(0)
    }

    fn has_room(&self, key: &K, most: u32) -> bool {
        self.of(key) < most
    }

    fn add(&mut self, key: &K) {
        match self.0.get_mut(key) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(key.clone(), 1)),
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some(count) = self.0.get_mut(key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(key);
            }
        }
    }
}

impl Admission {
    pub(crate) fn new(limits: Concurrency) -> Self {
        let (of_plugin, of_session) = (Counts(HashMap::new()), Counts(HashMap::new()));
        Self {
            limits,
            running: 0,
            of_plugin,
            of_session,
            of_parent: Counts(HashMap::new()),
            of_lane: Counts(HashMap::new()),
            waiting: BTreeMap::new(),
        }
    }

    /// Puts somebody at the end of its lane. Each ticket is larger than those before.
    pub(crate) fn enter(&mut self, ticket: u64, who: Applicant, priority: i32) {
        let level = self.waiting.entry(priority).or_default();
        if let Some(lane) = level.lanes.get_mut(&who) {
            lane.insert(ticket);
        } else {
            level.turns.push_back(who.clone());
            level.lanes.insert(who, BTreeSet::from([ticket]));
        }
    }

    /// Counts somebody as running for whom there is room, if nobody waits. Says whether it did.
    pub(crate) fn enter_at_once(&mut self, who: &Applicant) -> bool {
        let free = self.waiting.is_empty() && self.running < self.limits.running && self.fits(who);
        if free {
            self.count(who);
        }
        free
    }

    fn fits(&self, who: &Applicant) -> bool {
        let Concurrency { per_plugin, per_session, per_parent, .. } = self.limits;
        self.of_plugin.has_room(&who.plugin, per_plugin)
            && who.session.as_ref().is_none_or(|session| self.of_session.has_room(session, per_session))
            && who.parent.as_ref().is_none_or(|parent| self.of_parent.has_room(parent, per_parent))
    }

    /// Takes out whoever may run now, and counts it as running.
    pub(crate) fn next(&mut self) -> Option<u64> {
        if self.running >= self.limits.running {
            return None;
        }
        let (priority, turn) = self.waiting.iter().rev().find_map(|(priority, level)| {
            let fitting = level.turns.iter().enumerate().filter(|(_, who)| self.fits(who));
            let (turn, _) = fitting.min_by_key(|(turn, who)| (self.of_lane.of(who), *turn))?;
            Some((*priority, turn))
        })?;
        let level = self.waiting.get_mut(&priority)?;
        let who = level.turns.remove(turn)?;
        let ticket = level.take_from(&who)?;
        if level.turns.is_empty() {
            self.waiting.remove(&priority);
        }
        self.count(&who);
        Some(ticket)
    }

    /// Somebody who waited does so no more. Says whether it did.
    pub(crate) fn leave(&mut self, ticket: u64, who: &Applicant, priority: i32) -> bool {
        let Some(level) = self.waiting.get_mut(&priority) else { return false };
        let Some(lane) = level.lanes.get_mut(who) else { return false };
        if !lane.remove(&ticket) {
            return false;
        }
        if lane.is_empty() {
            level.lanes.remove(who);
            level.turns.retain(|turn| turn != who);
        }
        if level.turns.is_empty() {
            self.waiting.remove(&priority);
        }
        true
    }

    /// Somebody who ran does so no more.
    pub(crate) fn release(&mut self, who: &Applicant) {
        self.running = self.running.saturating_sub(1);
        self.of_lane.remove(who);
        self.of_plugin.remove(&who.plugin);
        if let Some(session) = &who.session {
            self.of_session.remove(session);
        }
        if let Some(parent) = &who.parent {
            self.of_parent.remove(parent);
        }
    }

    fn count(&mut self, who: &Applicant) {
        self.running += 1;
        self.of_lane.add(who);
        self.of_plugin.add(&who.plugin);
        if let Some(session) = &who.session {
            self.of_session.add(session);
        }
        if let Some(parent) = &who.parent {
            self.of_parent.add(parent);
        }
    }
}

impl Level {
    /// Takes the first of a lane whose turn it is; the lane goes to the end, if somebody is left in it.
    fn take_from(&mut self, who: &Applicant) -> Option<u64> {
        let lane = self.lanes.get_mut(who)?;
        let ticket = lane.pop_first();
        if lane.is_empty() {
            self.lanes.remove(who);
        } else {
            self.turns.push_back(who.clone());
        }
        ticket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(plugin: &str, session: Option<&str>) -> Applicant {
        Applicant { plugin: plugin.to_owned(), session: session.map(str::to_owned), parent: None }
    }

    fn all(admission: &mut Admission) -> Vec<u64> {
        std::iter::from_fn(|| admission.next()).collect()
    }

    #[test]
    fn r17_a_busy_session_does_not_keep_another_from_its_first() {
        let mut admission = Admission::new(Concurrency::of(1));
        for ticket in 0..100 {
            admission.enter(ticket, who("p", Some("busy")), 0);
        }
        admission.enter(100, who("p", Some("new")), 0);
        assert_eq!(admission.next(), Some(0));
        assert_eq!(admission.next(), None, "it is full");
        admission.release(&who("p", Some("busy")));
        assert_eq!(admission.next(), Some(100), "the other session's turn");
        admission.release(&who("p", Some("new")));
        assert_eq!(admission.next(), Some(1));
    }

    #[test]
    fn r17_the_more_important_goes_first_and_within_a_lane_the_first_come() {
        let mut admission = Admission::new(Concurrency::of(9));
        for (ticket, priority) in [(1, 0), (2, 5), (3, 0), (4, 5), (5, -5)] {
            admission.enter(ticket, who("p", None), priority);
        }
        assert_eq!(all(&mut admission), [2, 4, 1, 3, 5]);
    }

    #[test]
    fn r17_each_limit_holds_back_its_own_and_nobody_else() {
        let mut admission = Admission::new(Concurrency::of(9).per_plugin(2).per_session(1));
        let parent = TaskId::from_random(7);
        admission.enter(1, who("a", Some("s")), 0);
        admission.enter(2, who("a", Some("s")), 0);
        admission.enter(3, who("a", None), 0);
        admission.enter(4, who("a", None), 0);
        admission.enter(5, who("b", None), 0);
        assert_eq!(all(&mut admission), [1, 3, 5], "2 waits for its session, 4 for its plugin");
        admission.release(&who("a", None));
        assert_eq!(all(&mut admission), [4]);
        let mut admission = Admission::new(Concurrency::of(9).per_parent(1));
        for ticket in 0..3 {
            admission.enter(ticket, Applicant { parent: Some(parent), ..who("a", None) }, 0);
        }
        assert_eq!(all(&mut admission), [0]);
    }

    #[test]
    fn r17_whoever_leaves_is_not_called() {
        let mut admission = Admission::new(Concurrency::of(9));
        admission.enter(1, who("a", None), 0);
        admission.enter(2, who("a", None), 0);
        assert!(admission.leave(1, &who("a", None), 0));
        assert!(!admission.leave(1, &who("a", None), 0));
        assert_eq!(all(&mut admission), [2]);
        assert!(admission.waiting.is_empty(), "nothing is left of empty lanes");
    }

    proptest::proptest! {
        /// Nobody is forgotten, nobody runs twice, and no limit is ever passed.
        #[test]
        fn r17_everybody_gets_a_turn(
            tasks in proptest::collection::vec((0..3_u8, 0..3_u8, -1..2_i32, proptest::bool::ANY), 1..80),
        ) {
            let limits = Concurrency::of(4).per_plugin(3).per_session(2);
            let mut admission = Admission::new(limits);
            let mut of = HashMap::new();
            for (ticket, (plugin, session, priority, leaves)) in (0_u64..).zip(&tasks) {
                let who = who(&plugin.to_string(), (*session > 0).then(|| session.to_string()).as_deref());
                admission.enter(ticket, who.clone(), *priority);
                if *leaves {
                    proptest::prop_assert!(admission.leave(ticket, &who, *priority));
                } else {
                    of.insert(ticket, who);
                }
            }
            let mut running: VecDeque<u64> = VecDeque::new();
            let mut ran = 0;
            loop {
                while let Some(ticket) = admission.next() {
                    running.push_back(ticket);
                    proptest::prop_assert!(of.contains_key(&ticket));
                    let like = |same: &dyn Fn(&Applicant) -> bool| {
                        running.iter().filter(|ticket| same(&of[ticket])).count()
                    };
                    let who = &of[&ticket];
                    proptest::prop_assert!(running.len() <= 4);
                    proptest::prop_assert!(like(&|other| other.plugin == who.plugin) <= 3);
                    proptest::prop_assert!(who.session.is_none() || like(&|other| other.session == who.session) <= 2);
                    ran += 1;
                }
                let Some(done) = running.pop_front() else { break };
                admission.release(&of[&done]);
            }
            proptest::prop_assert_eq!(ran, of.len());
        }
    }
}
