//! Schedules, as they are added and listed.

use serde::{Deserialize, Serialize};

use crate::{Overlap, Schedule, ScheduleRequest, StartRequest, When};

/// `POST /v1/schedules`: a schedule to add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// What people call it; no two have the same name.
    pub name: String,
    /// When it fires.
    pub when: When,
    /// The task that it starts.
    pub task: StartRequest,
    /// What becomes of a moment at which the task of the last one still lives.
    #[serde(default)]
    pub overlap: Overlap,
    /// Whether a schedule of the same name and content stands for this one.
    #[serde(default)]
    pub keep_same: bool,
}

impl From<NewSchedule> for ScheduleRequest {
    fn from(NewSchedule { name, when, task, overlap, keep_same }: NewSchedule) -> Self {
        Self { name, when, task, overlap, keep_same }
    }
}

/// `GET /v1/schedules`: all of them, by the time when they were added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScheduleList {
    /// Each of them.
    pub schedules: Vec<Schedule>,
}
