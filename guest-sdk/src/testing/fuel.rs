//! The fake host's fuel, and its answers to a task that asks for more.

use std::collections::VecDeque;
use std::time::Duration;

use super::records::FuelRequest;

/// What a fake task is given unless the test says otherwise.
const BUDGET: u64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Fuel {
    /// With what was added.
    pub(super) budget: u64,
    pub(super) used: u64,
    /// What the task uses between two looks at its fuel.
    pub(super) burned_at_each_look: u64,
    /// For the next requests, the first one first.
    pub(super) answers: VecDeque<Answer>,
    pub(super) requests: Vec<FuelRequest>,
}

/// What somebody will say to a request.
#[derive(Debug)]
pub(super) struct Answer {
    /// How long after the request.
    pub(super) after: Duration,
    /// The units that are added, or why none are.
    pub(super) units: Result<u64, String>,
}

impl Default for Fuel {
    fn default() -> Self {
        Self { budget: BUDGET, used: 0, burned_at_each_look: 0, answers: VecDeque::new(), requests: Vec::new() }
    }
}

impl Fuel {
    pub(super) fn remaining(&self) -> u64 {
        self.budget.saturating_sub(self.used)
    }

    /// Uses fuel, and no more than there is.
    pub(super) fn burn(&mut self, units: u64) {
        self.used = self.used.saturating_add(units).min(self.budget);
    }

    pub(super) fn look(&mut self) -> u64 {
        self.burn(self.burned_at_each_look);
        self.remaining()
    }

    pub(super) fn add(&mut self, units: u64) {
        self.budget = self.budget.saturating_add(units);
    }
}
