//! The host's own question: whether a plugin may do something that the policy says to ask about.

use serde_json::Value;

use crate::cli::text;
use crate::{AnswerFor, ApprovalAsk};

use super::{REASON_BYTES_MAX, Verdict};

/// What a question is about, such as `http GET https://api.example.com:443`; `None` when it is another kind of question.
pub(in crate::cli) fn about(ask: &ApprovalAsk) -> Option<String> {
    let metadata = ask.metadata.as_ref().filter(|_| ask.kind == ApprovalAsk::GRANT)?;
    let word = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    let (capability, scope) = (word("capability"), word("scope"));
    Some(if scope.is_empty() { capability.to_owned() } else { format!("{capability} {scope}") })
}

/// What the plugin is about to do, by which rule somebody is asked, and what it says itself.
pub(super) fn wish(ask: &ApprovalAsk) -> String {
    let (summary, reason) = (text::clip(&ask.summary, REASON_BYTES_MAX), text::clip(&ask.reason, REASON_BYTES_MAX));
    let wish = format!("May it? {summary}; {reason}.");
    let says = ask.metadata.as_ref().and_then(|metadata| metadata.get("guest_says")).and_then(Value::as_str);
    match says {
        Some(says) => format!("{wish} The plugin says: {}", text::clip(says, REASON_BYTES_MAX)),
        None => wish,
    }
}

/// The question, with how to answer it.
pub(super) fn question(ask: &ApprovalAsk) -> String {
    format!("{} [o]nce, [t]ask: until this task ends, [a]lways: into the policy, [n]o:", wish(ask))
}

/// Reads a decision. A plain yes is one for this once.
pub(super) fn verdict(line: &str) -> Result<Verdict, String> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let yes = |how: AnswerFor| Ok(Verdict::Approve(Some(how.to_string().into())));
    match (word.to_ascii_lowercase().as_str(), rest.trim()) {
        ("o" | "once" | "y" | "yes", "") => yes(AnswerFor::Once),
        ("t" | "task", "") => yes(AnswerFor::Task),
        ("a" | "always", "") => yes(AnswerFor::Always),
        ("n" | "no", reason) => Ok(Verdict::Deny(reason.to_owned())),
        _ => Err("That is none of o, t, a and n.".to_owned()),
    }
}

/// Whether a question of this kind can be approved of with this: other words would be refused when it is asked.
pub(in crate::cli) fn is_answer(input: &Value) -> bool {
    AnswerFor::of(Some(input)).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(guest_says: Option<&str>) -> ApprovalAsk {
        let mut ask = ApprovalAsk::new(
            ApprovalAsk::GRANT,
            "the policy says to ask about it (plugins.a.ask.kv)",
            "the plugin a is about to use its plugin's store",
        );
        ask.metadata = Some(json!({"capability": "http", "scope": "GET https://a.b:443", "guest_says": guest_says}));
        ask
    }

    #[test]
    fn t16_the_question_is_the_hosts_and_what_the_guest_says_comes_after_it() {
        let asked = super::super::approval_question(&ask(Some("\"please\"")));
        assert_eq!(
            asked,
            "May it? the plugin a is about to use its plugin's store; the policy says to ask about it (plugins.a.ask.kv). \
             The plugin says: \"please\" [o]nce, [t]ask: until this task ends, [a]lways: into the policy, [n]o:"
        );
        assert!(!question(&ask(None)).contains("says:"));
        assert_eq!(about(&ask(None)).as_deref(), Some("http GET https://a.b:443"));
        assert_eq!(about(&ApprovalAsk::new("deploy", "", "")), None);
    }

    #[test]
    fn t16_a_grant_is_answered_by_its_four_words_and_by_nothing_else() {
        let yes = |word: &str| Ok(Verdict::Approve(Some(json!(word))));
        for (line, meant) in [
            ("o", yes("once")),
            (" Y ", yes("once")),
            ("task", yes("task")),
            ("A", yes("always")),
            ("n", Ok(Verdict::Deny(String::new()))),
            ("no not there", Ok(Verdict::Deny("not there".to_owned()))),
        ] {
            assert_eq!(verdict(line), meant, "{line}");
        }
        for line in ["", "yes please", "always!", "true", "{}", "\"always\""] {
            assert!(verdict(line).is_err(), "{line}");
        }
        assert!(is_answer(&json!("task")) && !is_answer(&json!("ever")) && !is_answer(&Value::Null));
    }
}
