//! The rules of schedules, on dates that the test makes up.

use std::time::Duration;

use proptest::prelude::*;

use super::cron::CronError;
use super::event::EventSeq;
use super::ids::{ScheduleId, TaskId};
use super::request::StartRequest;
use super::schedule::{Overlap, REQUEST_BYTES_MAX, Schedule, ScheduleEvent, ScheduleFault, ScheduleRequest};
use super::scheduling::{OPEN_MAX, ScheduleCommand, ScheduleRefusal, ScheduleState, Tick, decide};
use super::signal::Party;
use super::time::Timestamp;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;
/// No moments.
const NOTHING: [u64; 0] = [];
/// 1 January 2026, 00:00 UTC.
const NEW_YEAR: u64 = 1_767_225_600_000;

fn task() -> StartRequest {
    StartRequest::new("digest", "digest")
}

fn hourly() -> ScheduleRequest {
    ScheduleRequest::every("hourly", "0 * * * *", "UTC", task())
}

/// A schedule with its log, which is kept as a store keeps it.
struct Sim {
    state: ScheduleState,
    log: Vec<(EventSeq, Timestamp, ScheduleEvent)>,
    now: u64,
    tasks: u128,
    running: Option<TaskId>,
    waited: bool,
}

impl Sim {
    fn new(request: ScheduleRequest) -> Self {
        let mut sim = Self {
            state: ScheduleState::default(),
            log: Vec::new(),
            now: NEW_YEAR,
            tasks: 0,
            running: None,
            waited: false,
        };
        let next = request.check(Timestamp(sim.now)).unwrap();
        let schedule = Schedule::new(ScheduleId::from_random(1), request, Timestamp(sim.now), next);
        sim.write(ScheduleEvent::Created { schedule: Box::new(schedule) });
        sim
    }

    fn schedule(&self) -> &Schedule {
        self.state.schedule.as_ref().unwrap()
    }

    fn write(&mut self, event: ScheduleEvent) {
        let (seq, at) = (self.state.seq.next(), Timestamp(self.now));
        self.state.apply(seq, at, &event);
        self.log.push((seq, at, event));
        if let Some((summary, forgotten)) = self.state.summary() {
            self.write(summary);
            self.log.retain(|(seq, ..)| *seq > forgotten);
        }
    }

    fn ask(&mut self, command: ScheduleCommand) -> Option<ScheduleEvent> {
        let event = decide(&self.state, command).unwrap()?;
        self.write(event.clone());
        Some(event)
    }

    fn new_task(&mut self) -> TaskId {
        self.tasks += 1;
        TaskId::from_random(self.tasks)
    }

    fn tick(&mut self) -> Option<ScheduleEvent> {
        let task = self.new_task();
        let tick = Tick { now: Timestamp(self.now), waited: self.waited, running: self.running, task };
        self.ask(ScheduleCommand::Tick(tick))
    }

    /// Looks until there is nothing to do, with tasks that start and end at once, and returns the moments it fired for.
    fn settle(&mut self) -> Vec<u64> {
        let mut moments = Vec::new();
        while let Some(event) = self.tick() {
            if let ScheduleEvent::Firing { firing, .. } = event {
                moments.push(firing.moment.unwrap().0);
                self.ask(ScheduleCommand::Started { number: firing.number });
            }
        }
        moments
    }

    fn next(&self) -> Option<u64> {
        self.schedule().next.map(|next| next.0)
    }
}

#[test]
fn r19_a_moment_fires_once_and_a_late_one_too_however_many_were_missed() {
    let mut sim = Sim::new(hourly());
    assert_eq!((sim.settle(), sim.next()), (vec![], Some(NEW_YEAR + HOUR)), "its first moment is ahead");
    sim.now += HOUR;
    assert_eq!(sim.settle(), [NEW_YEAR + HOUR]);
    sim.now += 70 * HOUR + 5;
    assert_eq!(sim.settle(), [NEW_YEAR + 2 * HOUR]);
    assert_eq!(sim.next(), Some(NEW_YEAR + 72 * HOUR));
    assert_eq!(sim.schedule().fired, 2);
}

#[test]
fn r19_a_moment_in_the_past_has_come_and_one_moment_fires_once_for_ever() {
    let mut sim = Sim::new(ScheduleRequest::at("once", Timestamp(5), task()));
    assert_eq!(sim.settle(), [5]);
    assert!(sim.schedule().is_over());
    sim.now += YEAR;
    assert_eq!(sim.settle(), NOTHING);
}

