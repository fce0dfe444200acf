//! A task that was done elsewhere, and is recorded here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::request::StartRequest;
use super::wire::millis;

/// Tools of one report.
pub(crate) const TOOLS_MAX: usize = 256;

/// What was done elsewhere, by whatever means: it is kept, listed and told like a task of this host that has ended.
///
/// ```
/// use std::time::Duration;
/// use taskcell::{ExternalReport, Outcome, StartRequest};
///
/// let what = StartRequest::new("browser", "research").input(serde_json::json!({"topic": "fuel"}));
/// let outcome = Outcome::Succeeded { message: "read 12 pages".into(), data: None };
/// let report = ExternalReport::new(what, outcome, Duration::from_secs(95)).tool("search", 1_250, 3);
/// assert_eq!(report.tools.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExternalReport {
    /// What was asked for. Only the names, the key, the input and the details count: it is not held against any plugin,
    /// which there need not be.
    pub request: StartRequest,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// The tools it used, and what they spent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolUse>,
}

/// What was spent with a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolUse {
    /// Its name.
    pub tool: String,
    /// Tokens of a model.
    #[serde(default)]
    pub tokens: u64,
    /// Actions.
    #[serde(default)]
    pub actions: u64,
}

impl ExternalReport {
    /// That something ended so, after so long.
    pub fn new(request: StartRequest, outcome: Outcome, duration: Duration) -> Self {
        Self { request, outcome, duration, tools: Vec::new() }
    }

    /// That it used a tool, with so many tokens and actions.
    #[must_use]
    pub fn tool(mut self, tool: impl Into<String>, tokens: u64, actions: u64) -> Self {
        self.tools.push(ToolUse { tool: tool.into(), tokens, actions });
        self
    }
}
