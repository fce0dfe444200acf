//! `taskcell policy explain`.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::verbs::table::Rows;
use crate::cli::{open, output};
use crate::model::policy::Rules;
use crate::model::policy::explain::{Explained, Word};
use crate::model::requests::Requested;
use crate::{Plugin, Policy};

use super::command::ExplainArguments;
use super::{place, publishers};

/// One thing that is asked for, and by which task types when not by all.
struct Line<'a> {
    it: Explained,
    tasks: Vec<&'a str>,
}

/// Shows what the policy comes to for a plugin.
pub(super) async fn explain(arguments: &ExplainArguments, file: &Path) -> Result<Exit, Fault> {
    let policy = place::read(file)?;
    // One that is not signed as it has to be is looked at all the same, to say so.
    let knowing = policy.knowing_only();
    let host = open::host(&open::Wanted { policy: Some(&knowing), ..open::Wanted::default() })?;
    let plugin = open::look_at(&host, &arguments.plugin).await?;
    let policy = place::on_this_machine(policy);
    let reach = Reach::new(file, &policy, &plugin);
    let signed = publishers::of_plugin(&policy, &plugin);
    let written = if arguments.json {
        let mut document = reach.document();
        document.insert("plugin".to_owned(), json!(plugin.name()));
        document.insert("sha256".to_owned(), json!(plugin.digest().to_string()));
        document.insert("publishers".to_owned(), json!(signed.document));
        output::json(&document, true)
    } else {
        let mut page = vec![format!("{} {}, sha256 {}", plugin.name(), plugin.manifest().version, plugin.digest())];
        page.push(reach.standing());
        page.extend_from_slice(&signed.lines);
        page.push(String::new());
        page.extend(reach.page());
        output::lines(&page)
    };
    written.map_err(Fault::stdout)?;
    host.shutdown().await;
    Ok(Exit::Succeeded)
}

/// What becomes of each thing that a plugin asks for, by a policy as it is now.
pub(in crate::cli) struct Reach<'a> {
    file: &'a Path,
    plugin: &'a Plugin,
    rules: Rules,
    lines: Vec<Line<'a>>,
}

impl<'a> Reach<'a> {
    /// By the policy that was read from this file.
    pub(in crate::cli) fn new(file: &'a Path, policy: &Policy, plugin: &'a Plugin) -> Self {
        let rules = policy.rules_for(plugin.name(), &plugin.digest());
        let lines = lines(&rules, plugin);
        Self { file, plugin, rules, lines }
    }

    /// What the policy thinks of the plugin's bytes, in a line.
    pub(in crate::cli) fn standing(&self) -> String {
        format!("{}: {}", self.file.display(), self.rules.standing.says())
    }

    /// A line for each thing.
    pub(in crate::cli) fn page(&self) -> Vec<String> {
        if self.lines.is_empty() {
            return vec!["it asks for nothing".to_owned()];
        }
        let mut rows = Rows::new(&["CAPABILITY", "SCOPE", "VERDICT", "RULE", "TASKS"], &[1]);
        for Line { it, tasks } in &self.lines {
            let verdict = match it.verdict {
                Word::Allowed => "allowed",
                Word::Ask => "ask",
                Word::Denied => "denied",
            };
            let all = tasks.len() == self.plugin.manifest().tasks.len();
            let tasks = if all { "all".to_owned() } else { tasks.join(", ") };
            let scope = if it.scope.is_empty() { "-".to_owned() } else { it.scope.clone() };
            rows.add(&[it.capability.to_string(), scope, verdict.to_owned(), it.rule.clone(), tasks]);
        }
        rows.lines()
    }

    /// As a document.
    pub(in crate::cli) fn document(&self) -> Map<String, Value> {
        let wishes = self.lines.iter().map(|Line { it, tasks }| {
            let Explained { capability, scope, verdict, rule } = it;
            json!({ "capability": capability, "scope": scope, "verdict": verdict, "rule": rule, "tasks": tasks })
        });
        let entries = [
            ("policy", json!(self.file.to_string_lossy())),
            ("standing", json!(self.rules.standing.says())),
            ("asks_for", wishes.collect()),
        ];
        entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn lines<'a>(rules: &Rules, plugin: &'a Plugin) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    let manifest = plugin.manifest();
    for task in &manifest.tasks {
        let asked = || manifest.requests_of(task);
        for it in rules.explain(asked(), &Requested::new(asked(), plugin.imports())) {
            match lines.iter_mut().find(|line| line.it == it) {
                Some(line) => line.tasks.push(&task.name),
                None => lines.push(Line { it, tasks: vec![&task.name] }),
            }
        }
    }
    lines
}