#[test]
fn r19_a_time_that_passes_is_not_the_dates() {
    let mut sim = Sim::new(ScheduleRequest::after("soon", Duration::from_mins(1), task()));
    sim.now += YEAR;
    assert_eq!(sim.settle(), NOTHING, "the date has jumped, and no minute has passed");
    sim.now -= 2 * YEAR;
    sim.waited = true;
    assert_eq!(sim.settle(), [NEW_YEAR + 60_000]);
    assert!(sim.schedule().is_over());
}

#[test]
fn r19_a_paused_schedule_fires_nothing_and_makes_nothing_up() {
    for (request, next) in [
        (hourly(), Some(NEW_YEAR + 11 * HOUR)),
        (ScheduleRequest::at("once", Timestamp(NEW_YEAR + HOUR), task()), None),
        (ScheduleRequest::at("later", Timestamp(NEW_YEAR + 20 * HOUR), task()), Some(NEW_YEAR + 20 * HOUR)),
    ] {
        let mut sim = Sim::new(request);
        assert!(sim.ask(ScheduleCommand::Pause { by: Party::Person }).is_some());
        assert_eq!(sim.ask(ScheduleCommand::Pause { by: Party::Agent }), None);
        sim.now += 10 * HOUR;
        sim.waited = true;
        assert_eq!(sim.settle(), NOTHING);
        assert_eq!(sim.schedule().paused, Some(Party::Person));
        sim.ask(ScheduleCommand::Resume { now: Timestamp(sim.now), by: Party::Person }).unwrap();
        assert_eq!((sim.settle(), sim.next()), (vec![], next));
        assert_eq!(sim.ask(ScheduleCommand::Resume { now: Timestamp(sim.now), by: Party::Person }), None);
    }
}

#[test]
fn r19_a_hand_fires_a_paused_schedule_too_and_moves_nothing() {
    let mut sim = Sim::new(hourly());
    sim.ask(ScheduleCommand::Pause { by: Party::Person });
    for number in 1..=OPEN_MAX as u64 {
        let task = sim.new_task();
        let fired = sim.ask(ScheduleCommand::FireNow { now: Timestamp(sim.now), task, by: Party::Person });
        let Some(ScheduleEvent::Firing { firing, next }) = fired else { panic!("{fired:?}") };
        assert_eq!((firing.number, firing.moment, next), (number, None, Some(Timestamp(NEW_YEAR + HOUR))));
    }
    let task = sim.new_task();
    let more = ScheduleCommand::FireNow { now: Timestamp(sim.now), task, by: Party::Person };
    assert_eq!(decide(&sim.state, more.clone()), Err(ScheduleRefusal::Busy));
    sim.ask(ScheduleCommand::Failed { number: 2, reason: "no plugin".into() }).unwrap();
    sim.ask(ScheduleCommand::Started { number: 1 }).unwrap();
    let last = sim.schedule().last.clone().unwrap();
    assert_eq!((last.firing.number, last.failure.as_deref()), (2, Some("no plugin")), "the newest is the last");
    assert_eq!(sim.ask(ScheduleCommand::Started { number: 2 }), None, "what failed does not start");
    assert!(decide(&sim.state, more).unwrap().is_some());
}

#[test]
fn r19_a_task_that_still_lives_is_not_joined_by_another_unless_that_is_allowed() {
    let mut sim = Sim::new(hourly());
    sim.running = Some(TaskId::from_random(9));
    sim.now += HOUR;
    let skipped = sim.tick();
    let Some(ScheduleEvent::Skipped { moment, running, next }) = skipped else { panic!("{skipped:?}") };
    assert_eq!((moment.0, running), (NEW_YEAR + HOUR, TaskId::from_random(9)));
    assert_eq!((next.map(|next| next.0), sim.tick()), (Some(NEW_YEAR + 2 * HOUR), None));
    let mut sim = Sim::new(hourly().overlap(Overlap::Allow));
    sim.running = Some(TaskId::from_random(9));
    sim.now += HOUR;
    assert_eq!(sim.settle(), [NEW_YEAR + HOUR]);
    // One moment that is for ever is not left out for a task that was started by hand.
    let mut sim = Sim::new(ScheduleRequest::at("once", Timestamp(NEW_YEAR), task()));
    sim.running = Some(TaskId::from_random(9));
    assert_eq!(sim.settle(), [NEW_YEAR]);
}

