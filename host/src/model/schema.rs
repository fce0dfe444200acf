//! JSON Schemas that came from outside, made safe to use: nothing is fetched, nothing blows up.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

/// Bytes that one regular expression may compile to. Protects the host's memory.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// How many faults of a value are told at once.
const FAULTS_MAX: usize = 5;
/// Bytes of one fault's sentence, which may quote the value.
const FAULT_BYTES_MAX: usize = 300;
/// How deep a schema may be when its references are followed. Protects the host's stack.
const LEVELS_MAX: u32 = 256;
/// How many places a schema may have when every reference in it is followed. Protects the host's time: a short chain of
/// references that each occur twice has two to the power of its length.
const PLACES_MAX: u64 = 20_000;

/// A compiled schema.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    validator: Arc<jsonschema::Validator>,
    /// Whether faults can be listed in bounded time: not when the schema contains itself.
    can_explain: bool,
}

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// It is nested too deeply.
    #[error("it is nested more than {max} deep")]
    TooDeep {
        /// How deep a schema may be: the load limit `schema_depth`.
        max: u32,
    },
    /// With its references followed it is too large.
    #[error("it has more than {PLACES_MAX} places when its references are followed")]
    TooLarge,
    /// It has more bytes than it may have here.
    #[error("it has more than {max} bytes")]
    TooLong {
        /// How many it may have.
        max: usize,
    },
    /// It is not a valid JSON Schema, or refers to something outside itself.
    #[error("{0}")]
    Invalid(String),
}

impl Schema {
    /// Compiles a schema that is nested no deeper than this. References to anything outside the schema itself are an error: nothing is ever fetched.
    pub(crate) fn new(schema: &Value, depth_max: u32) -> Result<Self, SchemaError> {
        if depth(schema) > depth_max {
            return Err(SchemaError::TooDeep { max: depth_max });
        }
        let mut size = Size { root: schema, known: HashMap::new(), recursive: false, level: 0 };
        if size.of(schema) > PLACES_MAX {
            return Err(SchemaError::TooLarge);
        }
        // Linear-time expressions, so that a pattern cannot be made to run for ever.
        let patterns = jsonschema::PatternOptions::regex().size_limit(REGEX_BYTES_MAX);
        jsonschema::options()
            .with_pattern_options(patterns)
            .build(schema)
            .map(|validator| Self { validator: Arc::new(validator), can_explain: !size.recursive })
            .map_err(|error| SchemaError::Invalid(error.to_string()))
    }

    /// Compiles a schema of at most this many bytes, as JSON.
    pub(crate) fn new_within(schema: &Value, depth_max: u32, max: usize) -> Result<Self, SchemaError> {
        if schema.to_string().len() > max {
            return Err(SchemaError::TooLong { max });
        }
        Self::new(schema, depth_max)
    }

    /// Checks a value. The faults are sentences that name the place.
    pub(crate) fn check(&self, value: &Value) -> Result<(), Vec<String>> {
        if self.validator.is_valid(value) {
            return Ok(());
        }
        if !self.can_explain {
            return Err(vec!["it does not fit".to_owned()]);
        }
        let faults = self.validator.iter_errors(value).take(FAULTS_MAX).map(|error| {
            let place = error.instance_path().to_string();
            let mut fault = if place.is_empty() { error.to_string() } else { format!("at {place}: {error}") };
            if fault.len() > FAULT_BYTES_MAX {
                fault.truncate(fault.floor_char_boundary(FAULT_BYTES_MAX));
                fault.push('…');
            }
            fault
        });
        Err(faults.collect())
    }
}

/// Counts the places of a schema with every local reference followed.
struct Size<'a> {
    root: &'a Value,
    /// What is known of the targets of references; `None` while one is being counted.
    known: HashMap<&'a str, Option<u64>>,
    recursive: bool,
    level: u32,
}

impl<'a> Size<'a> {
    fn of(&mut self, value: &'a Value) -> u64 {
        if self.level >= LEVELS_MAX {
            return u64::MAX;
        }
        self.level += 1;
        let inner = match value {
            Value::Array(items) => items.iter().fold(0, |sum: u64, item| sum.saturating_add(self.of(item))),
            Value::Object(fields) => fields.iter().fold(0, |sum: u64, (name, field)| {
                let refers = name == "$ref" || name == "$dynamicRef";
                sum.saturating_add(match field.as_str().filter(|_| refers) {
                    Some(target) => self.target(target),
                    // What is only there to be referred to counts where it is.
                    None if name == "$defs" || name == "definitions" => 0,
                    None => self.of(field),
                })
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        };
        self.level -= 1;
        inner.saturating_add(1)
    }

    fn target(&mut self, target: &'a str) -> u64 {
        match self.known.get(target) {
            Some(Some(size)) => return *size,
            Some(None) => {
                self.recursive = true;
                return 1;
            }
            None => {}
        }
        self.known.insert(target, None);
        let found = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        // What is no plain pointer into this document (an anchor, an id) is taken for the whole of it.
        let size = if let Some(found) = found {
            self.of(found)
        } else {
            self.recursive = true;
            1
        };
        self.known.insert(target, Some(size));
        size
    }
}

fn depth(value: &Value) -> u32 {
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

    const DEPTH: u32 = 32;

    fn new(schema: &Value) -> Result<Schema, SchemaError> {
        Schema::new(schema, DEPTH)
    }

    #[test]
    fn faults_name_the_place() {
        let schema = new(&json!({
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
            assert!(matches!(new(&json!({"$ref": reference})), Err(SchemaError::Invalid(_))), "{reference}");
        }
        let deep = (0..40).fold(json!(true), |inner, _| json!({"items": inner}));
        assert_eq!(new(&deep).unwrap_err(), SchemaError::TooDeep { max: DEPTH });
        // A chain of references, each taken twice: 2^40 places in 40 lines.
        let mut defs = serde_json::Map::from_iter([("a40".to_owned(), json!({"type": "string"}))]);
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
            defs.insert(format!("a{level}"), json!({"allOf": [next, next]}));
        }
        let chain = json!({"$ref": "#/$defs/a0", "$defs": defs});
        assert_eq!(new(&chain).unwrap_err(), SchemaError::TooLarge);
        // A schema that contains itself is fine: a list of lists. Its faults are only not told one by one.
        let list = json!({"$ref": "#/$defs/l", "$defs": {"l": {"type": "array", "items": {"$ref": "#/$defs/l"}}}});
        assert!(new(&list).unwrap().check(&json!([[], [[]]])).is_ok());
        assert!(new(&list).unwrap().check(&json!([[], [1]])).is_err());
        // Backtracking would take years for this one.
        let schema = new(&json!({"pattern": "^(a+)+$"})).unwrap();
        assert!(schema.check(&json!(format!("{}b", "a".repeat(5000)))).is_err());
    }
}
