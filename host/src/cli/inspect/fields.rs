//! A short list of the fields that a JSON Schema describes.
//!
//! It helps a person to write an input; whether the input fits, the schema itself decides.

use serde_json::Value;

/// How deep nested objects and types are followed. Schemas may refer to themselves.
const DEPTH_MAX: usize = 4;

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name, with dots from outer to inner.
    pub(super) path: String,
    /// What it may hold.
    pub(super) kind: String,
    pub(super) required: bool,
    /// Its default, as JSON.
    pub(super) default: Option<String>,
    pub(super) description: Option<String>,
}

/// The fields of an object's schema, in its order; none if it describes something else.
pub(super) fn fields(schema: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    collect(schema, schema, "", 0, &mut found);
    found
}

fn collect(root: &Value, schema: &Value, prefix: &str, depth: usize, found: &mut Vec<Field>) {
    let schema = resolve(root, schema);
    let Some(Value::Object(properties)) = schema.get("properties") else { return };
    let required = |name: &str| {
        schema.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|it| it == name))
    };
    for (name, property) in properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let target = resolve(root, property);
        // What stands beside a `$ref` is about this field, and comes first.
        let note = |key: &str| property.get(key).or_else(|| target.get(key));
        found.push(Field {
            kind: kind(root, property, 0),
            required: required(name),
            default: note("default").map(Value::to_string),
            description: note("description").and_then(Value::as_str).map(str::to_owned),
            path: path.clone(),
        });
        if depth < DEPTH_MAX {
            collect(root, property, &path, depth + 1, found);
        }
    }
}

/// What `$ref` leads to, inside the same document.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..DEPTH_MAX {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        match target.and_then(|path| root.pointer(path)) {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

/// What a value may be, in a few words: `string`, `list of integer`, `"a" | "b"`.
fn kind(root: &Value, schema: &Value, depth: usize) -> String {
    if depth > DEPTH_MAX {
        return "anything".to_owned();
    }
    let schema = resolve(root, schema);
    if let Some(only) = schema.get("const") {
        return only.to_string();
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return values.iter().filter(|value| !value.is_null()).map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = schema.get(key) {
            let kinds = choices.iter().map(|choice| kind(root, choice, depth + 1));
            return joined(kinds.filter(|kind| kind != "null"));
        }
    }
    let word = |name: &str| match name {
        "array" => {
            format!("list of {}", schema.get("items").map_or("anything".to_owned(), |it| kind(root, it, depth + 1)))
        }
        "integer" | "number" => format!("{name}{}", range(schema)),
        other => other.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(name)) => word(name),
        Some(Value::Array(names)) => {
            joined(names.iter().filter_map(Value::as_str).filter(|name| *name != "null").map(word))
        }
        _ => "anything".to_owned(),
    }
}

fn joined(kinds: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = kinds.collect();
    all.dedup();
    all.join(" or ")
}

fn range(schema: &Value) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(min), Some(max)) => format!(" {min} to {max}"),
        (Some(min), None) if min.as_f64() != Some(0.0) => format!(" from {min}"),
        (None, Some(max)) => format!(" up to {max}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn short(schema: &Value) -> Vec<String> {
        let line = |field: Field| format!("{}: {}{}", field.path, field.kind, if field.required { " !" } else { "" });
        fields(schema).into_iter().map(line).collect()
    }

    #[test]
    fn what_schemars_writes_is_understood() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": ["string", "null"], "description": "Whom."},
                "keywords": {"type": "integer", "format": "uint", "minimum": 1, "maximum": 50, "default": 8},
                "tags": {"type": "array", "items": {"type": "string"}},
                "mode": {"$ref": "#/$defs/Mode", "description": "How."},
                "place": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
                "inner": {"$ref": "#/$defs/Place"},
            },
            "required": ["keywords", "inner"],
            "$defs": {
                "Mode": {"oneOf": [{"const": "fast"}, {"const": "slow"}]},
                "Place": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
            },
        });
        let mut found = short(&schema);
        found.sort();
        assert_eq!(
            found,
            [
                "inner.x: number !",
                "inner: object !",
                "keywords: integer 1 to 50 !",
                "mode: \"fast\" or \"slow\"",
                "name: string",
                "place: object",
                "tags: list of string",
            ]
        );
        let mode = fields(&schema).into_iter().find(|field| field.path == "mode").unwrap();
        assert_eq!(mode.description.as_deref(), Some("How."));
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let endless = json!({
            "$ref": "#/$defs/Node",
            "$defs": {
                "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}},
                "Loop": {"$ref": "#/$defs/Loop"},
            },
        });
        assert_eq!(short(&endless).len(), DEPTH_MAX + 1);
        assert_eq!(kind(&endless, &json!({"$ref": "#/$defs/Loop"}), 0), "anything");
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for schema in [json!(true), json!({}), json!({"type": "string"}), json!([1])] {
            assert!(fields(&schema).is_empty());
        }
    }
}
