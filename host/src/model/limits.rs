//! What a task may use up. The operator's limits only ever shrink: nothing raises them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wire::{maybe_millis, millis};

/// About how many units of fuel a present-day core burns in a second.
///
/// Measured on x86-64: 6 × 10⁹ for the `digest` plugin, which works on text, 15 × 10⁹ for tight loops over integers. It
/// serves to show fuel to people and for nothing else; bulk operations are charged by the byte.
pub const FUEL_PER_CPU_SECOND: u64 = 10_000_000_000;

/// Makes the two structs, their default, and the list of names from one table, so that no limit can be forgotten in one
/// of them.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr, $wire:literal, $unit:ident $(, $with:literal, $maybe:literal)?;)+) => {
        /// What one task may use. [`Limits::default`] is the operator's default; see each field.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct Limits {
            $($(#[doc = $doc])+ #[serde(rename = $wire $(, with = $with)?)] pub $name: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Limits {
            /// These limits, each lowered to the request's where that is lower. A higher wish changes nothing.
            #[must_use]
            pub fn lowered_to(self, request: LimitsRequest) -> Self {
                Self { $($name: request.$name.map_or(self.$name, |wish| wish.min(self.$name)),)+ }
            }

            $($(#[doc = $doc])+
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.$name = $name;
                self
            })+

            /// These limits, each replaced by the request's where it has one, higher or lower. For operators only.
            #[must_use]
            pub fn replaced_by(self, request: LimitsRequest) -> Self {
                Self { $($name: request.$name.unwrap_or(self.$name),)+ }
            }
        }

        impl From<Limits> for LimitsRequest {
            /// A wish for exactly these limits.
            fn from(limits: Limits) -> Self {
                Self { $($name: Some(limits.$name),)+ }
            }
        }

        /// Limits that an operator sets for a plugin, a plugin's manifest for a task type, or a start request for a
        /// task; `None` leaves a limit as it is. On the wire durations are milliseconds, and their names end in `_ms`.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub struct LimitsRequest {
            $(
                $(#[doc = $doc])+
                #[serde(default, rename = $wire, $(with = $maybe,)? skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )+
        }

        impl LimitsRequest {
            /// Every limit there is: its name on the wire, what it counts, and what it is for.
            pub const ALL: &'static [LimitInfo] = &[
                $(LimitInfo { name: $wire, unit: LimitUnit::$unit, about: concat!($($doc, "\n"),+) },)+
            ];

            $($(#[doc = $doc])+
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.$name = Some($name);
                self
            })+

            /// Whether it leaves every limit as it is.
            pub(crate) fn is_empty(&self) -> bool {
                $(self.$name.is_none())&&+
            }

            /// These wishes, and the given ones where this has none.
            #[must_use]
            pub fn or(self, default: Self) -> Self {
                Self { $($name: self.$name.or(default.$name),)+ }
            }
        }
    };
}

/// One limit, for whoever lists them or reads them from a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitInfo {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it counts.
    pub unit: LimitUnit,
    /// What it is for, in a sentence or two.
    pub about: &'static str,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitUnit {
    /// Units of fuel.
    Fuel,
    /// Milliseconds.
    Time,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
}