#[test]
fn r19_a_date_that_was_a_year_off_is_forgotten() {
    let mut sim = Sim::new(hourly());
    sim.now += YEAR;
    assert_eq!(sim.settle(), [NEW_YEAR + HOUR], "late, and once");
    assert_eq!(sim.next(), Some(NEW_YEAR + YEAR + HOUR));
    sim.now -= YEAR;
    assert_eq!(sim.settle(), NOTHING);
    assert_eq!(sim.next(), Some(NEW_YEAR + HOUR), "it does not stand still for a year");
    sim.now += HOUR;
    assert_eq!(sim.settle(), [NEW_YEAR + HOUR]);
    // A clock that is set right by an hour or two fires nothing twice.
    sim.now -= 2 * HOUR;
    assert_eq!((sim.settle(), sim.next()), (vec![], Some(NEW_YEAR + 2 * HOUR)));
    sim.now += HOUR;
    assert_eq!(sim.settle(), NOTHING);
}

#[test]
fn r19_what_cannot_be_kept_is_refused() {
    let now = Timestamp(NEW_YEAR);
    let never = ScheduleRequest::every("never", "0 0 30 2 *", "UTC", task()).check(now).unwrap_err();
    assert!(matches!(never, ScheduleFault::Cron(CronError::Never { .. })), "{never}");
    for name in ["", "two\nlines", &"x".repeat(257)] {
        assert_eq!(ScheduleRequest::at(name, now, task()).check(now), Err(ScheduleFault::Name));
    }
    let large = task().input(serde_json::json!("x".repeat(usize::try_from(REQUEST_BYTES_MAX).unwrap())));
    assert!(matches!(ScheduleRequest::at("large", now, large).check(now), Err(ScheduleFault::TooLarge { .. })));
    for what in ["idempotency key", "moment to begin at", "parent", "schedule"] {
        let mut request = task();
        match what {
            "parent" => request.details.parent = Some(TaskId::from_random(1)),
            "idempotency key" => request.details.idempotency_key = Some("k".into()),
            "schedule" => request.details.schedule = forged(),
            _ => request.details.run_at = Some(now),
        }
        assert_eq!(ScheduleRequest::at("x", now, request).check(now), Err(ScheduleFault::OnlyOnce { what }));
    }
}

fn forged() -> Option<super::schedule::ScheduledBy> {
    let mut sim = Sim::new(hourly());
    sim.now += HOUR;
    sim.tick();
    let firing = sim.schedule().open[0];
    sim.schedule().request(&firing).details.schedule
}

#[test]
fn r19_what_is_removed_does_nothing_more() {
    let mut sim = Sim::new(hourly());
    sim.now += HOUR;
    sim.ask(ScheduleCommand::Remove { by: Party::Person }).unwrap();
    let task = sim.new_task();
    for command in [
        ScheduleCommand::Tick(Tick { now: Timestamp(sim.now), waited: true, running: None, task }),
        ScheduleCommand::FireNow { now: Timestamp(sim.now), task, by: Party::Person },
        ScheduleCommand::Resume { now: Timestamp(sim.now), by: Party::Person },
        ScheduleCommand::Remove { by: Party::Person },
    ] {
        assert_eq!(decide(&sim.state, command), Err(ScheduleRefusal::Unknown));
    }
}

#[derive(Debug, Clone)]
enum Op {
    Pass(u64),
    SetDate(i64),
    Tick { running: bool },
    FireNow,
    Resolve { which: usize, fails: bool },
    Pause,
    Resume,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0..3 * DAY).prop_map(Op::Pass),
        (0..2 * HOUR).prop_map(Op::Pass),
        (-2..=2_i64).prop_map(Op::SetDate),
        any::<bool>().prop_map(|running| Op::Tick { running }),
        any::<bool>().prop_map(|running| Op::Tick { running }),
        Just(Op::FireNow),
        (0..4_usize, any::<bool>()).prop_map(|(which, fails)| Op::Resolve { which, fails }),
        Just(Op::Pause),
        Just(Op::Resume),
    ];
    prop::collection::vec(op, 0..400)
}

fn requests() -> impl Strategy<Value = ScheduleRequest> {
    prop_oneof![
        Just(hourly()),
        Just(hourly().overlap(Overlap::Allow)),
        Just(ScheduleRequest::every("berlin", "30 2,3 * * *", "Europe/Berlin", task())),
        (0..4 * YEAR).prop_map(|at| ScheduleRequest::at("at", Timestamp(NEW_YEAR - YEAR + at), task())),
        (0..YEAR).prop_map(|after| ScheduleRequest::after("after", Duration::from_millis(after), task())),
    ]
}

