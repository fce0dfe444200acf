//! `taskcell policy explain`.

use std::path::Path;

use serde_json::json;

use crate::Plugin;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::verbs::table::Rows;
use crate::cli::{open, output};
use crate::model::policy::Rules;
use crate::model::policy::explain::{Explained, Word};
use crate::model::requests::Requested;

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
    // Which folders are meant is a matter of this machine.
    let policy =
        policy.with_real_folders(|folder| crate::cli::files::resolved(folder).unwrap_or_else(|_| folder.to_owned()));
    let rules = policy.rules_for(plugin.name(), &plugin.digest());
    let lines = lines(&rules, &plugin);
    let signed = publishers::of_plugin(&policy, &plugin);
    let written = if arguments.json {
        let wishes: Vec<_> = lines
            .iter()
            .map(|Line { it, tasks }| {
                let Explained { capability, scope, verdict, rule } = it;
                json!({ "capability": capability, "scope": scope, "verdict": verdict, "rule": rule, "tasks": tasks })
            })
            .collect();
        let document = json!({
            "policy": file.to_string_lossy(),
            "plugin": plugin.name(),
            "sha256": plugin.digest().to_string(),
            "standing": rules.standing.says(),
            "publishers": signed.document,
            "asks_for": wishes,
        });
        output::json(&document, true)
    } else {
        output::lines(&page(&plugin, (file, &signed.lines), &rules, &lines))
    };
    written.map_err(Fault::stdout)?;
    host.shutdown().await;
    Ok(Exit::Succeeded)
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

fn page(plugin: &Plugin, (file, signed): (&Path, &[String]), rules: &Rules, lines: &[Line<'_>]) -> Vec<String> {
    let mut page = vec![
        format!("{} {}, sha256 {}", plugin.name(), plugin.manifest().version, plugin.digest()),
        format!("{}: {}", file.display(), rules.standing.says()),
    ];
    page.extend_from_slice(signed);
    page.push(String::new());
    if lines.is_empty() {
        page.push("it asks for nothing".to_owned());
        return page;
    }
    let mut rows = Rows::new(&["CAPABILITY", "SCOPE", "VERDICT", "RULE", "TASKS"], &[1]);
    for Line { it, tasks } in lines {
        let verdict = match it.verdict {
            Word::Allowed => "allowed",
            Word::Ask => "ask",
            Word::Denied => "denied",
        };
        let tasks = if tasks.len() == plugin.manifest().tasks.len() { "all".to_owned() } else { tasks.join(", ") };
        let scope = if it.scope.is_empty() { "-".to_owned() } else { it.scope.clone() };
        rows.add(&[it.capability.to_string(), scope, verdict.to_owned(), it.rule.clone(), tasks]);
    }
    page.extend(rows.lines());
    page
}
