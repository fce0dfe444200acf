//! Starting something once, however often it is asked for.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::approval::ApprovalAsk;
use super::attachment::{Attachment, AttachmentSource};
use super::details::TaskDetails;
use super::external::ExternalReport;
use super::ids::{SignalKey, TaskKey};
use super::limits::LimitsRequest;
use super::plan::Plan;
use super::request::StartRequest;
use super::signal::Signal;

/// An idempotency key, with the session that it belongs to; without one it is the whole host's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct OnceKey {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    key: String,
}

/// What a request asks for, in 32 bytes: it is remembered as this, and not as a copy of its input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

/// What makes two requests the same.
#[derive(Serialize)]
struct Asked<'a> {
    plugin: &'a str,
    task_type: &'a str,
    key: Option<&'a TaskKey>,
    input: &'a Value,
    limits: &'a LimitsRequest,
    details: TaskDetails,
    approval: Option<&'a ApprovalAsk>,
    signals: &'a [(SignalKey, Signal)],
    plan: Option<&'a Plan>,
    /// Folders need not have names that are texts, so these are written as Rust writes them.
    others: String,
}

impl OnceKey {
    /// The key of a request that has one.
    pub(crate) fn of(request: &StartRequest) -> Option<Self> {
        Self::of_details(&request.details)
    }

    /// The same, of the task that came of it.
    pub(crate) fn of_details(details: &TaskDetails) -> Option<Self> {
        let key = details.idempotency_key.clone()?;
        Some(Self { session: details.session.clone(), key })
    }
}

impl Fingerprint {
    /// Of a request as it was made. The order of an object's fields says nothing; nor does where its caller waits, or the
    /// trace in which it was sent, which is another one each time.
    pub(crate) fn of(request: &StartRequest) -> Self {
        let asked = Asked {
            plugin: &request.plugin,
            task_type: &request.task_type,
            key: request.key.as_ref(),
            input: &request.input,
            limits: &request.limits,
            details: TaskDetails { routing: None, trace: None, attachments: Vec::new(), ..request.details.clone() },
            approval: request.approval.as_ref(),
            signals: &request.signals,
            plan: request.plan.as_ref(),
            others: format!("{:?}", (&request.grants, request.run_after, request.on_key_in_use, files(request))),
        };
        let text = match serde_json::to_value(asked) {
            Ok(mut asked) => {
                asked.sort_all_objects();
                asked.to_string()
            }
            // Everything in it can be written; if that changes, this is as good.
            Err(_) => format!("{request:?}"),
        };
        Self(Sha256::digest(text).into())
    }

    /// Of something that was done elsewhere: another outcome is another report, and no report is a request.
    pub(crate) fn of_report(report: &ExternalReport) -> Self {
        let request = Self::of(&report.request);
        let rest = serde_json::to_value((&report.outcome, report.duration.as_millis(), &report.tools));
        let rest = rest.map_or_else(
            |_| format!("{report:?}"),
            |mut rest| {
                rest.sort_all_objects();
                rest.to_string()
            },
        );
        Self(Sha256::new().chain_update(b"report").chain_update(request.0).chain_update(rest).finalize().into())
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        super::wire::sha256(from).map(Self)
    }
}

/// The files that go along, the bytes among them by their digest.
fn files(request: &StartRequest) -> Vec<String> {
    let print = |file: &Attachment| {
        let source = match &file.source {
            AttachmentSource::Path(path) => hex::encode(path.as_os_str().as_encoded_bytes()),
            AttachmentSource::Bytes(bytes) => hex::encode(Sha256::digest(bytes)),
        };
        format!("{:?}", (&file.name, &file.media_type, &file.sha256, file.size, source))
    };
    request.attachments.iter().map(print).collect()
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::model::details::Routing;
    use crate::model::grants::Grants;
    use crate::model::plan::PlanStep;
    use crate::model::request::KeyPolicy;
    use crate::model::signal::Party;

    fn request() -> StartRequest {
        StartRequest::new("p", "t").input(json!({"a": 1, "b": [{"c": 2, "d": null}]})).session("s").once("k")
    }

    #[test]
    fn r10_the_same_request_sent_again_is_the_same() {
        let other_order = request().input(json!({"b": [{"d": null, "c": 2}], "a": 1}));
        let mut traced = request().routing(Routing::Foreground);
        traced.details.trace = Some("00-1-1-01".to_owned());
        for same in [request(), other_order, traced] {
            assert_eq!(Fingerprint::of(&same), Fingerprint::of(&request()), "{same:?}");
        }
    }

    #[test]
    fn r10_whatever_else_differs_makes_it_another() {
        let mut plugin = request();
        plugin.plugin = "q".to_owned();
        let signal = SignalKey::new("go").unwrap();
        let others = vec![
            plugin,
            StartRequest { task_type: "u".to_owned(), ..request() },
            request().key(TaskKey::new("k").unwrap()),
            request().input(json!({})),
            request().fuel(1),
            request().grants(Grants::default().kv()),
            request().grants(Grants::default().env("A", "1")),
            request().title("t"),
            request().plan(Plan::new("g").step(PlanStep::new("a"))),
            request().plan(Plan::new("g").step(PlanStep::new("b"))),
            request().enforce_plan(),
            request().planner("p"),
            request().label("a", "b"),
            request().run_after(Duration::from_secs(1)),
            request().on_key_in_use(KeyPolicy::Join),
            request().signal(signal.clone(), None, Party::Host),
            request().signal(signal.clone(), Some(Value::Null), Party::Host),
            request().signal(signal, None, Party::Person),
            request().attachment(Attachment::bytes("a", *b"x")),
            request().attachment(Attachment::bytes("a", *b"y")),
            request().attachment(Attachment::bytes("b", *b"x")),
            request().attachment(Attachment::bytes("a", *b"x").size(1)),
            request().attachment(Attachment::file("a", "x")),
            StartRequest { approval: Some(ApprovalAsk::new("start", "", "")), ..request() },
        ];
        let mut seen = vec![Fingerprint::of(&request())];
        for other in &others {
            let print = Fingerprint::of(other);
            assert!(!seen.contains(&print), "{other:?}");
            seen.push(print);
        }
    }

    #[test]
    fn r10_a_key_is_its_sessions() {
        assert_eq!(OnceKey::of(&StartRequest::new("p", "t")), None);
        let of = |request: StartRequest| OnceKey::of(&request).unwrap();
        assert_eq!(of(request()), of(request().input(json!({}))));
        assert_ne!(of(request()), of(request().session("other")));
        assert_ne!(of(request()), of(StartRequest::new("p", "t").once("k")));
    }
}
