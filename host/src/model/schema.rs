//! JSON Schemas that came from outside, made safe to use: nothing is fetched, nothing blows up.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

/// Bytes that one regular expression may compile to. Protects the host's memory.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Bytes that all regular expressions of one document may compile to. Protects the host's memory.
const REGEXES_BYTES_MAX: usize = 32 << 20;
/// How many regular expressions one document may have: each also takes what no limit counts. Protects the host's memory.
const REGEXES_MAX: usize = 500;
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
    /// It has too many patterns, or the document that it belongs to has.
    #[error("it has more than {REGEXES_MAX} patterns, with those of the schemas beside it")]
    TooManyPatterns,
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
        Self::new_among(schema, depth_max, patterns(schema))
    }

    /// The same, of a schema in a document with so many [`patterns`].
    pub(crate) fn new_among(schema: &Value, depth_max: u32, patterns: usize) -> Result<Self, SchemaError> {
        if depth(schema) > depth_max {
            return Err(SchemaError::TooDeep { max: depth_max });
        }
        if patterns > REGEXES_MAX {
            return Err(SchemaError::TooManyPatterns);
        }
        let names = Names::of(schema)?;
        let mut size = Size { root: schema, names, known: HashMap::new(), recursive: false, level: 0 };
        if size.of_root() > PLACES_MAX {
            return Err(SchemaError::TooLarge);
        }
        let bytes = (REGEXES_BYTES_MAX / patterns.max(1)).min(REGEX_BYTES_MAX);
        // Linear-time expressions, so that a pattern cannot be made to run for ever.
        let patterns = jsonschema::PatternOptions::regex().size_limit(bytes).dfa_size_limit(bytes);
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

/// How many regular expressions a schema has.
pub(crate) fn patterns(schema: &Value) -> usize {
    let of = |(name, field): (&String, &Value)| match field {
        Value::String(_) => usize::from(name == "pattern"),
        Value::Object(fields) if name == "patternProperties" => fields.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => 0,
    };
    objects(schema).flat_map(|fields| fields.iter().map(of)).sum()
}

/// What places of a schema are called, for references that do not say the way to them.
#[derive(Default)]
struct Names<'a>(HashMap<&'a str, Vec<&'a Value>>);

impl<'a> Names<'a> {
    /// Reads them. What a reference could mean in two ways is refused, and so is one that leads out of the schema.
    fn of(schema: &'a Value) -> Result<Self, SchemaError> {
        let mut names = Self::default();
        let (mut refers, mut has_inner) = (false, None);
        for (value, fields) in values(schema).filter_map(|value| Some((value, value.as_object()?))) {
            for (name, text) in fields.iter().filter_map(|(name, field)| Some((name.as_str(), field.as_str()?))) {
                match (name, text.strip_prefix('#')) {
                    (_, None) if REFERENCES.contains(&name) => {
                        let what = "and a reference begins with #: nothing is fetched";
                        return Err(SchemaError::Invalid(format!("it refers to {text:?}, {what}")));
                    }
                    (_, Some(_)) if REFERENCES.contains(&name) => refers = true,
                    ("$anchor" | "$dynamicAnchor", _) => names.0.entry(text).or_default().push(value),
                    // As old drafts have anchors.
                    ("$id" | "id", Some(anchor)) => names.0.entry(anchor).or_default().push(value),
                    // A schema of its own, from where references within it begin.
                    ("$id" | "id", None) if !std::ptr::eq(value, schema) && (name == "$id" || is_old(schema)) => {
                        has_inner = Some(text);
                    }
                    _ => {}
                }
            }
        }
        match has_inner.filter(|_| refers) {
            Some(id) => Err(SchemaError::Invalid(format!(
                "it has references and, within it, another schema that is called {id:?}: leave that name out"
            ))),
            None => Ok(names),
        }
    }
}

/// Keywords whose text leads somewhere else.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// Whether it is of a draft that says `id` for `$id`.
fn is_old(schema: &Value) -> bool {
    let drafts = objects(schema).filter_map(|fields| fields.get("$schema")?.as_str());
    drafts.into_iter().any(|draft| draft.contains("draft-03") || draft.contains("draft-04"))
}

/// Counts the places of a schema with every reference followed.
struct Size<'a> {
    root: &'a Value,
    names: Names<'a>,
    /// What is known of the targets of references; `None` while one is being counted.
    known: HashMap<&'a str, Option<u64>>,
    recursive: bool,
    level: u32,
}

