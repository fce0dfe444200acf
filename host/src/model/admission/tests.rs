//! The rules of who is next: by example, and beside the same rules in few words.

use std::collections::VecDeque;

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
    assert_eq!(admission.waiting, 0);
    admission.release(&who("a", None));
    assert!(admission.standings.is_empty() && admission.ready.is_empty(), "nothing is left of empty lanes");
}

/// The same rule in few words: all lanes are looked at each time.
struct Plain {
    limits: Concurrency,
    running: Vec<Applicant>,
    /// By priority; lanes in the order of their turns.
    levels: BTreeMap<i32, VecDeque<(Applicant, VecDeque<u64>)>>,
}

impl Plain {
    fn runs(&self, like: impl Fn(&Applicant) -> bool) -> u32 {
        u32::try_from(self.running.iter().filter(|who| like(who)).count()).unwrap()
    }

    fn fits(&self, who: &Applicant) -> bool {
        let Concurrency { per_plugin, per_session, per_parent, .. } = self.limits;
        self.runs(|other| other.plugin == who.plugin) < per_plugin
            && (who.session.is_none() || self.runs(|other| other.session == who.session) < per_session)
            && (who.parent.is_none() || self.runs(|other| other.parent == who.parent) < per_parent)
    }

    fn enter(&mut self, ticket: u64, who: &Applicant, priority: i32) {
        let lanes = self.levels.entry(priority).or_default();
        match lanes.iter_mut().find(|(lane, _)| lane == who) {
            Some((_, tickets)) => tickets.push_back(ticket),
            None => lanes.push_back((who.clone(), VecDeque::from([ticket]))),
        }
    }

    fn next(&mut self) -> Option<u64> {
        if self.runs(|_| true) >= self.limits.running {
            return None;
        }
        let (priority, place) = self.levels.iter().rev().find_map(|(priority, lanes)| {
            let fitting = lanes.iter().enumerate().filter(|(_, (who, _))| self.fits(who));
            let first = fitting.min_by_key(|(place, (who, _))| (self.runs(|other| other == who), *place))?;
            Some((*priority, first.0))
        })?;
        let lanes = self.levels.get_mut(&priority).unwrap();
        let (who, mut tickets) = lanes.remove(place).unwrap();
        let ticket = tickets.pop_front();
        self.running.push(who.clone());
        if !tickets.is_empty() {
            lanes.push_back((who, tickets));
        }
        ticket
    }

    fn leave(&mut self, ticket: u64) {
        for lanes in self.levels.values_mut() {
            for (_, tickets) in lanes.iter_mut() {
                tickets.retain(|other| *other != ticket);
            }
            lanes.retain(|(_, tickets)| !tickets.is_empty());
        }
    }

    fn release(&mut self, who: &Applicant) {
        let place = self.running.iter().position(|other| other == who).unwrap();
        self.running.remove(place);
    }
}

#[test]
fn r17_very_many_lanes_are_not_looked_at_one_by_one() {
    const LANES: u64 = 20_000;
    let mut admission = Admission::new(Concurrency::of(2).per_plugin(1));
    let session = |lane: u64| Some(lane.to_string());
    for lane in 0..LANES {
        admission.enter(lane, who("p", session(lane).as_deref()), 0);
    }
    for lane in 0..LANES {
        assert_eq!(admission.next(), Some(lane));
        assert_eq!(admission.next(), None, "the plugin has one that runs");
        admission.release(&who("p", session(lane).as_deref()));
    }
    assert!(admission.standings.is_empty());
    assert!(admission.looks <= 4 * LANES, "{} looks", admission.looks);
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

    /// Whatever comes and goes, the same one is next as by the rule in few words.
    #[test]
    fn r17_the_next_one_is_who_should_be(
        acts in proptest::collection::vec((0..8_u8, 0..3_u8, 0..3_u8, 0..3_u8, -1..2_i32, proptest::num::usize::ANY), 1..200),
        limits in (1..6_u32, 1..4_u32, 1..3_u32, 1..3_u32),
    ) {
        let (running, per_plugin, per_session, per_parent) = limits;
        let limits = Concurrency { running, per_plugin, per_session, per_parent };
        let mut admission = Admission::new(limits);
        let mut plain = Plain { limits, running: Vec::new(), levels: BTreeMap::new() };
        let mut waiting: BTreeMap<u64, (Applicant, i32)> = BTreeMap::new();
        for (ticket, (act, plugin, session, parent, priority, which)) in (0_u64..).zip(acts) {
            match act {
                0..4 => {
                    let who = Applicant {
                        parent: (parent > 0).then(|| TaskId::from_random(parent.into())),
                        ..who(&plugin.to_string(), (session > 0).then(|| session.to_string()).as_deref())
                    };
                    waiting.insert(ticket, (who.clone(), priority));
                    plain.enter(ticket, &who, priority);
                    admission.enter(ticket, who, priority);
                }
                4 if !waiting.is_empty() => {
                    let (&ticket, (who, priority)) = waiting.iter().nth(which % waiting.len()).unwrap();
                    proptest::prop_assert!(admission.leave(ticket, who, *priority));
                    plain.leave(ticket);
                    waiting.remove(&ticket);
                }
                5 if !plain.running.is_empty() => {
                    let who = plain.running[which % plain.running.len()].clone();
                    admission.release(&who);
                    plain.release(&who);
                }
                _ => {
                    let next = plain.next();
                    proptest::prop_assert_eq!(admission.next(), next);
                    next.map(|ticket| waiting.remove(&ticket));
                }
            }
        }
        loop {
            let next = plain.next();
            proptest::prop_assert_eq!(admission.next(), next);
            if next.is_none() {
                let Some(who) = plain.running.pop() else { break };
                admission.release(&who);
            }
        }
        proptest::prop_assert!(admission.standings.is_empty() && admission.ready.is_empty());
        proptest::prop_assert_eq!((admission.waiting, admission.running), (0, 0));
    }
}
