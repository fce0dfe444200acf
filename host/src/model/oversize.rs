//! Results that are too large to be handed over as they are.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::limits::Limits;
use super::outcome::{CellEnd, Failure, FailureKind, GuestOutcome};
use super::snapshot::Artifact;
use super::text::shortened;

/// Bytes of what a document says beside the beginning of a result.
const FRAME_BYTES: u64 = 80;
/// Bytes of the beginning of a result that was stored.
const PREVIEW_BYTES: u64 = 1 << 10;
/// The name of a result that was stored.
const STORED_NAME: &str = "result.json";

/// What becomes of a result that is too large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OversizePolicy {
    /// The task fails, with [`FailureKind::OutputLimit`].
    #[default]
    Fail,
    /// Its beginning is handed over, as `{"clipped": true, "size": …, "text": "…"}`.
    Clip,
    /// It is stored among the task's artifacts, as `result.json`, and `{"stored": {"artifact": …, "size": …, "sha256": …},
    /// "preview": "…"}` is handed over. Read it with [`TaskHandle::read_artifact`](crate::TaskHandle::read_artifact). When the
    /// task's limits on artifacts leave no room for it, the task fails; the details of a failure are clipped then, and those of
    /// one after which the task is tried again always are.
    Store,
}

/// What is too large for a result, and what becomes of it then. Results so far and the details of errors count as well.
///
/// ```
/// use taskcell::{Oversize, OversizePolicy, StartRequest};
///
/// let request = StartRequest::new("digest", "digest").oversize(Oversize::new(OversizePolicy::Store).inline_bytes(64 << 10));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Oversize {
    /// What becomes of it. Unless it is [`OversizePolicy::Fail`], a result may cross from the task when it is within its limit
    /// `call_bytes`.
    pub policy: OversizePolicy,
    /// Bytes that are handed over, as JSON; without this, and at most, the task's limit `result_bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline_bytes: Option<u64>,
}

/// A result that is not handed over as it is.
#[derive(Debug, PartialEq)]
pub(crate) enum Excess {
    Fails(Failure),
    /// Its text, which is to be stored.
    Stores(String),
}

impl Oversize {
    /// This policy, for results that are larger than the task's limit.
    pub fn new(policy: OversizePolicy) -> Self {
        Self { policy, inline_bytes: None }
    }