impl<'a> Size<'a> {
    fn of_root(&mut self) -> u64 {
        let Some(fields) = self.root.as_object() else { return self.of(self.root) };
        // What is only there to be referred to counts where it is. Further down it may be a property of this name.
        let places = fields.iter().filter(|(name, _)| *name != "$defs" && *name != "definitions");
        places.fold(1, |sum: u64, (name, field)| sum.saturating_add(self.of_field(name, field)))
    }

    fn of(&mut self, value: &'a Value) -> u64 {
        if self.level >= LEVELS_MAX {
            return u64::MAX;
        }
        self.level += 1;
        let inner = match value {
            Value::Array(items) => items.iter().fold(0, |sum: u64, item| sum.saturating_add(self.of(item))),
            Value::Object(fields) => {
                fields.iter().fold(0, |sum: u64, (name, field)| sum.saturating_add(self.of_field(name, field)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        };
        self.level -= 1;
        inner.saturating_add(1)
    }

    fn of_field(&mut self, name: &str, field: &'a Value) -> u64 {
        match field.as_str().filter(|_| REFERENCES.contains(&name)) {
            Some(target) => self.target(target),
            None => self.of(field),
        }
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
        let name = target.strip_prefix('#').unwrap_or(target);
        // It may be written with its characters as numbers.
        let plain = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        let size = match self.root.pointer(&plain) {
            Some(found) if std::ptr::eq(found, self.root) => {
                self.recursive = true;
                1
            }
            Some(found) => self.of(found),
            None => {
                let places = self.names.0.get(&*plain).cloned().unwrap_or_default();
                places.into_iter().fold(1, |sum: u64, place| sum.saturating_add(self.of(place)))
            }
        };
        self.known.insert(target, Some(size));
        size
    }
}

/// A value and everything in it.
fn values(value: &Value) -> impl Iterator<Item = &Value> {
    let mut open = vec![value];
    std::iter::from_fn(move || {
        let value = open.pop()?;
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Some(value)
    })
}

fn objects(value: &Value) -> impl Iterator<Item = &serde_json::Map<String, Value>> {
    values(value).filter_map(Value::as_object)
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
        for reference in
            ["https://example.com/schema.json", "file:///etc/passwd", "other.json", "other.json#/$defs/a", ""]
        {
            for keyword in REFERENCES {
                let inside = json!({"properties": {"a": {"items": [{keyword: reference}]}}});
                for schema in [json!({keyword: reference}), json!({"$defs": {"a": {keyword: reference}}}), inside] {
                    assert!(matches!(new(&schema), Err(SchemaError::Invalid(_))), "{schema}");
                }
            }
            // Nothing at all is the newest draft.
            let of = json!({"$schema": reference, "type": "object"});
            assert!(reference.is_empty() || matches!(new(&of), Err(SchemaError::Invalid(_))), "{of}");
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

    /// A chain in which each schema leads to the next one twice: 2^40 places in 40 lines.
    fn chain(link: impl Fn(usize, Value) -> Value, reference: impl Fn(usize) -> Value) -> Value {
        let defs = (0..40).map(|level| {
            let next = reference(level + 1);
            (format!("a{level}"), link(level, json!({"allOf": [next, next]})))
        });
        let end = ("a40".to_owned(), link(40, json!({"type": "string"})));
        let defs: serde_json::Map<_, _> = defs.chain([end]).collect();
        json!({"allOf": [reference(0)], "$defs": defs})
    }

    #[test]
    fn t24_references_that_multiply_are_refused_however_they_are_written() {
        let with = |keyword: &'static str, mark: &'static str| {
            move |level: usize, mut schema: Value| {
                schema[keyword] = json!(format!("{mark}a{level}"));
                schema
            }
        };
        let to =
            |keyword: &'static str, way: &'static str| move |level: usize| json!({keyword: format!("{way}a{level}")});
        let plain = |_: usize, schema: Value| schema;
        for chain in [
            chain(plain, to("$ref", "#/$defs/")),
            chain(plain, to("$ref", "#/%24defs/")),
            chain(plain, to("$ref", "#%2F$defs%2f")),
            chain(with("$anchor", ""), to("$ref", "#")),
            chain(with("$anchor", ""), to("$ref", "#%")),
            chain(with("$dynamicAnchor", ""), to("$dynamicRef", "#")),
        ] {
            assert!(matches!(new(&chain), Err(SchemaError::TooLarge | SchemaError::Invalid(_))), "{chain}");
        }
        // As older drafts write it.
        let mut old = chain(with("$id", "#"), to("$ref", "#"));
        old["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        assert_eq!(new(&old).unwrap_err(), SchemaError::TooLarge);
        // A property that is called like the place for what is only referred to.
        let below = |_: usize, schema: Value| json!({"properties": {"definitions": schema}});
        assert_eq!(new(&chain(below, to("$ref", "#/$defs/"))).unwrap_err(), SchemaError::TooLarge);
        // What is behind a name within a name cannot be told.
        for id in ["https://example.com/a", "a"] {
            let hidden = json!({"$id": id, "$defs": {"a0": {"type": "string"}}, "$ref": "#/$defs/a0"});
            let schema = json!({"$defs": {"a0": true, "h": hidden}, "$ref": "#/$defs/h"});
            assert!(matches!(new(&schema), Err(SchemaError::Invalid(_))), "{schema}");
        }
    }

    #[test]
    fn references_that_tools_write_are_followed() {
        let list = json!({"$defs": {"A<B>": {"type": "integer"}}, "items": {"$ref": "#/$defs/A%3CB%3E"}});
        assert!(new(&list).unwrap().check(&json!([1])).is_ok());
        assert!(new(&list).unwrap().check(&json!(["a"])).is_err());
        let anchor =
            json!({"$id": "https://example.com/s", "$defs": {"a": {"$anchor": "n", "const": 1}}, "$ref": "#n"});
        assert!(new(&anchor).unwrap().check(&json!(1)).is_ok());
        assert!(new(&anchor).unwrap().check(&json!(2)).is_err());
        // A property of such a name refers to nothing, nor does one that is called like an id.
        let names = json!({"properties": {"$ref": {"const": 1}, "id": {"const": "x"}}, "examples": [{"id": "x"}], "$ref": "#/$defs/a", "$defs": {"a": true}});
        assert!(new(&names).unwrap().check(&json!({"$ref": 2})).is_err());
    }

    #[test]
    fn t24_patterns_take_no_more_together_than_they_may() {
        // Each takes some hundred kibibytes.
        let large = |number: usize| json!({"pattern": format!("\\p{{L}}{{20}}{number}")});
        let of = |count: usize| json!({"allOf": (0..count).map(large).collect::<Vec<_>>()});
        new(&of(2)).unwrap();
        assert!(matches!(new(&of(REGEXES_MAX)), Err(SchemaError::Invalid(_))));
        assert_eq!(new(&of(REGEXES_MAX + 1)).unwrap_err(), SchemaError::TooManyPatterns);
        let small = |number: usize| (format!("^[a-z0-9-]{{1,20}}_{number}$"), json!(true));
        let of = |count: usize| json!({"patternProperties": (0..count).map(small).collect::<serde_json::Map<_, _>>()});
        new(&of(REGEXES_MAX)).unwrap();
        assert_eq!(new(&of(REGEXES_MAX + 1)).unwrap_err(), SchemaError::TooManyPatterns);
        // With those of the schemas beside it.
        assert_eq!(Schema::new_among(&json!(true), DEPTH, REGEXES_MAX + 1).unwrap_err(), SchemaError::TooManyPatterns);
    }
}
