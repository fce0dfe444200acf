//! `taskcell policy check`.

use std::path::Path;

use serde_json::json;

use crate::Policy;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::{files, open, output};
use crate::model::policy::check::{Around, Finding, Weight};
use crate::model::requests::Requested;

use super::command::CheckArguments;
use super::{place, publishers, secrets};

/// Who besides its owner may write a file.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Says everything about the policy that is wrong or strange.
pub(super) async fn check(arguments: &CheckArguments, file: &Path) -> Result<Exit, Fault> {
    let text = place::text(file)?;
    let mut found = Vec::new();
    if files::mode(file).is_ok_and(|mode| mode & WRITABLE_BY_OTHERS != 0) {
        let says = format!("others may write it, and so say what plugins may touch: chmod go-w {}", file.display());
        found.push(Finding { weight: Weight::Warning, at: "the file".to_owned(), says });
    }
    let (mut shown, mut wanted) = (None, None);
    match Policy::parse(&text) {
        Ok(policy) => {
            wanted = Some(publishers::wanted(&policy));
            found.extend(
                policy.findings(&Around { folder: &folder, secret: &|source| secrets::usable(source).map(drop) }),
            );
            found.extend(about_plugins(&policy, arguments).await?);
        }
        Err(error) => {
            let problem = place::problem(&text, &error);
            let at = problem.at.unwrap_or_else(|| "the file".to_owned());
            found.push(Finding { weight: Weight::Error, at, says: problem.says });
            shown = problem.shown;
        }
    }
    let errors = found.iter().filter(|it| it.weight == Weight::Error).count();
    let written = if arguments.json {
        let (file, publishers) = (file.to_string_lossy(), wanted.map(|wanted| wanted.document));
        output::json(&json!({ "file": file, "usable": errors == 0, "publishers": publishers, "found": found }), true)
    } else {
        let mut lines = wanted.map(|wanted| wanted.lines).unwrap_or_default();
        lines.extend(page(file, &found, shown.as_deref(), errors));
        output::lines(&lines)
    };
    written.map_err(Fault::stdout)?;
    Ok(if errors == 0 { Exit::Succeeded } else { Exit::Failed })
}

/// What the plugins that were named make of it.
async fn about_plugins(policy: &Policy, arguments: &CheckArguments) -> Result<Vec<Finding>, Fault> {
    let mut found = Vec::new();
    if arguments.plugin.is_empty() {
        return Ok(found);
    }
    let knowing = policy.knowing_only();
    let host = open::host(&open::Wanted { policy: Some(&knowing), ..open::Wanted::default() })?;
    for file in &arguments.plugin {
        let plugin = open::look_at(&host, file).await?;
        let manifest = plugin.manifest();
        let asked = manifest.requests.iter().chain(manifest.tasks.iter().flat_map(|task| &task.requests));
        let requested = Requested::new(asked, plugin.imports());
        found.extend(policy.findings_about(plugin.name(), (&plugin.digest(), plugin.signed()), &requested));
    }
    host.shutdown().await;
    Ok(found)
}

fn page(file: &Path, found: &[Finding], shown: Option<&str>, errors: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for Finding { weight, at, says } in found {
        let word = match weight {
            Weight::Error => "error   ",
            Weight::Warning => "warning ",
        };
        let mut said = says.lines();
        lines.push(format!("{word} {at}: {}", said.next().unwrap_or_default()));
        lines.extend(said.map(|line| format!("         {line}")));
    }
    lines.extend(shown.iter().flat_map(|shown| shown.lines()).map(|line| format!("         {line}")));
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let warnings = found.len() - errors;
    lines.push(format!("{}: {}, {}", file.display(), count(errors, "error"), count(warnings, "warning")));
    lines
}

fn folder(path: &Path) -> Result<std::path::PathBuf, String> {
    files::real_dir(path).map_err(|error| error.to_string())
}
