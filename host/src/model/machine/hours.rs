//! A daemon's fuel: so much for each hour of its life. What it does not burn it does not keep, and when all is burnt it
//! stands still until the next hour.

use crate::model::command::{Answer, Decision};
use crate::model::event::EventBody;
use crate::model::manifest::TaskKind;
use crate::model::state::TaskState;

/// Its tank is empty.
pub(super) fn fuel_out(state: &TaskState, used: u64) -> Decision {
    // Told already; or fuel was added since the cell looked.
    if !is_daemon(state) || state.hour_used_up || used < state.fuel_budget {
        return Decision::only(Answer::Unchanged);
    }
    Decision::done(EventBody::HourUsedUp { used })
}

pub(super) fn new_hour(state: &TaskState, used: u64) -> Decision {
    // What it has lent may come back: it is no hour's use before its child has burnt it.
    match renewed(state, used.saturating_sub(state.lent_fuel())) {
        Some(renewed) if is_daemon(state) => Decision::done(renewed),
        // One that burnt nothing has what it needs, and its log stays short.
        Some(_) | None => Decision::only(Answer::Unchanged),
    }
}

/// What lets a daemon go on that stands still, so that it can end by itself when it is asked to.
pub(super) fn to_end_with(state: &TaskState, used: u64) -> Option<EventBody> {
    if state.hour_used_up { renewed(state, used) } else { None }
}

/// Fuel for an hour again, of which some may be left.
fn renewed(state: &TaskState, used: u64) -> Option<EventBody> {
    let units = used.saturating_add(state.limits.fuel).saturating_sub(state.fuel_budget);
    (units > 0).then_some(EventBody::FuelRenewed { units })
}

