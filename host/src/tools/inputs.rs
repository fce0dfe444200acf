//! What each tool takes. The schemas that a model sees are made of these.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::model::signal::present;

/// The longest that a call waits: ten minutes, after which most clients give up by themselves.
pub(super) const WAIT_MS_MAX: u64 = 600_000;
/// Tasks on one page.
pub(super) const PAGE_MAX: u32 = 40;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Types {
    /// Only this plugin's.
    #[schemars(length(max = 256))]
    pub(super) plugin: Option<String>,
    /// Only this type, in full.
    #[schemars(length(max = 256))]
    pub(super) task_type: Option<String>,
    /// How many types to skip.
    pub(super) offset: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// The plugin's name.
    #[schemars(length(max = 256))]
    pub(super) plugin: String,
    /// The task type's name.
    #[schemars(length(max = 256))]
    pub(super) task_type: String,
    /// The input. It must match the type's schema.
    #[serde(default, with = "present")]
    #[schemars(with = "Value")]
    pub(super) input: Option<Value>,
    /// What people call this task.
    #[schemars(length(min = 1, max = 256))]
    pub(super) title: Option<String>,
    /// A name for this task: while it runs, no other of its type has it.
    #[schemars(length(min = 1, max = 256))]
    pub(super) key: Option<String>,
    /// How many milliseconds to wait for the outcome; 0 for not at all.
    #[schemars(range(max = WAIT_MS_MAX))]
    pub(super) wait_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct List {
    /// Those of all sessions.
    pub(super) all_sessions: bool,
    /// Only those that have not ended, or only those that have.
    pub(super) state: Option<LiveOrEnded>,
    /// Only this plugin's.
    #[schemars(length(max = 256))]
    pub(super) plugin: Option<String>,
    /// Only those of this type.
    #[schemars(length(max = 256))]
    pub(super) task_type: Option<String>,
    /// Where this page begins: next of the page before.
    #[schemars(length(max = 64))]
    pub(super) cursor: Option<String>,
    /// How many at most. Default 20.
    #[schemars(range(min = 1, max = PAGE_MAX))]
    pub(super) limit: Option<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LiveOrEnded {
    Live,
    Ended,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// The task's id.
    #[schemars(length(max = 64))]
    pub(super) task: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// The task's id.
    #[schemars(length(max = 64))]
    pub(super) task: String,
    /// How many milliseconds to wait at most. Default 30000.
    #[schemars(range(max = WAIT_MS_MAX))]
    pub(super) wait_ms: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Output {
    /// The task's id.
    #[schemars(length(max = 64))]
    pub(super) task: String,
    /// How many bytes of the end to show. Default 4000.
    #[schemars(range(min = 1, max = super::output::TAIL_BYTES_MAX))]
    pub(super) tail_bytes: Option<u32>,
    /// Only what came since: next of an earlier call.
    pub(super) after: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Notify {
    /// The task's id.
    #[schemars(length(max = 64))]
    pub(super) task: String,
    /// The key that the task waits for.
    #[schemars(length(min = 1, max = 256))]
    pub(super) key: String,
    /// What comes along.
    #[serde(default, with = "present")]
    #[schemars(with = "Value")]
    pub(super) payload: Option<Value>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Instruct {
    /// The task's id.
    #[schemars(length(max = 64))]
    pub(super) task: String,
    /// What to say.
    #[schemars(length(min = 1, max = 16_000))]
    pub(super) text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stop {
    /// The task's id.
    #[schemars(length(max = 64))]
    pub(super) task: String,
    /// Why.
    #[schemars(length(max = 500))]
    pub(super) reason: String,
    /// Stop it where it is, without time to tidy up.
    #[serde(default)]
    pub(super) force: bool,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Approvals {
    /// Those of all sessions.
    pub(super) all_sessions: bool,
    /// Only this task's.
    #[schemars(length(max = 64))]
    pub(super) task: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Approve {
    /// The task's id.
    #[schemars(length(max = 64))]
    pub(super) task: String,
    /// The question's number.
    pub(super) number: u64,
    /// What to do instead of what was asked for.
    #[serde(default, with = "present")]
    #[schemars(with = "Value")]
    pub(super) input: Option<Value>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Deny {
    /// The task's id.
    #[schemars(length(max = 64))]
    pub(super) task: String,
    /// The question's number.
    pub(super) number: u64,
    /// Why.
    #[schemars(length(max = 500))]
    pub(super) reason: String,
}

#[cfg(test)]
mod tests {
    use super::super::definition::Tool;
    use crate::model::schema::Schema;

    #[test]
    fn r4c_each_tool_s_example_is_right() {
        for tool in Tool::ALL {
            let schema = Schema::new(&tool.definition().input_schema, 64).unwrap();
            assert_eq!(schema.check(&tool.example()), Ok(()), "{tool:?}");
        }
    }
}
