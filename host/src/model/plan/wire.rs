//! A plan as one JSON document: what crosses to guests and planners, and stands in files.

use serde_json::Value;

use super::{Plan, PlanError};
use crate::model::text;

/// The version of the document.
const VERSION: u64 = 1;
/// Bytes of what is said about a document that cannot be read.
const FAULT_BYTES_MAX: usize = 512;

impl Plan {
    /// The plan as a JSON object: `version` (1), `goal`, `revision`, and `steps`, a list of objects with `name`, perhaps
    /// `description`, `action` and `validation`, `status`, and perhaps `note` and `action_id`.
    pub fn to_json(&self) -> Value {
        // A plan is texts and numbers, which are always JSON.
        let mut document = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("version".to_owned(), VERSION.into());
        }
        document
    }

    /// Reads such a document. Only `steps` is needed, and of a step only `name`; without a `version` it is the first.
    ///
    /// ```
    /// let plan = serde_json::json!({"goal": "a release", "steps": [{"name": "build"}, {"name": "sign"}]});
    /// assert_eq!(taskcell::Plan::from_json(plan)?.steps.len(), 2);
    /// # Ok::<(), taskcell::PlanError>(())
    /// ```
    ///
    /// # Errors
    /// When it is no plan, or one that no task could have ([`Plan::check`]).
    pub fn from_json(mut document: Value) -> Result<Self, PlanError> {
        let Some(fields) = document.as_object_mut() else {
            return Err(PlanError::NotAPlan("it is not a JSON object".to_owned()));
        };
        let version = fields.remove("version").unwrap_or_else(|| VERSION.into());
        if version != VERSION {
            return Err(PlanError::NotAPlan(format!("its version is not {VERSION}")));
        }
        let plan: Self = serde_json::from_value(document)
            .map_err(|error| PlanError::NotAPlan(text::shortened(&error.to_string(), FAULT_BYTES_MAX).into_owned()))?;
        plan.check()?;
        Ok(plan)
    }
}
