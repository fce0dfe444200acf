//! Tasks that are started at their times: what a caller says about a schedule, and what becomes of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cron::{CronError, CronTimes};
use super::ids::{ScheduleId, TaskId};
use super::request::StartRequest;
use super::signal::Party;
use super::time::Timestamp;
use super::wire::millis;

/// Bytes of a schedule's name.
const NAME_BYTES_MAX: usize = 256;
/// Bytes of a schedule's request, as JSON. Protects the host's memory: it is in the schedule's state and in its log.
pub(crate) const REQUEST_BYTES_MAX: u64 = 64 << 10;

/// When a schedule fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "when", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum When {
    /// Once, at this moment. One that is over has come.
    At {
        /// The moment.
        at: Timestamp,
    },
    /// Once, when this time has passed since the schedule was added.
    After {
        /// The time.
        #[serde(rename = "after_ms", with = "millis")]
        after: Duration,
    },
    /// Again and again, at the moments that a cron expression names.
    Every {
        /// Minute, hour, day of the month, month and day of the week, or a word such as `@daily`.
        cron: String,
        /// The time zone's name in the IANA database.
        zone: String,
    },
}

impl When {
    /// Whether it fires more than once.
    pub(crate) fn is_every(&self) -> bool {
        matches!(self, Self::Every { .. })
    }

    /// The first moment that it names after this one.
    pub(crate) fn after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::At { .. } | Self::After { .. } => None,
            Self::Every { cron, zone } => CronTimes::parse(cron, zone).ok()?.next_after(after),
        }
    }

    /// The first moment of a schedule that is added now.
    pub(crate) fn first(&self, now: Timestamp) -> Result<Timestamp, CronError> {
        match self {
            Self::At { at } => Ok(*at),
            Self::After { after } => Ok(now.after(*after)),
            Self::Every { cron, zone } => {
                let never = || CronError::Never { expression: cron.clone() };
                CronTimes::parse(cron, zone)?.next_after(now).ok_or_else(never)
            }
        }
    }
}

/// What becomes of a moment at which the task of the last one still lives, or the one that was last fired by hand. Only for
/// schedules that fire again and again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Overlap {
    /// The moment is left out, and an event says so.
    #[default]
    Skip,
    /// Another task is started beside it.
    Allow,
}

/// A schedule to add.
///
/// ```
/// use std::time::Duration;
/// use taskcell::{ScheduleRequest, StartRequest};
///
/// let task = StartRequest::new("digest", "digest");
/// let nightly = ScheduleRequest::every("nightly digest", "30 2 * * *", "Europe/Berlin", task.clone());
/// let soon = ScheduleRequest::after("digest soon", Duration::from_secs(600), task);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ScheduleRequest {
    /// What people call it; no two have the same name. 1 to 256 bytes without control characters.
    pub name: String,
    /// When it fires.
    pub when: When,
    /// The task that it starts.
    pub task: StartRequest,
    /// What becomes of a moment at which the task of the last one still lives.
    pub overlap: Overlap,
    /// Whether a schedule of the same name and content stands for this one.
    pub keep_same: bool,
}

impl ScheduleRequest {
    /// Starts the task once, at a moment. One that is over has come.
    pub fn at(name: impl Into<String>, at: Timestamp, task: StartRequest) -> Self {
        Self::new(name.into(), When::At { at }, task)
    }

    /// Starts the task once, when this time has passed since the schedule was added.
    pub fn after(name: impl Into<String>, after: Duration, task: StartRequest) -> Self {
        Self::new(name.into(), When::After { after }, task)
    }

    /// Starts the task again and again, at the moments that a cron expression names in a time zone.
    ///
    /// The expression has five fields (minute, hour, day of the month, month, day of the week) with `*`, lists, ranges,
    /// steps, names (`MON`, `JAN`), `L`, `W` and `#`, or is one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    /// The zone is a name of the IANA database, such as `UTC` or `Europe/Berlin`.
    pub fn every(
        name: impl Into<String>,
        cron: impl Into<String>,
        zone: impl Into<String>,
        task: StartRequest,
    ) -> Self {
        Self::new(name.into(), When::Every { cron: cron.into(), zone: zone.into() }, task)
    }

    fn new(name: String, when: When, task: StartRequest) -> Self {
        Self { name, when, task, overlap: Overlap::default(), keep_same: false }
    }

    /// With this rule for moments at which the task of the last one still lives.
    #[must_use]
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// When there is a schedule of this name with the same moments, task and rule already, adding gives its id and changes
    /// nothing. For programs that add their schedules whenever they start.
    #[must_use]
    pub fn keep_same(mut self) -> Self {
        self.keep_same = true;
        self
    }

    /// Whether it can be kept, and when it fires for the first time.
    pub(crate) fn check(&self, now: Timestamp) -> Result<Timestamp, ScheduleFault> {
        let name = &self.name;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(ScheduleFault::Name);
        }
        let details = &self.task.details;
        let own = [
            (details.parent.is_some(), "parent"),
            (details.schedule.is_some(), "schedule"),
            (details.run_at.is_some() || self.task.run_after.is_some(), "moment to begin at"),
            (details.idempotency_key.is_some(), "idempotency key"),
        ];
        if let Some((_, what)) = own.into_iter().find(|(given, _)| *given) {
            return Err(ScheduleFault::OnlyOnce { what });
        }
        let size = serde_json::to_string(&self.task).map_or(u64::MAX, |text| text.len() as u64);
        if size > REQUEST_BYTES_MAX {
            return Err(ScheduleFault::TooLarge { size, max: REQUEST_BYTES_MAX });
        }
        Ok(self.when.first(now)?)
    }
}

