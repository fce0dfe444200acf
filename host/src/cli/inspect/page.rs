//! What a plugin is, for people. Lines are escaped when they are printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::cli::{limits, text};
use crate::{
    Capability, CapabilityRequest, LimitUnit, Limits, LimitsRequest, Manifest, Plugin, Signed, TaskKind, TaskType,
};

use super::document::{all_wishes, asked, flag};
use super::fields::{Field, fields};

/// Columns of a paragraph.
const WIDTH: usize = 96;
/// Fields of one task that are listed. Protects the person from a hostile manifest.
const FIELDS_MAX: usize = 100;

/// Everything there is to say, line by line.
pub(super) fn page(plugin: &Plugin, file: &Path) -> Vec<String> {
    let manifest = plugin.manifest();
    let mut lines = head(manifest);
    lines.push(String::new());
    lines.push(format!("  file     {} ({}, {})", file.display(), plugin.file_kind(), text::bytes(plugin.size())));
    lines.push(format!("  sha256   {}", plugin.digest()));
    if *plugin.signed() != Signed::Not {
        lines.push(format!("  signed   it {}", plugin.signed()));
    }
    lines.extend(section(if manifest.tasks.len() == 1 { "Task" } else { "Tasks" }));
    for task in &manifest.tasks {
        lines.extend(describe(task));
    }
    let wishes = wishes(manifest);
    if !wishes.is_empty() {
        lines.extend(section("Would like to be granted"));
        lines.extend(wishes);
    }
    let hooks: Vec<&str> = plugin.hooks().names().collect();
    if !hooks.is_empty() {
        lines.extend(section("Hooks that the host calls"));
        lines.push(format!("  {}", hooks.join(", ")));
    }
    lines.extend(section("Imports"));
    lines.extend(packages(plugin.imports()).iter().flat_map(|line| hanging(line)));
    lines.extend(section("Try"));
    lines.push(format!("  {}", example(manifest, file)));
    lines
}

fn head(manifest: &Manifest) -> Vec<String> {
    let mut lines = vec![format!("{} {}", manifest.name, manifest.version)];
    lines.extend(paragraph(manifest.description.as_deref(), 2));
    lines.extend(manifest.author.iter().map(|author| format!("  by {author}")));
    lines.extend(manifest.url.iter().map(|url| format!("  {url}")));
    lines
}

fn section(title: &str) -> [String; 2] {
    [String::new(), title.to_owned()]
}

fn paragraph(text: Option<&str>, indent: usize) -> Vec<String> {
    let wrapped = text::wrap(text.unwrap_or_default(), WIDTH.saturating_sub(indent));
    wrapped.into_iter().map(|line| format!("{:indent$}{line}", "")).collect()
}

/// Interfaces by package: `wasi:io@0.2.6: error, poll`.
fn packages(imports: &[String]) -> Vec<String> {
    let mut packages: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for import in imports {
        let (name, version) = import.split_once('@').map_or((import.as_str(), ""), |(name, version)| (name, version));
        let (package, interface) = name.split_once('/').unwrap_or((name, ""));
        let package = if version.is_empty() { package.to_owned() } else { format!("{package}@{version}") };
        packages.entry(package).or_default().push(interface);
    }
    packages.into_iter().map(|(package, interfaces)| format!("{package}: {}", interfaces.join(", "))).collect()
}

/// A long line with the following ones further in.
fn hanging(line: &str) -> Vec<String> {
    let wrapped = text::wrap(line, WIDTH - 6).into_iter().enumerate();
    wrapped.map(|(number, line)| format!("{}{line}", if number == 0 { "  " } else { "      " })).collect()
}

fn describe(task: &TaskType) -> Vec<String> {
    let mut lines = vec![format!("  {}", task.name)];
    lines.extend(paragraph(task.description.as_deref(), 4));
    lines.extend(nature(task).map(|nature| format!("    {nature}")));
    if let Some(limits) = limits(&task.limits) {
        lines.extend(paragraph(Some(&format!("limits: {limits}")), 4));
    }
    match &task.input {
        None => lines.push("    input: anything".to_owned()),
        Some(schema) => lines.extend(input(schema)),
    }
    let results = task.output.as_ref().map(fields).unwrap_or_default();
    let names: Vec<&str> =
        results.iter().filter(|field| !field.path.contains('.')).map(|it| it.path.as_str()).collect();
    if !names.is_empty() {
        lines.extend(paragraph(Some(&format!("result: {}", names.join(", "))), 4));
    }
    lines
}