/// What must hold of each event, given the schedule before it.
fn agrees(before: &Schedule, now: u64, event: &ScheduleEvent) {
    match event {
        ScheduleEvent::Firing { firing, next } => {
            assert_eq!(firing.number, before.fired + 1);
            assert!(before.open.len() < OPEN_MAX);
            if let Some(moment) = firing.moment {
                assert_eq!(
                    (before.paused, before.next),
                    (None, Some(moment)),
                    "only its own moment, and not when paused"
                );
                assert!(next.is_none_or(|next| next > moment && next.0 > now), "the next one is ahead");
                assert!(next.is_some() == before.when.is_every());
            } else {
                assert_eq!(*next, before.next);
            }
        }
        ScheduleEvent::Skipped { next, .. } => {
            assert!(before.when.is_every() && before.overlap == Overlap::Skip);
            assert!(next.is_some_and(|next| next.0 > now));
        }
        ScheduleEvent::Resumed { next, .. } => assert!(next.is_none_or(|next| next.0 > now)),
        ScheduleEvent::Moved { next } => assert!(before.counted.0 > now && next.is_some_and(|next| next.0 > now)),
        ScheduleEvent::Created { .. }
        | ScheduleEvent::Started { .. }
        | ScheduleEvent::Failed { .. }
        | ScheduleEvent::Paused { .. }
        | ScheduleEvent::Removed { .. }
        | ScheduleEvent::Summary { .. } => {}
    }
}

proptest! {
    /// Whatever happens to the clock and to the schedule: no moment fires twice, nothing fires in a pause, and the log, as
    /// much as is kept of it, tells the whole state.
    #[test]
    fn r19_no_moment_fires_twice(request in requests(), ops in ops()) {
        let mut sim = Sim::new(request);
        let mut last_moment = None;
        for op in ops {
            let before = sim.schedule().clone();
            let now = Timestamp(sim.now);
            let event = match op {
                Op::Pass(millis) => { sim.now += millis; None }
                Op::SetDate(years) => {
                    // No further back than the year in which it was added.
                    let moved = sim.now.saturating_add_signed(years * i64::try_from(YEAR).unwrap());
                    sim.now = moved.max(NEW_YEAR - YEAR);
                    None
                }
                Op::Tick { running } => {
                    sim.running = running.then(|| TaskId::from_random(7));
                    sim.waited = true;
                    sim.tick()
                }
                Op::FireNow if before.open.len() < OPEN_MAX => {
                    let task = sim.new_task();
                    sim.ask(ScheduleCommand::FireNow { now, task, by: Party::Agent })
                }
                Op::FireNow => None,
                Op::Resolve { which, fails } => before.open.get(which).map(|firing| firing.number).and_then(|number| {
                    sim.ask(if fails {
                        ScheduleCommand::Failed { number, reason: "full".into() }
                    } else {
                        ScheduleCommand::Started { number }
                    })
                }),
                Op::Pause => sim.ask(ScheduleCommand::Pause { by: Party::Person }),
                Op::Resume => sim.ask(ScheduleCommand::Resume { now, by: Party::Person }),
            };
            let Some(event) = event else { continue };
            agrees(&before, now.0, &event);
            if let ScheduleEvent::Firing { firing, .. } = event && let Some(moment) = firing.moment {
                prop_assert!(last_moment.is_none_or(|last| moment > last), "{last_moment:?} {moment:?}");
                last_moment = Some(moment);
            }
            // A date that has gone back far brings moments back.
            let moved = matches!(event, ScheduleEvent::Moved { .. } | ScheduleEvent::Resumed { .. });
            if moved && before.counted > now {
                last_moment = None;
            }
            let mut folded = ScheduleState::default();
            for (seq, at, event) in &sim.log {
                folded.apply(*seq, *at, event);
            }
            prop_assert_eq!(&folded, &sim.state);
            prop_assert!(sim.log.len() <= 2 * 128 + 2, "{} events are kept", sim.log.len());
        }
    }

    #[test]
    fn r19_a_log_is_written_and_read_as_it_is(request in requests(), ops in 0..4_u64) {
        let mut sim = Sim::new(request);
        for _ in 0..ops {
            sim.now += DAY;
            sim.waited = true;
            sim.tick();
        }
        for (_, _, event) in &sim.log {
            let text = serde_json::to_string(event).unwrap();
            prop_assert_eq!(&serde_json::from_str::<ScheduleEvent>(&text).unwrap(), event);
        }
    }
}