limits! {
    /// Units of fuel, about one for a simple instruction. Default 10¹², one or two minutes of CPU. Protects the machine
    /// from the guest.
    fuel: u64 = 1_000_000_000_000, "fuel", Fuel;
    /// Units of fuel that a task gets in addition when it asks, without anybody being asked. Default none: then each
    /// request waits for an answer.
    fuel_on_request: u64 = 0, "fuel_on_request", Fuel;
    /// Units of fuel that a daemon burns in an hour; then it stands still until the next one. Default 10¹². It burns no
    /// more than `fuel` at once either. Other tasks have theirs for their whole life. Protects the machine from the guest.
    fuel_per_hour: u64 = 1_000_000_000_000, "fuel_per_hour", Fuel;
    /// Wall time from the start to the end; waiting counts, a pause and a fuel request do not. Default one hour.
    /// Protects the caller from a task that never ends.
    timeout: Duration = Duration::from_hours(1), "timeout_ms", Time, "millis", "maybe_millis";
    /// Wall time without any call of the host, after which a task that is not parked is given up. Default ten minutes.
    /// Protects the caller from a task that hangs.
    idle: Duration = Duration::from_mins(10), "idle_ms", Time, "millis", "maybe_millis";
    /// Wall time of burning fuel without any call of the host, after which an event says so. Default one minute.
    stall: Duration = Duration::from_mins(1), "stall_ms", Time, "millis", "maybe_millis";
    /// Bytes of all linear memories together. Default 128 MiB. Protects the machine from the guest.
    memory_bytes: u64 = 128 << 20, "memory_bytes", Bytes;
    /// Elements of all tables together. Default 100 000. Protects the machine from the guest.
    table_elements: u64 = 100_000, "table_elements", Count;
    /// Bytes that cross in one call of the host. Default 4 MiB. Protects the host's memory.
    call_bytes: u64 = 4 << 20, "call_bytes", Bytes;
    /// Bytes of the input, as JSON. Default 4 MiB. Protects the guest and the event log.
    input_bytes: u64 = 4 << 20, "input_bytes", Bytes;
    /// Bytes of a result, and of an error's details. Default 4 MiB. Protects the host and whoever reads
    /// the outcome.
    result_bytes: u64 = 4 << 20, "result_bytes", Bytes;
    /// Handles that the guest's component may hold at once. Default 10 000. Protects the host's memory.
    handles: u32 = 10_000, "handles", Count;
    /// WASI resources at once: open files, streams, pollables. Default 4 096. Protects the host's memory and its
    /// descriptors.
    resources: u32 = 4096, "resources", Count;
    /// Random bytes in one call. Default 64 KiB. Protects the host's time.
    random_bytes: u64 = 64 << 10, "random_bytes", Bytes;
    /// Bytes of stdout, and again of stderr and the log, that are kept in memory: the newest. Default
    /// 1 MiB. Protects the host's memory.
    output_bytes: u64 = 1 << 20, "output_bytes", Bytes;
    /// Bytes of older stdout, stderr and log together that are kept on disk; with 0 they are lost. Default 64 MiB.
    /// Protects the host's disk.
    spill_bytes: u64 = 64 << 20, "spill_bytes", Bytes;
    /// Progress events in a second; reports between them are merged. Default 20. Protects the event log.
    progress_per_second: u32 = 20, "progress_per_second", Count;
    /// Other events in a second; a task that makes more waits. Default 1 000. Protects the event log.
    events_per_second: u32 = 1000, "events_per_second", Count;
    /// Events in the task's log, after which it may not write more. Default 100 000. Protects the host's memory.
    log_events: u64 = 100_000, "log_events", Count;
    /// Bytes of texts and payloads in the task's log, after which it may not write more. Default 16 MiB. Protects the
    /// host's memory.
    log_bytes: u64 = 16 << 20, "log_bytes", Bytes;
    /// Signals kept for one key. Default 64. Protects the host from a noisy sender.
    signals_per_key: u32 = 64, "signals_per_key", Count;
    /// Signals kept for the task in all. Default 1 024.
    signals_in_all: u32 = 1024, "signals_in_all", Count;
    /// Bytes of all kept signals' payloads. Default 1 MiB.
    signal_bytes: u64 = 1 << 20, "signal_bytes", Bytes;
    /// Bytes of all files in the scratch directory. Default 256 MiB. Protects the host's disk.
    scratch_bytes: u64 = 256 << 20, "scratch_bytes", Bytes;
    /// Files, directories and links in the scratch directory. Default 10 000. Protects the host's disk.
    scratch_inodes: u64 = 10_000, "scratch_inodes", Count;
    /// Directories within each other in the scratch directory. Default 64. Protects whoever has to remove them.
    scratch_depth: u32 = 64, "scratch_depth", Count;
    /// Files that the task attaches. Default 1 024. Protects the host's disk from empty files.
    artifacts: u32 = 1024, "artifacts", Count;
    /// Tokens of a model that the task may record. Default no limit.
    tokens: u64 = u64::MAX, "tokens", Count;
    /// Actions of a tool that the task may record. Default no limit.
    actions: u64 = u64::MAX, "actions", Count;
    /// Children that the task may have at once. Default 64. Protects the host from a task that starts without end.
    children: u32 = 64, "children", Count;
    /// Children that the task may start in its life. Default 4 096. Protects the host's memory.
    children_in_all: u32 = 4096, "children_in_all", Count;
    /// Tasks of its tree at once, the first of all included; they are counted there also when that has ended. Default 256.
    /// Protects the host from a fork bomb.
    tree: u32 = 256, "tree", Count;
    /// Tasks between it and its oldest ancestor. Default 8.
    tree_depth: u32 = 8, "tree_depth", Count;
    /// Bytes of all artifacts together. Default 256 MiB.
    artifact_bytes: u64 = 256 << 20, "artifact_bytes", Bytes;
    /// Files that the task gets along. Default 64. Protects the host's disk.
    attachments: u32 = 64, "attachments", Count;
    /// Bytes of those files together. Default 256 MiB. Protects the host's disk.
    attachment_bytes: u64 = 256 << 20, "attachment_bytes", Bytes;
    /// Messages to the agent that nobody has taken. Default 1 024. Protects the host's memory.
    agent_messages: u32 = 1024, "agent_messages", Count;
    /// Bytes of those messages. Default 1 MiB.
    agent_message_bytes: u64 = 1 << 20, "agent_message_bytes", Bytes;
    /// Bytes of one body that the task sends or receives over HTTP. Default 64 MiB. Protects the network, and the guest from an
    /// endless answer.
    http_body_bytes: u64 = 64 << 20, "http_body_bytes", Bytes;
    /// Bytes of all such bodies together, both ways, of one attempt. Default 256 MiB. Protects the network.
    http_bytes: u64 = 256 << 20, "http_bytes", Bytes;
    /// Requests that are open at once, until their answers are read or dropped. Default 16. Protects the host's descriptors and
    /// whoever answers.
    http_connections: u32 = 16, "http_connections", Count;
    /// Units of fuel that answers to its requests for fuel may add in all, when they are decided like an approval.
    /// Default 10¹². Protects the machine from whoever says yes too easily.
    fuel_on_approval: u64 = 1_000_000_000_000, "fuel_on_approval", Fuel;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_request_lowers_and_never_raises() {
        let operator = Limits::default();
        let greedy = LimitsRequest {
            fuel: Some(u64::MAX),
            timeout: Some(Duration::MAX),
            memory_bytes: Some(u64::MAX),
            ..LimitsRequest::default()
        };
        assert_eq!(operator.lowered_to(greedy), operator);
        let modest = LimitsRequest { fuel: Some(10), ..LimitsRequest::default() };
        assert_eq!(operator.lowered_to(modest), Limits { fuel: 10, ..operator });
    }

    #[test]
    fn an_operator_raises_and_lowers() {
        let changed = Limits::default().replaced_by(LimitsRequest {
            fuel: Some(u64::MAX),
            handles: Some(1),
            ..LimitsRequest::default()
        });
        assert_eq!(changed, Limits { fuel: u64::MAX, handles: 1, ..Limits::default() });
        assert_eq!(Limits::default().replaced_by(LimitsRequest::from(changed)), changed);
    }

    #[test]
    fn a_request_comes_before_the_manifests_defaults() {
        let request = LimitsRequest { fuel: Some(20), ..LimitsRequest::default() };
        let manifest = LimitsRequest { fuel: Some(10), memory_bytes: Some(5), ..LimitsRequest::default() };
        assert_eq!(request.or(manifest), LimitsRequest { fuel: Some(20), memory_bytes: Some(5), ..request });
    }

    #[test]
    fn the_wire_speaks_milliseconds() {
        let request: LimitsRequest = serde_json::from_str(r#"{"timeout_ms": 1500}"#).unwrap();
        assert_eq!(request.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"timeout_ms":1500}"#);
    }

    /// What the manifest's schema lists is what is read from a manifest, with the same bounds.
    #[test]
    fn the_manifests_schema_lists_every_limit() {
        let schema: Value = serde_json::from_str(include_str!("../../../wit/manifest.schema.json")).unwrap();
        let listed = schema["$defs"]["task"]["properties"]["limits"]["properties"].as_object().unwrap();
        let mut names: Vec<&str> = LimitsRequest::ALL.iter().map(|limit| limit.name).collect();
        names.sort_unstable();
        assert_eq!(listed.keys().collect::<Vec<_>>(), names);
        for (name, schema) in listed {
            let reads = |value: &Value| serde_json::from_value::<LimitsRequest>(json!({ name: value }));
            let least = reads(&schema["minimum"]).unwrap();
            assert_ne!(least, LimitsRequest::default(), "{name} is not read");
            let most = schema["maximum"].as_u64().unwrap_or(u64::MAX);
            assert!(reads(&json!(most)).is_ok(), "{name} is at most {most}");
            assert!(most.checked_add(1).is_none_or(|more| reads(&json!(more)).is_err()), "{name} may be over {most}");
        }
    }
}