/// What is wrong with a schedule that shall be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleFault {
    /// The name is not fit to be kept.
    #[error("the name of a schedule has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    Name,
    /// It names no moments.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// The request holds something that only one task can have.
    #[error("the request of a schedule has no {what} of its own, because it is started more than once")]
    OnlyOnce {
        /// What.
        what: &'static str,
    },
    /// The request is too large to be kept.
    #[error(
        "the request has {size} bytes, and that of a schedule at most {max}; put its input into a file and grant its folder"
    )]
    TooLarge {
        /// Its size in bytes, as JSON.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
}

/// Which schedule started a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScheduledBy {
    /// The schedule.
    pub id: ScheduleId,
    /// What people call it.
    pub name: String,
    /// Which of its firings it was, counted from 1.
    pub firing: u64,
    /// The moment that it was for; `None` when somebody fired it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<Timestamp>,
}

/// One start of a schedule's task. It is written down before the task is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Firing {
    /// Which one it is, counted from 1.
    pub number: u64,
    /// The moment that it was for, which may be long over; `None` when somebody fired it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<Timestamp>,
    /// The task's id.
    pub task: TaskId,
    /// When it was decided.
    pub at: Timestamp,
    /// Who fired it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
}

/// What came of a schedule's newest firing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastFiring {
    /// The firing.
    pub firing: Firing,
    /// Why its task could not be started; `None` when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A schedule, as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// What people call it.
    pub name: String,
    /// When it fires.
    pub when: When,
    /// The task that it starts.
    pub task: StartRequest,
    /// What becomes of a moment at which the task of the last one still lives.
    pub overlap: Overlap,
    /// When it was added.
    pub created: Timestamp,
    /// Who paused it, while it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Party>,
    /// When it fires next, unless it is paused then; `None` when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// Firings whose tasks are being started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Firing>,
    /// The newest firing that came to something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastFiring>,
    /// How many firings there were.
    #[serde(default)]
    pub fired: u64,
    /// The newest firing for a moment whose task was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_started: Option<Firing>,
    /// The date from which the next moment was found: it shows when the date has gone back.
    pub(crate) counted: Timestamp,
}

impl Schedule {
    /// A schedule that is added now.
    pub(crate) fn new(id: ScheduleId, request: ScheduleRequest, now: Timestamp, next: Timestamp) -> Self {
        let ScheduleRequest { name, when, task, overlap, keep_same: _ } = request;
        Self {
            id,
            name,
            when,
            task,
            overlap,
            created: now,
            paused: None,
            next: Some(next),
            open: Vec::new(),
            last: None,
            fired: 0,
            last_started: None,
            counted: now,
        }
    }

    /// Whether it will not fire again by itself, and nothing of it is under way.
    pub fn is_over(&self) -> bool {
        self.next.is_none() && self.open.is_empty()
    }

    /// Whether it is what a request asks for.
    pub(crate) fn is_same(&self, request: &ScheduleRequest) -> bool {
        self.name == request.name
            && self.when == request.when
            && self.task == request.task
            && self.overlap == request.overlap
    }

    /// The request for the task of a firing.
    pub(crate) fn request(&self, firing: &Firing) -> StartRequest {
        let mut request = self.task.clone();
        request.details.schedule =
            Some(ScheduledBy { id: self.id, name: self.name.clone(), firing: firing.number, moment: firing.moment });
        request
    }
}

/// A schedule in the list of those that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ListedSchedule {
    /// Its id.
    pub id: ScheduleId,
    /// What people call it.
    pub name: String,
}

/// What can happen to a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScheduleEvent {
    /// It was added.
    #[non_exhaustive]
    Created {
        /// As it is at first.
        schedule: Box<Schedule>,
    },
    /// Its moment has come, or somebody fired it by hand: the task with this id is being started.
    #[non_exhaustive]
    Firing {
        /// Which firing it is.
        firing: Firing,
        /// When it fires next.
        next: Option<Timestamp>,
    },
    /// The task of a firing exists.
    #[non_exhaustive]
    Started {
        /// Which firing.
        number: u64,
    },
    /// The task of a firing could not be started, and will not be. The schedule goes on.
    #[non_exhaustive]
    Failed {
        /// Which firing.
        number: u64,
        /// Why.
        reason: String,
    },
    /// Its moment has come, and nothing was started, because the task of the last one still lives.
    #[non_exhaustive]
    Skipped {
        /// The moment.
        moment: Timestamp,
        /// The task.
        running: TaskId,
        /// When it fires next.
        next: Option<Timestamp>,
    },
    /// It fires no more until it is resumed.
    #[non_exhaustive]
    Paused {
        /// Who wanted that.
        by: Party,
    },
    /// It goes on. What was missed meanwhile is not made up for.
    #[non_exhaustive]
    Resumed {
        /// Who let it.
        by: Party,
        /// When it fires next.
        next: Option<Timestamp>,
    },
    /// The date has gone back, and so has its next moment.
    #[non_exhaustive]
    Moved {
        /// When it fires next.
        next: Option<Timestamp>,
    },
    /// It was removed. Nothing follows.
    #[non_exhaustive]
    Removed {
        /// By whom.
        by: Party,
    },
    /// What it has come to. Everything before may be forgotten.
    #[non_exhaustive]
    Summary {
        /// As it is now.
        schedule: Box<Schedule>,
    },
}
