//! The one place that decides about a schedule: state and command in, events out. Dates come in with the commands.

use super::event::EventSeq;
use super::ids::TaskId;
use super::schedule::{Firing, LastFiring, Overlap, Schedule, ScheduleEvent, When};
use super::signal::Party;
use super::time::Timestamp;

/// Firings whose tasks are being started at once. Protects the host from a hand that fires and fires while the store fails.
pub(crate) const OPEN_MAX: usize = 16;

/// How far the date may go back before a schedule's next moment is found anew: three hours, as in Vixie's cron. Less is a
/// clock that is set right or a change of the hour, and nothing shall fire twice for that.
const BACK_MAX_MS: u64 = 3 * 3_600_000;

/// How long a firing may be under way before another host takes it up. It is done once all the same: the task's id decides.
pub(crate) const TAKE_UP_MS: u64 = 60_000;

/// Events of a schedule after which a summary is written. Twice as many are kept, so that readers find some history.
const SUMMED_UP: u64 = 128;

/// What a schedule has come to: the fold of its events.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ScheduleState {
    /// The last event.
    pub(crate) seq: EventSeq,
    /// The last event that says everything.
    summary: EventSeq,
    /// `None` before the first event.
    pub(crate) schedule: Option<Schedule>,
    pub(crate) removed: bool,
}

/// A look at a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The date.
    pub(crate) now: Timestamp,
    /// Whether the time of a schedule has passed that fires after a time. The date does not count for it.
    pub(crate) waited: bool,
    /// The task of the last moment, or of the last firing by hand, if it still lives.
    pub(crate) running: Option<TaskId>,
    /// The id of the task that is started, if one is.
    pub(crate) task: TaskId,
}

/// What may be asked of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ScheduleCommand {
    /// It may be time.
    Tick(Tick),
    FireNow {
        now: Timestamp,
        task: TaskId,
        by: Party,
    },
    Started {
        number: u64,
    },
    Failed {
        number: u64,
        reason: String,
    },
    Pause {
        by: Party,
    },
    Resume {
        now: Timestamp,
        by: Party,
    },
    Remove {
        by: Party,
    },
}

/// Why something asked of a schedule was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScheduleRefusal {
    /// There is no such schedule, or no longer.
    Unknown,
    /// Too many of its tasks are being started.
    Busy,
}

/// Decides one command. No events means that there was nothing to do.
pub(crate) fn decide(
    state: &ScheduleState,
    command: ScheduleCommand,
) -> Result<Option<ScheduleEvent>, ScheduleRefusal> {
    let schedule = state.schedule.as_ref().filter(|_| !state.removed).ok_or(ScheduleRefusal::Unknown)?;
    let is_open = |number| schedule.open.iter().any(|firing| firing.number == number);
    Ok(match command {
        ScheduleCommand::Tick(look) => tick(schedule, look),
        ScheduleCommand::FireNow { .. } if schedule.open.len() >= OPEN_MAX => return Err(ScheduleRefusal::Busy),
        ScheduleCommand::FireNow { now, task, by } => {
            let firing = Firing { number: schedule.fired + 1, moment: None, task, at: now, by: Some(by) };
            Some(ScheduleEvent::Firing { firing, next: schedule.next })
        }
        ScheduleCommand::Started { number } => is_open(number).then_some(ScheduleEvent::Started { number }),
        ScheduleCommand::Failed { number, reason } => {
            is_open(number).then_some(ScheduleEvent::Failed { number, reason })
        }
        ScheduleCommand::Pause { by } => schedule.paused.is_none().then_some(ScheduleEvent::Paused { by }),
        ScheduleCommand::Resume { now, by } => schedule.paused.is_some().then(|| {
            let next = if schedule.when.is_every() {
                let from = if has_gone_back(schedule, now) { now } else { now.max(schedule.counted) };
                schedule.when.after(from)
            } else {
                schedule.next.filter(|next| *next > now)
            };
            ScheduleEvent::Resumed { by, next }
        }),
        ScheduleCommand::Remove { by } => Some(ScheduleEvent::Removed { by }),
    })
}

