//! What a task may use up. The operator's limits only ever shrink: nothing raises them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// About how many units of fuel a present-day core burns in a second.
///
/// Measured on x86-64: 6 × 10⁹ for the `digest` plugin, which works on text, 15 × 10⁹ for tight loops over integers. It
/// serves to show fuel to people and for nothing else; bulk operations are charged by the byte.
pub const FUEL_PER_CPU_SECOND: u64 = 10_000_000_000;

/// What one task may use. [`Limits::default`] is the operator's default; see each field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Units of fuel, about one for a simple instruction. Default 10¹², one or two minutes of CPU. Protects the machine from the
    /// guest.
    pub fuel: u64,
    /// Wall time from the start to the end; waiting counts. Default one hour. Protects the caller from a task that
    /// never ends.
    pub timeout: Duration,
    /// Bytes of all linear memories together. Default 128 MiB. Protects the machine from the guest.
    pub memory_bytes: u64,
    /// Elements of all tables together. Default 100 000. Protects the machine from the guest.
    pub table_elements: u64,
    /// Bytes of a result, of an error's details, and of one message. Default 4 MiB. Protects the host and whoever reads
    /// the outcome.
    pub result_bytes: u64,
    /// Bytes of stdout, and again of stderr and the log, that are kept: the newest. Default 1 MiB.
    pub output_bytes: u64,
    /// Signals kept for one key. Default 64. Protects the host from a noisy sender.
    pub signals_per_key: u32,
    /// Signals kept for the task in all. Default 1 024.
    pub signals_in_all: u32,
    /// Bytes of all artifacts together. Default 256 MiB.
    pub artifact_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 1_000_000_000_000,
            timeout: Duration::from_hours(1),
            memory_bytes: 128 << 20,
            table_elements: 100_000,
            result_bytes: 4 << 20,
            output_bytes: 1 << 20,
            signals_per_key: 64,
            signals_in_all: 1024,
            artifact_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// These limits, each lowered to the request's where that is lower. A higher wish changes nothing.
    #[must_use]
    pub fn lowered_to(self, request: LimitsRequest) -> Self {
        Self {
            fuel: request.fuel.map_or(self.fuel, |fuel| fuel.min(self.fuel)),
            timeout: request.timeout.map_or(self.timeout, |timeout| timeout.min(self.timeout)),
            memory_bytes: request.memory_bytes.map_or(self.memory_bytes, |bytes| bytes.min(self.memory_bytes)),
            ..self
        }
    }
}

/// Limits that a plugin's manifest or a start request asks for; `None` leaves a limit as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsRequest {
    /// Units of fuel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Wall time from start to end; on the wire in milliseconds.
    #[serde(default, rename = "timeout_ms", with = "millis", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Bytes of all linear memories together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

impl LimitsRequest {
    /// These wishes, and the given ones where this has none.
    #[must_use]
    pub fn or(self, default: Self) -> Self {
        Self {
            fuel: self.fuel.or(default.fuel),
            timeout: self.timeout.or(default.timeout),
            memory_bytes: self.memory_bytes.or(default.memory_bytes),
        }
    }
}

mod millis {
    //! A duration as whole milliseconds.

    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "the shape serde asks for")]
    pub(super) fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        value.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_lowers_and_never_raises() {
        let operator = Limits::default();
        let greedy = LimitsRequest { fuel: Some(u64::MAX), timeout: Some(Duration::MAX), memory_bytes: Some(u64::MAX) };
        assert_eq!(operator.lowered_to(greedy), operator);
        let modest = LimitsRequest { fuel: Some(10), ..LimitsRequest::default() };
        assert_eq!(operator.lowered_to(modest), Limits { fuel: 10, ..operator });
    }

    #[test]
    fn a_request_comes_before_the_manifests_defaults() {
        let request = LimitsRequest { fuel: Some(20), ..LimitsRequest::default() };
        let manifest = LimitsRequest { fuel: Some(10), memory_bytes: Some(5), ..LimitsRequest::default() };
        assert_eq!(request.or(manifest), LimitsRequest { fuel: Some(20), memory_bytes: Some(5), timeout: None });
    }

    #[test]
    fn the_wire_speaks_milliseconds() {
        let request: LimitsRequest = serde_json::from_str(r#"{"timeout_ms": 1500}"#).unwrap();
        assert_eq!(request.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"timeout_ms":1500}"#);
    }
}
