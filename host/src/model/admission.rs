//! Who may run next: fair between sessions and plugins, the more important first.
//!
//! Whoever waits stands in a lane with its like: the same plugin, session and parent. Limits hold for whole lanes, so one
//! look at a lane's head is enough. Of the lanes with the highest priority the one goes first that has the fewest running,
//! and of those the one that was served longest ago: a session that has a thousand tasks waiting does not keep another
//! from its first.
//!
//! There may be very many lanes, so that not all of them are looked at when one task ends. Those that may be next stand in one
//! queue. A lane that is found without room, because its plugin, its session or its parent has as many running as it may,
//! stands aside with that one; when there is room again the first of those that stand aside comes back, and when that one
//! has had its turn, or is held up by something else, the next. So lanes are looked at one by one only when all of them need
//! two things that have no room in turn, which move them from one to the other.

mod room;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState as Quick;

use self::room::{Queue, Rank, Room};
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
    most: u32,
    running: u32,
    /// Those who wait.
    waiting: usize,
    plugins: Room<String, Quick>,
    sessions: Room<String>,
    parents: Room<TaskId, Quick>,
    /// Whoever runs or waits.
    standings: HashMap<Arc<Applicant>, Standing>,
    /// Those that may be next. The best of those that have room is always among them.
    ready: Queue,
    /// Lanes that were made or served so far.
    turns: u64,
    /// Lanes that were looked at.
    #[cfg(test)]
    looks: u64,
}

/// How one applicant stands.
#[derive(Debug, Default)]
struct Standing {
    running: u32,
    /// By priority. Only the most important one counts: what holds that up holds all of them up.
    lanes: BTreeMap<i32, Lane>,
    /// Where it waits.
    at: Option<(Rank, Where)>,
}

/// Those of one priority.
#[derive(Debug)]
struct Lane {
    /// Their tickets, which is the order in which they came. Whoever leaves is found among very many.
    tickets: BTreeSet<u64>,
    /// When it was made or served last.
    turn: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Ready,
    Aside(Kind),
}

/// What may have no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plugin,
    Session,
    Parent,
}

impl Standing {
    fn rank(&self) -> Option<Rank> {
        let (priority, lane) = self.lanes.last_key_value()?;
        Some(Rank::new(*priority, self.running, lane.turn))
    }

    /// Takes the first of the most important lane, which stands behind the others then.
    fn take(&mut self, turn: u64) -> Option<u64> {
        let mut lane = self.lanes.last_entry()?;
        let ticket = lane.get_mut().tickets.pop_first();
        lane.get_mut().turn = turn;
        if lane.get().tickets.is_empty() {
            lane.remove();
        }
        ticket
    }
}

impl Admission {
    pub(crate) fn new(limits: Concurrency) -> Self {
        Self {
            most: limits.running,
            running: 0,
            waiting: 0,
            plugins: Room::new(limits.per_plugin),
            sessions: Room::new(limits.per_session),
            parents: Room::new(limits.per_parent),
            standings: HashMap::new(),
            ready: Queue::new(),
            turns: 0,
            #[cfg(test)]
            looks: 0,
        }
    }

    /// Puts somebody at the end of its lane. Each ticket is larger than those before.
    pub(crate) fn enter(&mut self, ticket: u64, who: Applicant, priority: i32) {
        let who = Arc::new(who);
        self.turns += 1;
        let standing = self.standings.entry(Arc::clone(&who)).or_default();
        let made = || Lane { tickets: BTreeSet::new(), turn: self.turns };
        standing.lanes.entry(priority).or_insert_with(made).tickets.insert(ticket);
        self.waiting += 1;
        self.place(&who);
    }

    /// Counts somebody as running for whom there is room, if nobody waits. Says whether it did.
    pub(crate) fn enter_at_once(&mut self, who: &Applicant) -> bool {
        let free = self.waiting == 0 && self.running < self.most && self.held_up_by(who).is_none();
        if free {
            self.count(who);
            if let Some(standing) = self.standings.get_mut(who) {
                standing.running += 1;
            } else {
                self.standings.insert(Arc::new(who.clone()), Standing { running: 1, ..Standing::default() });
            }
        }
        free
    }

    /// Takes out whoever may run now, and counts it as running.
    pub(crate) fn next(&mut self) -> Option<u64> {
        if self.running >= self.most {
            return None;
        }
        loop {
            let (_, who) = self.ready.pop_first()?;
            #[cfg(test)]
            {
                self.looks += 1;
            }
            let held_up = self.held_up_by(&who).is_some();
            let Some(standing) = self.standings.get_mut(&who) else { continue };
            standing.at = None;
            let mut ticket = None;
            if !held_up {
                self.turns += 1;
                ticket = standing.take(self.turns);
                standing.running += 1;
                self.waiting -= 1;
                self.count(&who);
            }
            self.place(&who);
            if ticket.is_some() {
                return ticket;
            }
        }
    }

