//! JSON Schemas that came from outside, made safe to use: nothing is fetched, nothing blows up.

use std::sync::Arc;

use serde_json::Value;

/// How deep a schema may be nested. Protects the host's stack.
const DEPTH_MAX: usize = 32;
/// Bytes that one regular expression may compile to. Protects the host's memory.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// How many faults of a value are told at once.
const FAULTS_MAX: usize = 5;

/// A compiled schema.
#[derive(Debug, Clone)]
pub(crate) struct Schema(Arc<jsonschema::Validator>);

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is nested too deeply.
    #[error("it is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// It is not a valid JSON Schema, or refers to something outside itself.
    #[error("{0}")]
    Invalid(String),
}

impl Schema {
    /// Compiles a schema. References to anything outside the schema itself are an error: nothing is ever fetched.
    pub(crate) fn new(schema: &Value) -> Result<Self, SchemaError> {
        if depth(schema) > DEPTH_MAX {
            return Err(SchemaError::TooDeep);
        }
        // Linear-time expressions, so that a pattern cannot be made to run for ever.
        let patterns = jsonschema::PatternOptions::regex().size_limit(REGEX_BYTES_MAX);
        jsonschema::options()
            .with_pattern_options(patterns)
            .build(schema)
            .map(|validator| Self(Arc::new(validator)))
            .map_err(|error| SchemaError::Invalid(error.to_string()))
    }

    /// Checks a value. The faults are sentences that name the place.
    pub(crate) fn check(&self, value: &Value) -> Result<(), Vec<String>> {
        let faults: Vec<String> = self
            .0
            .iter_errors(value)
            .take(FAULTS_MAX)
            .map(|error| {
                let place = error.instance_path().to_string();
                if place.is_empty() { error.to_string() } else { format!("at {place}: {error}") }
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

fn depth(value: &Value) -> usize {
    // Not recursive: the text may be nested as deeply as its reader allows, which is deeper than we do.
    let mut deepest = 0;
    let mut open = vec![(value, 1)];
    while let Some((value, level)) = open.pop() {
        deepest = deepest.max(level);
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, level + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|field| (field, level + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_name_the_place() {
        let schema = Schema::new(&json!({
            "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "age": {"minimum": 0}},
        }))
        .unwrap();
        assert_eq!(schema.check(&json!({"name": "x"})), Ok(()));
        let faults = schema.check(&json!({"age": -1})).unwrap_err();
        assert_eq!(faults.len(), 2);
        assert!(faults.iter().any(|fault| fault.contains("at /age")), "{faults:?}");
    }

    #[test]
    fn t24_nothing_is_fetched_and_depth_is_capped() {
        for reference in ["https://example.com/schema.json", "file:///etc/passwd"] {
            assert!(matches!(Schema::new(&json!({"$ref": reference})), Err(SchemaError::Invalid(_))), "{reference}");
        }
        let deep = (0..40).fold(json!(true), |inner, _| json!({"items": inner}));
        assert_eq!(Schema::new(&deep).unwrap_err(), SchemaError::TooDeep);
        // Backtracking would take years for this one.
        let schema = Schema::new(&json!({"pattern": "^(a+)+$"})).unwrap();
        assert!(schema.check(&json!(format!("{}b", "a".repeat(5000)))).is_err());
    }
}