/// Whether the date is so far behind what it was that it was wrong before.
fn has_gone_back(schedule: &Schedule, now: Timestamp) -> bool {
    now.0.saturating_add(BACK_MAX_MS) < schedule.counted.0
}

fn tick(schedule: &Schedule, Tick { now, waited, running, task }: Tick) -> Option<ScheduleEvent> {
    let moment = schedule.next.filter(|_| schedule.paused.is_none())?;
    let every = schedule.when.is_every();
    if every && has_gone_back(schedule, now) {
        return Some(ScheduleEvent::Moved { next: schedule.when.after(now) });
    }
    let is_due = match schedule.when {
        When::After { .. } => waited,
        When::At { .. } | When::Every { .. } => now >= moment,
    };
    if !is_due || schedule.open.len() >= OPEN_MAX {
        return None;
    }
    // However many moments were missed, the next one is ahead.
    let next = schedule.when.after(now.max(moment));
    let running = running.or(schedule.open.last().map(|firing| firing.task));
    if let Some(running) = running.filter(|_| every && schedule.overlap == Overlap::Skip) {
        return Some(ScheduleEvent::Skipped { moment, running, next });
    }
    let firing = Firing { number: schedule.fired + 1, moment: Some(moment), task, at: now, by: None };
    Some(ScheduleEvent::Firing { firing, next })
}

impl ScheduleState {
    /// Folds the next event in. `at` is the event's date.
    pub(crate) fn apply(&mut self, seq: EventSeq, at: Timestamp, event: &ScheduleEvent) {
        self.seq = seq;
        if let ScheduleEvent::Created { schedule } | ScheduleEvent::Summary { schedule } = event {
            self.schedule = Some((**schedule).clone());
            self.summary = seq;
            return;
        }
        let Some(schedule) = &mut self.schedule else { return };
        let mut came_to = |number: u64, failure: Option<String>| {
            let place = schedule.open.iter().position(|firing| firing.number == number);
            let Some(firing) = place.map(|place| schedule.open.remove(place)) else { return };
            // They may be done in another order than they were begun.
            let is_newest = |last: Option<&Firing>| last.is_none_or(|last| last.number < number);
            if failure.is_none() && firing.moment.is_some() && is_newest(schedule.last_started.as_ref()) {
                schedule.last_started = Some(firing);
            }
            if is_newest(schedule.last.as_ref().map(|last| &last.firing)) {
                schedule.last = Some(LastFiring { firing, failure });
            }
        };
        match event {
            ScheduleEvent::Created { .. } | ScheduleEvent::Summary { .. } => {}
            ScheduleEvent::Firing { firing, next } => {
                schedule.fired = firing.number;
                schedule.open.push(*firing);
                schedule.next = *next;
                if firing.moment.is_some() {
                    schedule.counted = at;
                }
            }
            ScheduleEvent::Started { number } => came_to(*number, None),
            ScheduleEvent::Failed { number, reason } => came_to(*number, Some(reason.clone())),
            ScheduleEvent::Paused { by } => schedule.paused = Some(*by),
            ScheduleEvent::Resumed { next, .. } => {
                schedule.paused = None;
                schedule.next = *next;
                schedule.counted = at;
            }
            ScheduleEvent::Skipped { next, .. } | ScheduleEvent::Moved { next } => {
                schedule.next = *next;
                schedule.counted = at;
            }
            ScheduleEvent::Removed { .. } => self.removed = true,
        }
    }

    /// The summary that is due, and the last event that is no longer needed when it is written.
    pub(crate) fn summary(&self) -> Option<(ScheduleEvent, EventSeq)> {
        let schedule = self.schedule.as_ref().filter(|_| self.seq.0 >= self.summary.0 + SUMMED_UP)?;
        let summary = ScheduleEvent::Summary { schedule: Box::new(schedule.clone()) };
        Some((summary, EventSeq(self.summary.0.saturating_sub(1))))
    }
}