    /// Somebody who waited does so no more. Says whether it did.
    pub(crate) fn leave(&mut self, ticket: u64, who: &Applicant, priority: i32) -> bool {
        let Some((who, _)) = self.standings.get_key_value(who) else { return false };
        let who = Arc::clone(who);
        let Some(standing) = self.standings.get_mut(&who) else { return false };
        let Some(lane) = standing.lanes.get_mut(&priority) else { return false };
        if !lane.tickets.remove(&ticket) {
            return false;
        }
        if lane.tickets.is_empty() {
            standing.lanes.remove(&priority);
        }
        self.waiting -= 1;
        self.place(&who);
        true
    }

    /// Somebody who ran does so no more.
    pub(crate) fn release(&mut self, who: &Applicant) {
        let Some(standing) = self.standings.get_mut(who) else { return };
        standing.running = standing.running.saturating_sub(1);
        let is_over = standing.running == 0;
        self.running = self.running.saturating_sub(1);
        self.plugins.remove(&who.plugin);
        who.session.iter().for_each(|session| self.sessions.remove(session));
        who.parent.iter().for_each(|parent| self.parents.remove(parent));
        if self.waiting > 0 {
            let Some((who, _)) = self.standings.get_key_value(who) else { return };
            let who = Arc::clone(who);
            self.place(&who);
        } else if is_over {
            // Nobody has a place anywhere.
            self.standings.remove(who);
        }
    }

    fn count(&mut self, who: &Applicant) {
        self.running += 1;
        self.plugins.add(&who.plugin);
        who.session.iter().for_each(|session| self.sessions.add(session));
        who.parent.iter().for_each(|parent| self.parents.add(parent));
    }

    /// What has no room for it.
    fn held_up_by(&self, who: &Applicant) -> Option<Kind> {
        if self.plugins.is_full(&who.plugin) {
            return Some(Kind::Plugin);
        }
        if who.session.as_ref().is_some_and(|session| self.sessions.is_full(session)) {
            return Some(Kind::Session);
        }
        who.parent.as_ref().is_some_and(|parent| self.parents.is_full(parent)).then_some(Kind::Parent)
    }

    /// Puts it where it belongs now, which may be nowhere. It may have been the one that was called back where there is room.
    fn place(&mut self, who: &Arc<Applicant>) {
        let held_up = self.held_up_by(who);
        let Some(standing) = self.standings.get_mut(who) else { return };
        let (was, rank) = (standing.at.take(), standing.rank());
        let at = rank.map(|rank| (rank, held_up.map_or(Where::Ready, Where::Aside)));
        standing.at = at;
        if standing.running == 0 && rank.is_none() {
            self.standings.remove(who);
        }
        if let Some((rank, place)) = was {
            match place {
                Where::Ready => drop(self.ready.remove(&rank)),
                Where::Aside(Kind::Plugin) => self.plugins.take_back(&who.plugin, rank),
                Where::Aside(Kind::Session) => who.session.iter().for_each(|key| self.sessions.take_back(key, rank)),
                Where::Aside(Kind::Parent) => who.parent.iter().for_each(|key| self.parents.take_back(key, rank)),
            }
        }
        if let Some((rank, place)) = at {
            let one = || Arc::clone(who);
            match place {
                Where::Ready => drop(self.ready.insert(rank, one())),
                Where::Aside(Kind::Plugin) => self.plugins.set_aside(&who.plugin, rank, one()),
                Where::Aside(Kind::Session) => {
                    who.session.iter().for_each(|key| self.sessions.set_aside(key, rank, one()));
                }
                Where::Aside(Kind::Parent) => {
                    who.parent.iter().for_each(|key| self.parents.set_aside(key, rank, one()));
                }
            }
        }
        self.call_back_beside(who);
    }

    /// Calls back the first of those that stand aside with what this one needs too, where there is room.
    fn call_back_beside(&mut self, who: &Applicant) {
        let of_plugin = self.plugins.call_back(&who.plugin);
        let of_session = who.session.as_ref().and_then(|session| self.sessions.call_back(session));
        let of_parent = who.parent.as_ref().and_then(|parent| self.parents.call_back(parent));
        for (rank, who) in [of_plugin, of_session, of_parent].into_iter().flatten() {
            if let Some(standing) = self.standings.get_mut(&who) {
                standing.at = Some((rank, Where::Ready));
                self.ready.insert(rank, who);
            }
        }
    }
}

#[cfg(test)]
mod tests;