/// What kind of task it is, and what it promises; nothing of what is usual.
fn nature(task: &TaskType) -> Option<String> {
    let kind = match task.kind {
        TaskKind::Task => None,
        TaskKind::Daemon => Some("daemon, started with its plugin"),
    };
    let promises = [
        (task.read_only, "read-only"),
        (task.concurrent_safe, "safe beside itself"),
        (task.restartable, "can be begun again"),
    ];
    let promises = promises.into_iter().filter(|(said, _)| *said).map(|(_, promise)| promise);
    let all: Vec<&str> = kind.into_iter().chain(promises).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn input(schema: &Value) -> Vec<String> {
    let all = fields(schema);
    if all.is_empty() {
        return vec![format!("    input: {}", without_fields(schema))];
    }
    let width = all.iter().map(|field| field.path.chars().count()).max().unwrap_or(0).min(30);
    let mut lines = vec!["    input:".to_owned()];
    for field in all.iter().take(FIELDS_MAX) {
        lines.push(format!("      {:width$}  {}", field.path, kind(field)));
        lines.extend(paragraph(field.description.as_deref(), 8 + width));
    }
    match all.len().saturating_sub(FIELDS_MAX) {
        0 => {}
        more => lines.push(format!("      … {more} fields more; --json has the schema")),
    }
    lines
}

/// What an input is that has no fields to be listed.
fn without_fields(schema: &Value) -> &'static str {
    let constraints = ["type", "properties", "anyOf", "oneOf", "allOf", "enum", "const", "$ref"];
    if schema.get("maxProperties") == Some(&Value::from(0)) || schema.get("type") == Some(&Value::from("null")) {
        "none"
    } else if constraints.iter().all(|key| schema.get(key).is_none()) {
        "anything"
    } else {
        "see --json for its schema"
    }
}

fn kind(field: &Field) -> String {
    match (&field.default, field.required) {
        (Some(default), false) if default == "null" => format!("{}, optional", field.kind),
        (Some(default), _) => format!("{}, default {default}", field.kind),
        (None, true) => format!("{}, required", field.kind),
        (None, false) => format!("{}, optional", field.kind),
    }
}

/// The limits that a task type asks for, in words. More than the host's default is not given, and that is told.
fn limits(wishes: &LimitsRequest) -> Option<String> {
    let defaults: BTreeMap<&str, u64> =
        limits::named(&Limits::default().into()).map(|(info, value)| (info.name, value)).collect();
    let all: Vec<String> = limits::named(wishes)
        .map(|(info, wish)| {
            let name = limits::name(info).replace('_', " ");
            let name = name.strip_suffix(" bytes").unwrap_or(&name);
            let mut words = format!("{name} {}", limits::written(info, wish));
            if info.unit == LimitUnit::Fuel {
                let _ = write!(words, " ({})", text::cpu_seconds(wish));
            }
            if let Some(default) = defaults.get(info.name).filter(|default| **default < wish) {
                let _ =
                    write!(words, " (you would have to allow it: the default is {})", limits::written(info, *default));
            }
            words
        })
        .collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn wishes(manifest: &Manifest) -> Vec<String> {
    let mut lines = Vec::new();
    for (task, wish) in all_wishes(manifest) {
        let reason = wish.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let only = task.map(|task| format!(" (only {})", task.name)).unwrap_or_default();
        lines.push(format!("  {}{only}{reason}", asked(wish)));
        lines.push(match flag(wish) {
            Some(flag) => format!("      grant it with {flag}"),
            None => format!("      {}", without_flag(wish)),
        });
    }
    lines
}

/// How something is granted that no flag grants.
fn without_flag(wish: &CapabilityRequest) -> &'static str {
    match wish.known() {
        Some(Capability::Agent | Capability::ClockWall | Capability::Random) => "every task has it",
        Some(Capability::Secrets) => "a policy grants it: taskcell policy --help",
        Some(Capability::Host) => "a program that embeds the host provides it",
        Some(
            Capability::Fs
            | Capability::Http
            | Capability::Env
            | Capability::Tasks
            | Capability::Signal
            | Capability::Kv,
        )
        | None => "this version cannot grant it",
    }
}

