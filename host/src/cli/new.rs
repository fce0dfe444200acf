//! `taskcell new`: a plugin crate that builds, runs and is tested.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, anyhow};

use super::args::NewArguments;
use super::exit::Exit;
use super::fault::Fault;
use super::text::shell_word;
use super::{environment, files, output};

/// The files of a new plugin. In each, `{{name}}` is the plugin's name and `{{sdk}}` the path of the SDK.
const TEMPLATE: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("template/lib.rs.in")),
    ("README.md", include_str!("template/README.md.in")),
    (".gitignore", include_str!("template/gitignore.in")),
];

/// The longest name, in bytes: what a plugin's manifest takes.
const NAME_BYTES_MAX: usize = 64;
/// Names that cargo refuses, or that would be confused with what the crate depends on.
const TAKEN: [&str; 50] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "schemars",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "taskcell-guest",
    "test",
    "trait",
    "true",
    "type",
];
/// More of them.
const TAKEN_TOO: [&str; 11] =
    ["try", "typeof", "union", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "serde-json"];

/// Makes the plugin.
pub(super) fn new(arguments: &NewArguments) -> Result<Exit, Fault> {
    let name = arguments.name.as_str();
    check_name(name)?;
    let sdk = find_sdk(arguments)?;
    let dir = arguments.path.clone().unwrap_or_else(|| PathBuf::from(name));
    let make = || {
        files::make_empty_dir(&dir)?;
        TEMPLATE
            .iter()
            .try_for_each(|(path, text)| files::write_project_file(&dir.join(path), &filled(text, name, &sdk)))
    };
    make()
        .with_context(|| format!("failed to make a plugin in {}", dir.display()))
        .map_err(|error: Error| Fault::new(Exit::Failed, error).hint("name another folder with --path"))?;
    output::talk(&format!("made the plugin {name} in {}", dir.display()));
    output::talk("next:");
    let folder = shell_word(&dir.to_string_lossy());
    for step in [
        format!("cd {folder}"),
        "taskcell build".to_owned(),
        format!("taskcell run {name}.wasm --set text='to be or not to be'"),
    ] {
        output::talk(&format!("  {step}"));
    }
    Ok(Exit::Succeeded)
}

/// The rules for a plugin's name and for a crate's.
fn check_name(name: &str) -> Result<(), Fault> {
    let wrong = |why: &str| Fault::usage(format!("`{name}` cannot be a plugin's name: {why}"));
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(wrong("it must have 1 to 64 characters"));
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(fits) {
        let better = better_name(name);
        let fault = wrong("it must be lower-case letters, digits and `-`, a letter first");
        return Err(fault.maybe_hint(better.map(|better| format!("`{better}` would do"))));
    }
    if TAKEN.contains(&name) || TAKEN_TOO.contains(&name) {
        return Err(wrong("it means something else to Rust or cargo").hint(format!("`{name}-plugin` would do")));
    }
    Ok(())
}

/// A good name that looks like a bad one.
pub(super) fn better_name(name: &str) -> Option<String> {
    let mut better = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' => better.push(c),
            '0'..='9' if !better.is_empty() => better.push(c),
            _ if !better.is_empty() && !better.ends_with('-') => better.push('-'),
            _ => {}
        }
    }
    better.truncate(NAME_BYTES_MAX);
    let better = better.trim_end_matches('-');
    (!better.is_empty()).then(|| better.to_owned())
}

/// The SDK's folder: `--sdk`, else the variable, else the tree that this program was built from.
fn find_sdk(arguments: &NewArguments) -> Result<String, Fault> {
    let (named, source) = match (&arguments.sdk, environment::variable(environment::SDK_VARIABLE)) {
        (Some(dir), _) => (dir.clone(), "--sdk"),
        (None, Some(dir)) => (PathBuf::from(dir), environment::SDK_VARIABLE),
        (None, None) => (environment::sdk_of_this_build(), "the source tree of this program"),
    };
    sdk_at(&named).with_context(|| format!("failed to find the guest SDK ({source})")).map_err(|error| {
        Fault::new(Exit::Failed, error)
            .hint("name the folder guest-sdk of Taskcell's source with --sdk DIR or in TASKCELL_SDK")
    })
}

fn sdk_at(dir: &Path) -> Result<String, Error> {
    let manifest = dir.join("Cargo.toml");
    let text = files::read_text(&manifest).with_context(|| manifest.display().to_string())?;
    if !text.lines().any(|line| line.trim() == "name = \"taskcell-guest\"") {
        return Err(anyhow!("{} is not the SDK's", manifest.display()));
    }
    let dir = files::resolved(dir)?;
    let text =
        dir.to_str().ok_or_else(|| anyhow!("the path {} is not UTF-8, which Cargo.toml cannot hold", dir.display()))?;
    Ok(text.to_owned())
}

fn filled(template: &str, name: &str, sdk: &str) -> String {
    // A JSON string is also a TOML string.
    let sdk = serde_json::Value::from(sdk).to_string();
    template.replace("{{name}}", name).replace("{{sdk}}", &sdk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_taken_and_bad_ones_explained() {
        for name in ["a", "word-count", "x2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "2x", "Word", "word_count", "wörter", "../x", "-x", "match", "serde", "test", "yield"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        let lines = check_name("Word Count!").unwrap_err().lines();
        assert_eq!(lines[1], "hint: `word-count` would do");
        let long = better_name(&"X_".repeat(100)).unwrap();
        assert!(check_name(&long).is_ok(), "{long}");
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for (path, text) in TEMPLATE {
            let text = filled(text, "my-plugin", "/a \"b\"/sdk");
            assert!(!text.contains("{{"), "{path}");
            assert!(path != "Cargo.toml" || text.contains(r#"path = "/a \"b\"/sdk""#), "{text}");
        }
    }

    #[test]
    fn the_sdk_is_recognised() {
        assert!(sdk_at(&environment::sdk_of_this_build()).is_ok());
        assert!(sdk_at(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_err().to_string().contains("not the SDK's"));
        assert!(sdk_at(Path::new("/nowhere")).is_err());
    }
}
