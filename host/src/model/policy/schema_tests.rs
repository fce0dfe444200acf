//! `docs/policy.schema.json` says the same as the reader of the policy.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use toml_edit::de;

use crate::model::policy::Policy;
use crate::model::schema::Schema;

/// How deep the schema is nested at most.
const DEPTH: u32 = 64;

const EXAMPLES: [(&str, &str); 4] = [
    ("nothing", include_str!("../../../docs/policy/nothing.toml")),
    ("folder", include_str!("../../../docs/policy/folder.toml")),
    ("web", include_str!("../../../docs/policy/web.toml")),
    ("team", include_str!("../../../docs/policy/team.toml")),
];

fn document() -> Value {
    serde_json::from_str(super::SCHEMA).unwrap()
}

fn schema() -> Schema {
    Schema::new(&document(), DEPTH).unwrap()
}

/// Whether the reader takes it, and whether the schema does.
fn taken(schema: &Schema, text: &str) -> (bool, bool) {
    let value: Value = de::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    (Policy::parse(text).is_ok(), schema.check(&value).is_ok())
}

#[test]
fn t24_the_schema_and_the_reader_agree_about_every_file() {
    let schema = schema();
    let good = [
        "",
        "[all]\nsigned = true\n[all.deny]\ncapabilities = [\"fs\", \"clock-wall\"]\nhttp = [\"*\", \"::1\", \"[::1]\"]",
        "[all.limits]\nfuel = 0\ntimeout_ms = 1000\nhandles = 4294967295",
        "[plugins.a]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nkv = true\nagent = false\ntasks = [\"*\", \"b\"]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.ask]\nhttp = [{ host = \"*.b.c\", ports = [1, 65535], methods = [] }]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.ask]\nhttp = [{ host = \"10.0.0.1\", private = true, plain = true }]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nfs = [{ host = \"/a\", bytes = 0, inodes = 1 }]",
        "[plugins.a.deny]\nfs = [\"/etc\"]\nenv = [\"A\", \"A\"]\nhost = [\"price\"]",
        "[secrets.a]\nfile = \"/run/secrets/a\"\nhosts = [\"b\"]\nheader = \"X-Key\"",
        "[publishers]\n\"Acme Inc\" = \"8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c\"",
    ];
    for text in good {
        assert_eq!(taken(&schema, &format!("version = 1\n{text}")), (true, true), "{text}");
    }
    let bad = [
        "none = 1",
        "all = 1",
        "[all]\nsigned = 1",
        "[all.deny]\ncapabilities = [\"sockets\"]",
        "[all.deny]\nhttp = [\"https://a.b\"]",
        "[all.deny]\nhttp = [\"a.b:443\"]",
        "[all.deny]\ntasks = [\"b\", \"*\"]",
        "[all.limits]\nfuels = 1",
        "[all.limits]\nfuel = -1",
        "[all.limits]\nhandles = 4294967296",
        "[plugins.A]",
        "[plugins.a]\nallowed = {}",
        "[plugins.a]\ndigest = \"sha256:12\"",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nkv = 1",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nhttp = [\"a.b\"]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nhttp = [{ ports = [443] }]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nhttp = [{ host = \"a.b\", ports = [] }]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nhttp = [{ host = \"a.b\", ports = [0] }]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nhttp = [{ host = \"a.b\", ports = [65536] }]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nhttp = [{ host = \"a.b\", methods = [\"get\"] }]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nfs = [{ host = \"a\" }]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nfs = [{ host = \"/a/../b\" }]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nfs = [{ host = \"/a\", access = \"write\" }]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nfs = [{ host = \"/a\", guest = \"\" }]",
        "[secrets.a]\nenv = \"A\"",
        "[secrets.a]\nenv = \"A\"\nhosts = []",
        "[secrets.a]\nhosts = [\"b\"]",
        "[secrets.a]\nenv = \"A\"\nfile = \"/a\"\nhosts = [\"b\"]",
        "[secrets.a]\nenv = \"A\"\nhosts = [\"b\"]\nheader = \"a b\"",
        "[publishers]\na = 1",
    ];
    for text in bad {
        assert_eq!(taken(&schema, &format!("version = 1\n{text}")), (false, false), "{text}");
    }
    assert_eq!([taken(&schema, ""), taken(&schema, "version = 2")], [(false, false); 2]);
    // What one place says about another one, a schema cannot see.
    let beyond = [
        "[plugins.a.allow]\nkv = true",
        "[plugins.a]\npublishers = [\"acme\"]",
        "[publishers]\na = \"key\"",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nsecrets = [\"key\"]",
        "[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nfs = [{ host = \"/a\", guest = \"/scratch\" }]",
    ];
    for text in beyond {
        assert_eq!(taken(&schema, &format!("version = 1\n{text}")), (false, true), "{text}");
    }
}

#[test]
fn t24_every_example_is_a_policy() {
    let schema = schema();
    for (name, text) in EXAMPLES {
        let read = Policy::parse(text);
        assert!(read.is_ok(), "{name}: {read:?}");
        assert_eq!(taken(&schema, text), (true, true), "{name}");
    }
}

/// The keys that the reader knows at a place, as it says when it is given one that it does not know.
fn known(text: &str) -> BTreeSet<String> {
    let said = Policy::parse(&format!("version = 1\n{text}")).unwrap_err().to_string();
    let (_, listed) = said.split_once("expected ").unwrap_or_else(|| panic!("{text}: {said}"));
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn t24_every_key_of_a_policy_is_in_the_schema() {
    let document = document();
    let grant = |table: &str| format!("[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\n{table}");
    for (place, text) in [
        ("", "zzz = 1".to_owned()),
        ("/properties/all", "[all]\nzzz = 1".to_owned()),
        ("/$defs/plugin", "[plugins.a]\nzzz = 1".to_owned()),
        ("/$defs/grants", grant("zzz = 1")),
        ("/$defs/grants", "[plugins.a.ask]\nzzz = 1".to_owned()),
        ("/$defs/deny", "[all.deny]\nzzz = 1".to_owned()),
        ("/$defs/deny", "[plugins.a.deny]\nzzz = 1".to_owned()),
        ("/$defs/dir", grant("fs = [{ host = \"/a\", zzz = 1 }]")),
        ("/$defs/http", grant("http = [{ host = \"a\", zzz = 1 }]")),
        ("/$defs/secret", "[secrets.a]\nzzz = 1".to_owned()),
    ] {
        let properties = document.pointer(&format!("{place}/properties")).and_then(Value::as_object).unwrap();
        assert_eq!(properties.keys().cloned().collect::<BTreeSet<_>>(), known(&text), "{place}");
        assert_eq!(document.pointer(&format!("{place}/additionalProperties")), Some(&json!(false)), "{place}");
    }
    let listed = document.pointer("/$defs/limits/properties").and_then(Value::as_object).unwrap();
    let limits = crate::model::limits::LimitsRequest::ALL.iter().map(|limit| limit.name.to_owned());
    assert_eq!(listed.keys().cloned().collect::<BTreeSet<_>>(), limits.collect());
    let capabilities = document.pointer("/$defs/deny/properties/capabilities/items/enum").cloned();
    assert_eq!(capabilities, Some(json!(crate::model::capability::Capability::ALL)));
}
