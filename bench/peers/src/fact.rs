//! What is compared, and what a side found out about it.

use serde::{Deserialize, Serialize};

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fact {
    /// From the guest's bytes to its result.
    FirstResult,
    /// One more, when all that can be prepared is, until it is gone.
    Start,
    /// A message to one that is alive, and its answer.
    Call,
    /// One of a thousand that all run is cancelled, until it is gone.
    CancelBusy,
    /// How many of the others ended with it.
    DiedBusy,
    /// The one that runs is cancelled, the others wait.
    CancelWaiting,
    /// How many of the others ended with it.
    DiedWaiting,
    /// One of a thousand that all wait is cancelled, until it is gone.
    CancelParked,
    /// What the program is told of the one that it cancelled.
    Reason,
    /// A loop without an end that may take a second.
    RunawayTime,
    /// A loop without an end that may take so many steps.
    RunawaySteps,
    /// What is known of a child's share of what its parent took.
    Account,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds by the wall.
    Micros,
    /// Of the other 999.
    Others,
    /// Microseconds, of which only the middle is of interest.
    Middle,
}

/// All rows, in the order of the table.
pub(crate) const ALL: [Fact; 12] = [
    Fact::FirstResult,
    Fact::Start,
    Fact::Call,
    Fact::CancelBusy,
    Fact::DiedBusy,
    Fact::CancelWaiting,
    Fact::DiedWaiting,
    Fact::CancelParked,
    Fact::Reason,
    Fact::RunawayTime,
    Fact::RunawaySteps,
    Fact::Account,
];

impl Fact {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::FirstResult => "first result, from the program's bytes, with nothing prepared: p50",
            Self::Start => "one more, prepared: start, work, result, gone: p50 / p99",
            Self::Call => "message to a live one, work, answer: p50 / p99",
            Self::CancelBusy => "cancel 1 of 1 000 that all run, until it is gone: p50 / p99",
            Self::DiedBusy => "of the other 999, ended with it",
            Self::CancelWaiting => "cancel the 1 of 1 000 that runs, while 999 wait: p50 / p99",
            Self::DiedWaiting => "of the 999 that waited, ended with it",
            Self::CancelParked => "cancel 1 of the 1 000 that waits, until it is gone: p50 / p99",
            Self::Reason => "what the program is told of the one it cancelled",
            Self::RunawayTime => "a loop without an end, 1 s allowed",
            Self::RunawaySteps => "a loop without an end, so many steps allowed",
            Self::Account => "a parent's account of its child's share",
        }
    }

    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::FirstResult | Self::RunawayTime | Self::RunawaySteps => Unit::Middle,
            Self::DiedBusy | Self::DiedWaiting => Unit::Others,
            Self::Start
            | Self::Call
            | Self::CancelBusy
            | Self::CancelWaiting
            | Self::CancelParked
            | Self::Reason
            | Self::Account => Unit::Micros,
        }
    }
}

/// What a side found out in one of its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) fact: Fact,
    /// In the fact's unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) samples: Vec<f64>,
    /// In words; those of the side's own interface stand between backticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

impl Finding {
    pub(crate) fn of(fact: Fact, samples: Vec<f64>) -> Self {
        Self { fact, samples, text: None }
    }

    pub(crate) fn text(fact: Fact, text: impl Into<String>) -> Self {
        Self { fact, samples: Vec::new(), text: Some(text.into()) }
    }

    pub(crate) fn both(fact: Fact, sample: f64, text: impl Into<String>) -> Self {
        Self { fact, samples: vec![sample], text: Some(text.into()) }
    }
}