    /// With this size instead of the task's limit.
    #[must_use]
    pub fn inline_bytes(mut self, bytes: u64) -> Self {
        self.inline_bytes = Some(bytes);
        self
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes that may cross when the guest returns.
    pub(crate) fn returned_max(self, limits: &Limits) -> u64 {
        match self.policy {
            OversizePolicy::Fail => limits.result_bytes,
            OversizePolicy::Clip | OversizePolicy::Store => limits.result_bytes.max(limits.call_bytes),
        }
    }

    fn inline_max(self, limits: &Limits) -> u64 {
        self.inline_bytes.unwrap_or(u64::MAX).min(limits.result_bytes)
    }

    /// Makes an end fit, as far as that can be done here.
    ///
    /// `again`: another attempt may follow. What this one failed with is not stored then: the files would stay, and take the
    /// place of what the task comes to in the end.
    pub(crate) fn fit(self, limits: &Limits, end: &mut CellEnd, again: bool) -> Option<Excess> {
        let max = self.inline_max(limits);
        // By default the cell has seen to it.
        let returned = match end {
            CellEnd::Returned(returned) if !self.is_default() => returned,
            CellEnd::Returned(_) | CellEnd::Failed(_) => return None,
        };
        let is_given_up = again && matches!(returned, GuestOutcome::Failed { retryable: true, .. });
        let (message, carried) = parts(returned);
        match self.policy {
            OversizePolicy::Fail => {}
            // What a person reads is not the result: only the task's limit cuts it.
            OversizePolicy::Clip | OversizePolicy::Store => {
                let bytes_max = usize::try_from(limits.result_bytes).unwrap_or(usize::MAX);
                let short = shortened(message, bytes_max).into_owned();
                *message = short;
            }
        }
        let text = carried.as_ref().map(Value::to_string).filter(|text| text.len() as u64 > max)?;
        match self.policy {
            OversizePolicy::Fail => {
                let message = format!("its result has {} bytes, and {max} are handed over", text.len());
                Some(Excess::Fails(Failure::at_limit(FailureKind::OutputLimit, "result_bytes", message)))
            }
            OversizePolicy::Store if !is_given_up => Some(Excess::Stores(text)),
            OversizePolicy::Clip | OversizePolicy::Store => {
                *carried = Some(clipped(&text, max));
                None
            }
        }
    }
}

/// The beginning of a result, and that it is one.
fn clipped(text: &str, max: u64) -> Value {
    let room = max.saturating_sub(FRAME_BYTES);
    json!({ "clipped": true, "size": text.len(), "text": beginning(text, room) })
}

/// What becomes of an end whose result could not be stored. A failure stays what it is, with the beginning of its details.
pub(crate) fn unstored(end: CellEnd, why: &str, limits: &Limits, oversize: Oversize) -> CellEnd {
    let CellEnd::Returned(GuestOutcome::Failed { message, error: Some(error), retryable }) = end else {
        return CellEnd::Failed(not_stored(why));
    };
    let error = Some(clipped(&error.to_string(), oversize.inline_max(limits)));
    CellEnd::Returned(GuestOutcome::Failed { message, error, retryable })
}

/// Puts a reference to what was stored in the place of a result.
pub(crate) fn refer(end: &mut CellEnd, artifact: &Artifact, text: &str, limits: &Limits, oversize: Oversize) {
    let CellEnd::Returned(returned) = end else { return };
    let room = oversize.inline_max(limits).saturating_sub(4 * FRAME_BYTES).min(PREVIEW_BYTES);
    let stored = json!({ "artifact": artifact.number, "size": artifact.size, "sha256": artifact.sha256 });
    *parts(returned).1 = Some(json!({ "stored": stored, "preview": beginning(text, room) }));
}

/// What a result is stored as.
pub(crate) fn stored_as(number: u32, size: u64, sha256: String) -> Artifact {
    Artifact { number, name: STORED_NAME.to_owned(), media_type: "application/json".to_owned(), sha256, size }
}

/// An end that cannot be handed over.
fn not_stored(why: &str) -> Failure {
    let message = format!("its result is too large to be handed over, and could not be stored: {why}");
    Failure::at_limit(FailureKind::OutputLimit, "result_bytes", message)
}

fn parts(returned: &mut GuestOutcome) -> (&mut String, &mut Option<Value>) {
    match returned {
        GuestOutcome::Succeeded { message, data } | GuestOutcome::Cancelled { message, data } => (message, data),
        GuestOutcome::Failed { message, error, .. } => (message, error),
    }
}

/// As much of a JSON text as has at most so many bytes when it is written as a JSON text once more.
fn beginning(text: &str, bytes_max: u64) -> &str {
    let mut left = bytes_max;
    let end = text.char_indices().find(|(_, c)| {
        let bytes = c.len_utf8() as u64 + u64::from(matches!(c, '"' | '\\'));
        let fits = left.checked_sub(bytes);
        left = fits.unwrap_or_default();
        fits.is_none()
    });
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn success(data: Value) -> CellEnd {
        CellEnd::Returned(GuestOutcome::Succeeded { message: "done".to_owned(), data: Some(data) })
    }

    fn failure(details: &Value, retryable: bool) -> CellEnd {
        CellEnd::Returned(GuestOutcome::Failed { message: "no".to_owned(), error: Some(details.clone()), retryable })
    }

    #[test]
    fn r45_what_an_attempt_fails_with_is_stored_only_when_no_other_follows() {
        let (limits, details) = (Limits::default(), json!("x".repeat(500)));
        let stores = Oversize::new(OversizePolicy::Store).inline_bytes(200);
        let mut end = failure(&details, true);
        assert_eq!(stores.fit(&limits, &mut end, true), None);
        assert_eq!(data(&mut end)["clipped"], true);
        for (retryable, again) in [(true, false), (false, true)] {
            let mut end = failure(&details, retryable);
            assert!(matches!(stores.fit(&limits, &mut end, again), Some(Excess::Stores(_))));
        }
        // Without room a failure stays what it is, and a success is none.
        let mut kept = unstored(failure(&details, true), "no room", &limits, stores);
        assert_eq!(data(&mut kept)["size"], 502);
        assert!(matches!(kept, CellEnd::Returned(GuestOutcome::Failed { retryable: true, .. })));
        assert!(matches!(unstored(success(details), "no room", &limits, stores), CellEnd::Failed(_)));
    }

    #[test]
    fn r45_how_much_is_handed_over_of_a_result_says_nothing_about_the_message() {
        for policy in [OversizePolicy::Clip, OversizePolicy::Store] {
            let mut end = success(json!("result"));
            let _ = Oversize::new(policy).inline_bytes(0).fit(&Limits::default(), &mut end, false);
            let CellEnd::Returned(returned) = &mut end else { panic!("{end:?}") };
            assert_eq!(parts(returned).0, "done");
        }
    }

    fn data(end: &mut CellEnd) -> Value {
        let CellEnd::Returned(returned) = end else { panic!("{end:?}") };
        parts(returned).1.clone().unwrap()
    }

    #[test]
    fn r45_what_fits_stays_as_it_is() {
        for policy in [OversizePolicy::Fail, OversizePolicy::Clip, OversizePolicy::Store] {
            let mut end = success(json!([1, 2]));
            assert_eq!(Oversize::new(policy).inline_bytes(5).fit(&Limits::default(), &mut end, false), None);
            assert_eq!(end, success(json!([1, 2])));
        }
        let failure = CellEnd::Failed(Failure::new(FailureKind::Trap, "unreachable"));
        let mut end = failure.clone();
        assert_eq!(Oversize::new(OversizePolicy::Clip).inline_bytes(0).fit(&Limits::default(), &mut end, false), None);
        assert_eq!(end, failure);
    }

    #[test]
    fn r45_what_does_not_fit_fails_or_is_to_be_stored() {
        let limits = Limits::default();
        let mut end = success(json!("123456"));
        let fails = Oversize::default().inline_bytes(7).fit(&limits, &mut end, false);
        let Some(Excess::Fails(failure)) = fails else { panic!("{fails:?}") };
        assert_eq!((failure.kind, failure.limit.as_deref()), (FailureKind::OutputLimit, Some("result_bytes")));
        let stores = Oversize::new(OversizePolicy::Store).inline_bytes(7);
        assert_eq!(stores.fit(&limits, &mut end, false), Some(Excess::Stores("\"123456\"".to_owned())));
        refer(&mut end, &stored_as(3, 8, "00".repeat(32)), "\"123456\"", &limits, stores);
        let reference = json!({"artifact": 3, "size": 8, "sha256": "00".repeat(32)});
        assert_eq!(data(&mut end), json!({"stored": reference, "preview": ""}));
        // An error's details are a result too, and what the limit allows bounds what a request does.
        let error = Some(json!("x".repeat(5000)));
        let mut end = CellEnd::Returned(GuestOutcome::Failed { message: "no".to_owned(), error, retryable: false });
        let small = Limits::default().result_bytes(1000);
        let stores = Oversize::new(OversizePolicy::Store).inline_bytes(1 << 30);
        assert!(matches!(stores.fit(&small, &mut end, false), Some(Excess::Stores(_))));
    }

    #[test]
    fn r45_more_may_cross_only_where_it_is_dealt_with() {
        let limits = Limits::default().result_bytes(1000).call_bytes(5000);
        assert_eq!(Oversize::default().inline_bytes(9).returned_max(&limits), 1000);
        assert_eq!(Oversize::new(OversizePolicy::Clip).returned_max(&limits), 5000);
    }

    proptest! {
        #[test]
        fn r45_a_clipped_result_fits_and_is_a_beginning(text in "[a\"\\\\€😀\n]{0,200}", max in 100..400_u64) {
            let whole = json!(text).to_string();
            let mut end = success(json!(text));
            let clips = Oversize::new(OversizePolicy::Clip).inline_bytes(max);
            prop_assert_eq!(clips.fit(&Limits::default(), &mut end, false), None);
            let data = data(&mut end);
            if whole.len() as u64 <= max {
                prop_assert_eq!(data, json!(text));
            } else {
                prop_assert!(data.to_string().len() as u64 <= max, "{}", data);
                prop_assert!(whole.starts_with(data["text"].as_str().unwrap()));
                prop_assert_eq!(&data["size"], &json!(whole.len()));
            }
        }
    }
}