fn is_daemon(state: &TaskState) -> bool {
    state.details.kind == TaskKind::Daemon
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::json;

    use crate::model::children::ChildOutcome;
    use crate::model::command::{Answer, Command};
    use crate::model::details::TaskDetails;
    use crate::model::event::{Event, EventBody};
    use crate::model::ids::{TaskId, TaskKey, TaskRef};
    use crate::model::limits::Limits;
    use crate::model::machine::step;
    use crate::model::manifest::TaskKind;
    use crate::model::request::CancelRequest;
    use crate::model::signal::Party;
    use crate::model::snapshot::Usage;
    use crate::model::state::TaskState;
    use crate::model::time::Timestamp;

    fn decide(state: &mut TaskState, command: Command) -> (Vec<EventBody>, Answer) {
        let decision = step(state, command);
        for body in &decision.events {
            let event = Event::new(state.seq.next(), Timestamp(0), body.clone());
            state.apply(&event);
        }
        (decision.events, decision.answer)
    }

    fn child(number: u128) -> TaskId {
        TaskId::from_random(number)
    }

    fn lend(state: &mut TaskState, number: u128, fuel: u64) {
        let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::from(child(number)) };
        let (_, answer) = decide(state, Command::StartChild { child: child(number), task, fuel, detached: false });
        assert_eq!(answer, Answer::Done);
    }

    #[test]
    fn r6_a_daemon_goes_on_when_fuel_comes_back_that_it_had_lent() {
        for (used, goes_on) in [(59, true), (60, false)] {
            let mut state = running(TaskKind::Daemon);
            lend(&mut state, 1, 60);
            decide(&mut state, Command::FuelOut { used: 100 });
            assert!(state.hour_used_up);
            let outcome = ChildOutcome::Succeeded;
            decide(&mut state, Command::ChildEnded { child: child(1), outcome, fuel: used });
            assert_eq!(!state.hour_used_up, goes_on, "{used} of 60");
        }
    }

    #[test]
    fn r6_what_is_lent_is_no_hours_use_before_it_is_burnt() {
        let mut state = running(TaskKind::Daemon);
        lend(&mut state, 1, 60);
        // Thirty of its own.
        assert_eq!(decide(&mut state, Command::NewHour { used: 90 }).0, [EventBody::FuelRenewed { units: 30 }]);
        let outcome = ChildOutcome::Succeeded;
        decide(&mut state, Command::ChildEnded { child: child(1), outcome, fuel: 10 });
        assert_eq!(decide(&mut state, Command::NewHour { used: 40 }).0, [EventBody::FuelRenewed { units: 10 }]);
        // A hundred for this hour again, and not more.
        assert_eq!(state.fuel_budget - 40, 100);
    }

    /// A running task of this kind with a hundred units.
    fn running(kind: TaskKind) -> TaskState {
        let mut state = TaskState::default();
        let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new("t").unwrap() };
        let limits = Arc::new(Limits { fuel: 100, idle: Duration::from_secs(1), ..Limits::default() });
        let details = Arc::new(TaskDetails { kind, ..TaskDetails::default() });
        decide(
            &mut state,
            Command::Create { task: Arc::new(task), input: Arc::new(json!({})), limits, details, approval: None },
        );
        decide(&mut state, Command::Start);
        state
    }

    #[test]
    fn r6_a_daemon_without_fuel_stands_still_and_its_clocks_with_it() {
        let mut state = running(TaskKind::Daemon);
        let (events, _) = decide(&mut state, Command::FuelOut { used: 99 });
        assert_eq!(events, [], "fuel came meanwhile");
        assert!(state.deadline_runs() && state.idle_runs());
        let (events, _) = decide(&mut state, Command::FuelOut { used: 100 });
        assert_eq!(events, [EventBody::HourUsedUp { used: 100 }]);
        assert!(!state.deadline_runs() && !state.idle_runs());
        assert_eq!(decide(&mut state, Command::FuelOut { used: 100 }), (vec![], Answer::Unchanged), "told once");
        let (events, _) = decide(&mut state, Command::NewHour { used: 100 });
        assert_eq!(events, [EventBody::FuelRenewed { units: 100 }]);
        assert!(state.idle_runs() && state.fuel_budget == 200 && !state.hour_used_up);
        decide(&mut state, Command::FuelOut { used: 200 });
        decide(&mut state, Command::AddFuel { units: 1, by: Party::Person });
        assert!(!state.hour_used_up, "somebody gave it more");
    }

    #[test]
    fn r6_an_hour_gives_what_was_burnt_and_no_more() {
        let mut state = running(TaskKind::Daemon);
        assert_eq!(decide(&mut state, Command::NewHour { used: 0 }).0, []);
        assert_eq!(decide(&mut state, Command::NewHour { used: 40 }).0, [EventBody::FuelRenewed { units: 40 }]);
        decide(&mut state, Command::AddFuel { units: 1000, by: Party::Host });
        assert_eq!(decide(&mut state, Command::NewHour { used: 90 }).0, [], "it has more than that");
    }

    #[test]
    fn r6_hours_are_for_daemons_only() {
        let mut state = running(TaskKind::Task);
        for command in [Command::FuelOut { used: 100 }, Command::NewHour { used: 100 }] {
            assert_eq!(decide(&mut state, command), (vec![], Answer::Unchanged));
        }
    }

    #[test]
    fn r6_a_daemon_that_stands_still_can_end_within_its_grace_and_by_force() {
        for (grace, renewed) in [(5, true), (0, false)] {
            let mut state = running(TaskKind::Daemon);
            decide(&mut state, Command::FuelOut { used: 100 });
            let request = CancelRequest::new(Party::Host, "").grace(Duration::from_secs(grace));
            let usage = Usage { fuel: 100, ..Usage::default() };
            let (events, _) = decide(&mut state, Command::Cancel { request, usage });
            assert_eq!(events.contains(&EventBody::FuelRenewed { units: 100 }), renewed, "{events:?}");
            assert!(!state.hour_used_up);
            // What it burns then is not given once more.
            decide(&mut state, Command::FuelOut { used: 200 });
            assert_eq!(state.hour_used_up, renewed);
        }
    }
}
