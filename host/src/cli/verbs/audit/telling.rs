//! Lines of the audit log, for people.

use crate::cli::verbs::table::Rows;
use crate::cli::verbs::times::Now;
use crate::cli::verbs::which;
use crate::{AuditLine, AuditWhat};

/// What a line says, in the words of a table: when, what, task, plugin, capability, scope, rule, and the rest.
fn cells(line: &AuditLine, now: &Now) -> [String; 8] {
    let what = match line.what {
        AuditWhat::Allow => "allow",
        AuditWhat::Deny => "deny",
        AuditWhat::Ask => "ask",
        AuditWhat::Answer => "answer",
        AuditWhat::Revoke => "revoke",
        AuditWhat::Policy => "policy",
        AuditWhat::Load => "load",
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let digest = line.digest.filter(|_| line.what == AuditWhat::Load).map(|digest| format!("sha256:{digest}"));
    let again = line.times.map(|times| if times == 1 { "once more".to_owned() } else { format!("{times} times more") });
    let rest = [again, line.answer.clone(), line.by.map(|by| format!("by {by}")), line.reason.clone(), digest];
    [
        now.clock(line.at),
        what.to_owned(),
        or_none(line.task.map(which::short)),
        or_none(line.plugin.clone()),
        or_none(line.capability.map(|capability| capability.to_string())),
        or_none(line.scope.clone()),
        or_none(line.rule.clone()),
        rest.into_iter().flatten().collect::<Vec<_>>().join(", "),
    ]
}

/// All of them as a table.
pub(super) fn table<'a>(lines: impl IntoIterator<Item = &'a AuditLine>, now: &Now) -> Vec<String> {
    let header = &["AT", "WHAT", "TASK", "PLUGIN", "CAPABILITY", "SCOPE", "RULE", "MORE"];
    let mut rows = Rows::new(header, &[5, 6, 7]);
    let mut any = false;
    for line in lines {
        rows.add(&cells(line, now));
        any = true;
    }
    if any { rows.lines() } else { Vec::new() }
}

/// One alone, as it comes. Not escaped.
pub(super) fn line(line: &AuditLine, now: &Now) -> String {
    let [at, what, task, plugin, capability, scope, rule, more] = cells(line, now);
    let said = [plugin, capability, scope, rule, more].into_iter().filter(|word| !(word.is_empty() || word == "-"));
    format!("{at}  {what:<6}  {task:<8}  {}", said.collect::<Vec<_>>().join("  "))
}

#[cfg(test)]
mod tests {
    use crate::cli::verbs::times::tests::{NOW_MS, now};

    use super::*;

    #[test]
    fn t09_a_line_says_what_to_whom_and_by_which_rule() {
        let at = NOW_MS + 1000;
        let denied = AuditLine::read(&format!(
            r#"{{"at":{at},"what":"deny","task":"{}","plugin":"fetch","capability":"http","scope":"GET https://a.b:443","rule":"policy","reason":"the policy does not grant it"}}"#,
            "0f".repeat(16)
        ));
        let denied = denied.unwrap();
        assert_eq!(
            table([&denied], &now()),
            [
                "AT        WHAT  TASK      PLUGIN  CAPABILITY  SCOPE                RULE    MORE",
                "18:00:01  deny  0f0f0f0f  fetch   http        GET https://a.b:443  policy  the policy does not grant it",
            ]
        );
        assert_eq!(
            line(&denied, &now()),
            "18:00:01  deny    0f0f0f0f  fetch  http  GET https://a.b:443  policy  the policy does not grant it"
        );
        let answer = AuditLine::read(&format!(r#"{{"at":{at},"what":"answer","answer":"once","by":"person"}}"#));
        assert!(line(&answer.unwrap(), &now()).ends_with("once, by a person"));
        let again =
            AuditLine::read(&format!(r#"{{"at":{at},"what":"allow","capability":"kv","rule":"default","times":41}}"#));
        assert_eq!(line(&again.unwrap(), &now()), "18:00:01  allow   -         kv  default  41 times more");
        assert!(table([], &now()).is_empty());
    }
}