/// A command line to begin with.
fn example(manifest: &Manifest, file: &Path) -> String {
    let mut words = vec!["taskcell run".to_owned(), text::shell_word(&file.to_string_lossy())];
    let Some(task) = manifest.tasks.first() else { return words.join(" ") };
    if manifest.tasks.len() > 1 {
        words.push(task.name.clone());
    }
    let all = task.input.as_ref().map(fields).unwrap_or_default();
    for field in all.iter().filter(|field| field.required && !field.path.contains('.')) {
        words.push(format!("--set {}", text::shell_word(&format!("{}={}", field.path, placeholder(&field.kind)))));
    }
    let mut flags: Vec<String> = manifest.requests_of(task).filter_map(flag).collect();
    // Whoever asks for reading and for writing mostly means one folder.
    if flags.iter().any(|flag| flag == "--dir HOST::GUEST:rw") {
        flags.retain(|flag| flag != "--dir HOST::GUEST");
    }
    flags.dedup();
    words.extend(flags);
    words.join(" ")
}

fn placeholder(kind: &str) -> &str {
    match kind.split(' ').next().unwrap_or_default() {
        "integer" | "number" => "1",
        "boolean" => "true",
        "list" => "[]",
        "object" => "{}",
        quoted if quoted.starts_with('"') => quoted,
        _ => "...",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Manifest {
        let document = json!({
            "manifest": 1, "name": "x", "version": "1",
            "requests": [{"capability": "dir-read", "reason": "to read"}, {"capability": "host:price"}, {"capability": "signal"}],
            "tasks": [{
                "name": "go", "limits": {"fuel": 5_000_000_000_u64, "timeout_ms": 90_000, "scratch_inodes": 1_000_000},
                "input": {"properties": {"n": {"type": "integer"}, "t": {"type": "string", "default": "a"}}, "required": ["n"]},
                "output": {"properties": {"sum": {"type": "integer"}}},
            }],
        });
        Manifest::parse(&document.to_string()).unwrap()
    }

    #[test]
    fn a_task_is_described_with_its_fields_and_limits() {
        let lines = describe(&manifest().tasks[0]);
        assert_eq!(
            lines,
            [
                "  go",
                "    limits: fuel 5G (≈ 0.50 CPU seconds), timeout 1m30s, scratch inodes 1_000_000 (you would",
                "    have to allow it: the default is 10_000)",
                "    input:",
                "      n  integer, required",
                "      t  string, default \"a\"",
                "    result: sum",
            ]
        );
    }

    #[test]
    fn r1_what_a_type_says_of_itself_is_shown() {
        let document = json!({
            "manifest": 1, "name": "x", "version": "1", "requests": [{"capability": "kv"}],
            "tasks": [
                {"name": "plain"},
                {"name": "watch", "kind": "daemon", "read_only": true, "concurrent_safe": true, "restartable": true,
                 "requests": [{"capability": "signal", "reason": "to wake others"}]},
            ],
        });
        let manifest = Manifest::parse(&document.to_string()).unwrap();
        assert_eq!(nature(&manifest.tasks[0]), None);
        let said = "daemon, started with its plugin; read-only; safe beside itself; can be begun again";
        assert_eq!(describe(&manifest.tasks[1])[1], format!("    {said}"));
        let wished = wishes(&manifest);
        assert_eq!(wished[0], "  kv");
        assert_eq!(wished[2], "  signal (only watch): to wake others");
    }

    #[test]
    fn an_input_without_fields_is_none_or_anything() {
        assert_eq!(without_fields(&json!({"maxProperties": 0, "type": ["object", "null"]})), "none");
        assert_eq!(without_fields(&json!({"title": "AnyValue"})), "anything");
        assert_eq!(without_fields(&json!({"type": "string"})), "see --json for its schema");
    }

    #[test]
    fn a_wish_says_how_it_is_granted() {
        let lines = wishes(&manifest()).join("\n");
        assert!(lines.contains("dir-read: to read\n      grant it with --dir HOST::GUEST"), "{lines}");
        assert!(lines.contains("host:price\n      a program that embeds the host provides it"), "{lines}");
    }

    #[test]
    fn imports_are_grouped_by_package() {
        let imports = ["wasi:io/poll@0.2.6", "wasi:cli/exit@0.2.6", "wasi:io/error@0.2.6", "plain"].map(str::to_owned);
        assert_eq!(packages(&imports), ["plain: ", "wasi:cli@0.2.6: exit", "wasi:io@0.2.6: poll, error"]);
    }

    #[test]
    fn the_example_has_what_is_required() {
        let line = example(&manifest(), Path::new("my plugin.wasm"));
        assert_eq!(line, "taskcell run 'my plugin.wasm' --set n=1 --dir HOST::GUEST --allow signal");
    }
}
