//! What a policy wants of publishers, for people and programs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::cli::inspect::word_of;
use crate::model::publisher::{Signed, listed};
use crate::{Plugin, Policy};

/// What a policy wants of all plugins.
pub(super) struct Wanted {
    pub(super) document: Value,
    /// Nothing, when it knows no publisher and wants none.
    pub(super) lines: Vec<String>,
}

/// What the policy wants of plugins whose signatures nobody has looked at.
pub(super) fn wanted(policy: &Policy) -> Wanted {
    let known = policy.known_publishers();
    let wishes: BTreeMap<&str, &BTreeSet<String>> = policy.wishes().collect();
    let all_signed = policy.wants_all_signed();
    let document = json!({ "known": known, "all_signed": all_signed, "plugins": wishes });
    if known.is_empty() && !all_signed {
        return Wanted { document, lines: Vec::new() };
    }
    let mut lines = vec![format!("publishers: {}", knows(&known))];
    lines.extend(all_signed.then(|| "signed:     every plugin, by one of them".to_owned()));
    lines.extend(wishes.iter().map(|(plugin, by)| format!("signed:     {plugin}, by {}", listed(by, " or "))));
    if !all_signed && wishes.is_empty() {
        lines.push("signed:     nothing has to be".to_owned());
    }
    Wanted { document, lines }
}

fn knows(known: &BTreeSet<String>) -> String {
    if known.is_empty() { "none is known".to_owned() } else { listed(known, ", ") }
}

/// What it wants of one plugin, and what that carries.
pub(super) fn of_plugin(policy: &Policy, plugin: &Plugin) -> Wanted {
    let (known, wish, signed) = (policy.known_publishers(), policy.wish(plugin.name()), plugin.signed());
    let by: Vec<&str> = signed.publishers().collect();
    let required = wish.is_any().then(|| json!({ "one_of": wish.of(), "rule": wish.rule() }));
    let document = json!({
        "known": known,
        "required": required,
        "signature": word_of(signed),
        "signed_by": by,
        "admitted": wish.is_met_by(signed),
    });
    if known.is_empty() && !wish.is_any() && *signed == Signed::Not {
        return Wanted { document, lines: Vec::new() };
    }
    let rule = if wish.is_any() { format!(" ({})", wish.rule()) } else { String::new() };
    let lines = vec![
        format!("publishers: {}", knows(&known)),
        format!("signed:     {}{rule}", wish.says_of(plugin.name(), signed)),
    ];
    Wanted { document, lines }
}
