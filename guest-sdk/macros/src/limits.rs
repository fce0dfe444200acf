//! The limits that a task type can set: how they are written, and how they are called in the manifest.
//!
//! `wit/manifest.schema.json` lists the same ones; a test of the SDK holds the two together.

use proc_macro2::Ident;
use syn::parse::{Parse, ParseStream};
use syn::{LitInt, LitStr};

use crate::quantity;

/// One limit.
pub(crate) struct Limit {
    /// Its name as an option of `#[task]`.
    pub(crate) option: &'static str,
    /// Its name in the manifest.
    pub(crate) wire: &'static str,
    unit: Unit,
}

/// How a limit is written.
#[derive(Clone, Copy)]
enum Unit {
    /// A number, at least so much.
    Number(u64),
    /// A number of 32 bits, at least so much.
    Small(u32),
    /// A time, such as `"5m"`.
    Time,
    /// A size, such as `"64MiB"`.
    Size,
    /// A size of at least one page.
    Memory,
}

/// A limit is called as in the manifest. A time goes without `_ms`, because it says its unit, and so does `memory`.
const LIMITS: [Limit; 42] = [
    Limit { option: "fuel", wire: "fuel", unit: Unit::Number(1) },
    Limit { option: "fuel_on_request", wire: "fuel_on_request", unit: Unit::Number(0) },
    Limit { option: "fuel_per_hour", wire: "fuel_per_hour", unit: Unit::Number(1) },
    Limit { option: "timeout", wire: "timeout_ms", unit: Unit::Time },
    Limit { option: "idle", wire: "idle_ms", unit: Unit::Time },
    Limit { option: "stall", wire: "stall_ms", unit: Unit::Time },
    Limit { option: "memory", wire: "memory_bytes", unit: Unit::Memory },
    Limit { option: "table_elements", wire: "table_elements", unit: Unit::Number(0) },
    Limit { option: "call_bytes", wire: "call_bytes", unit: Unit::Size },
    Limit { option: "input_bytes", wire: "input_bytes", unit: Unit::Size },
    Limit { option: "result_bytes", wire: "result_bytes", unit: Unit::Size },
    Limit { option: "handles", wire: "handles", unit: Unit::Small(0) },
    Limit { option: "resources", wire: "resources", unit: Unit::Small(0) },
    Limit { option: "random_bytes", wire: "random_bytes", unit: Unit::Size },
    Limit { option: "output_bytes", wire: "output_bytes", unit: Unit::Size },
    Limit { option: "spill_bytes", wire: "spill_bytes", unit: Unit::Size },
    Limit { option: "progress_per_second", wire: "progress_per_second", unit: Unit::Small(1) },
    Limit { option: "events_per_second", wire: "events_per_second", unit: Unit::Small(1) },
    Limit { option: "log_events", wire: "log_events", unit: Unit::Number(0) },
    Limit { option: "log_bytes", wire: "log_bytes", unit: Unit::Size },
    Limit { option: "signals_per_key", wire: "signals_per_key", unit: Unit::Small(0) },
    Limit { option: "signals_in_all", wire: "signals_in_all", unit: Unit::Small(0) },
    Limit { option: "signal_bytes", wire: "signal_bytes", unit: Unit::Size },
    Limit { option: "scratch_bytes", wire: "scratch_bytes", unit: Unit::Size },
    Limit { option: "scratch_inodes", wire: "scratch_inodes", unit: Unit::Number(0) },
    Limit { option: "scratch_depth", wire: "scratch_depth", unit: Unit::Small(0) },
    Limit { option: "artifacts", wire: "artifacts", unit: Unit::Small(0) },
    Limit { option: "tokens", wire: "tokens", unit: Unit::Number(0) },
    Limit { option: "actions", wire: "actions", unit: Unit::Number(0) },
    Limit { option: "children", wire: "children", unit: Unit::Small(0) },
    Limit { option: "children_in_all", wire: "children_in_all", unit: Unit::Small(0) },
    Limit { option: "tree", wire: "tree", unit: Unit::Small(0) },
    Limit { option: "tree_depth", wire: "tree_depth", unit: Unit::Small(0) },
    Limit { option: "artifact_bytes", wire: "artifact_bytes", unit: Unit::Size },
    Limit { option: "attachments", wire: "attachments", unit: Unit::Small(0) },
    Limit { option: "attachment_bytes", wire: "attachment_bytes", unit: Unit::Size },
    Limit { option: "agent_messages", wire: "agent_messages", unit: Unit::Small(0) },
    Limit { option: "agent_message_bytes", wire: "agent_message_bytes", unit: Unit::Size },
    Limit { option: "http_body_bytes", wire: "http_body_bytes", unit: Unit::Size },
    Limit { option: "http_bytes", wire: "http_bytes", unit: Unit::Size },
    Limit { option: "http_connections", wire: "http_connections", unit: Unit::Small(0) },
    Limit { option: "fuel_on_approval", wire: "fuel_on_approval", unit: Unit::Number(0) },
];

/// The limit that is written so.
pub(crate) fn find(option: &str) -> Option<&'static Limit> {
    LIMITS.iter().find(|limit| limit.option == option)
}

impl Limit {
    /// Reads the value after the `=`.
    pub(crate) fn value(&self, input: ParseStream<'_>) -> syn::Result<u64> {
        match self.unit {
            Unit::Number(least) => self.number(&self.literal(input, "a whole number")?, least, u64::MAX),
            Unit::Small(least) => self.number(&self.literal(input, "a whole number")?, least.into(), u32::MAX.into()),
            Unit::Time => text(&self.literal(input, "a time, such as \"5m\"")?, quantity::duration),
            Unit::Size => text(&self.literal(input, "a size, such as \"64MiB\"")?, quantity::size),
            Unit::Memory => text(&self.literal(input, "a size, such as \"64MiB\"")?, quantity::memory),
        }
    }

    fn literal<T: Parse>(&self, input: ParseStream<'_>, what: &str) -> syn::Result<T> {
        input.parse().map_err(|error| syn::Error::new(error.span(), format!("`{}` takes {what}", self.option)))
    }

    fn number(&self, literal: &LitInt, least: u64, most: u64) -> syn::Result<u64> {
        let value: u64 = literal.base10_parse()?;
        if (least..=most).contains(&value) {
            return Ok(value);
        }
        let problem = match self.option {
            "fuel" => "a task without fuel cannot begin".to_owned(),
            option => format!("`{option}` takes {least} to {most}"),
        };
        Err(syn::Error::new(literal.span(), problem))
    }
}

fn text(literal: &LitStr, parse: fn(&str) -> Result<u64, String>) -> syn::Result<u64> {
    parse(&literal.value()).map_err(|problem| syn::Error::new(literal.span(), problem))
}

/// What to say of an option that there is not.
pub(crate) fn unknown(key: &Ident) -> syn::Error {
    let word = key.to_string();
    let problem = if let Some(limit) = LIMITS.iter().find(|limit| limit.wire == word) {
        format!("`{word}` is called `{}` here, and is written with its unit", limit.option)
    } else {
        let names: Vec<String> = LIMITS.iter().map(|limit| format!("`{}`", limit.option)).collect();
        format!(
            "`{word}` is not an option of a task: there are `name`, `routing`, `daemon`, `read_only`, `concurrent_safe`, `restartable`, `requests` and the limits {}",
            names.join(", ")
        )
    };
    syn::Error::new(key.span(), problem)
}
