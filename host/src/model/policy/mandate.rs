//! What one task may do at this moment, and why not the rest.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::capability::Capability;
use crate::model::grants::touch::Touch;
use crate::model::grants::{DirGrant, Grants};
use crate::model::requests::{CapabilityRequest, Requested};

use super::{Denials, Rules, Ruling, SharedRules, Standing};

#[cfg(feature = "http")]
mod web;

/// Refused in a row, after which a task has not understood that it may not.
pub(crate) const DENIALS_MAX: u32 = 20;

/// The rule by which a request is denied whose host turns out to be on a private network.
#[cfg(any(test, feature = "http", feature = "cli"))]
pub(crate) const PRIVATE: &str = "private";

/// Something was not allowed. A guest gets it as a value, and can go on without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{capability}{} was denied: {reason}", in_words(.scope))]
#[non_exhaustive]
pub struct Denied {
    /// What would have been needed.
    pub capability: Capability,
    /// On what; empty when it is one thing only.
    pub scope: String,
    /// Why it is not there, in a sentence.
    pub reason: String,
    /// Whether the same may be allowed later in the task's life.
    pub retryable: bool,
}

impl Denied {
    pub(crate) fn of(touch: &Touch, reason: impl Into<String>, retryable: bool) -> Self {
        Self { capability: touch.capability(), scope: touch.scope(), reason: reason.into(), retryable }
    }
}

fn in_words(scope: &str) -> String {
    if scope.is_empty() { String::new() } else { format!(" ({scope})") }
}

/// What becomes of one thing that a guest is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may, by this rule.
    Allowed { rule: String },
    /// Somebody has to be asked, by this rule.
    Ask { rule: String },
    /// It may not, by this rule.
    Denied { rule: String, denied: Denied },
}

/// How long an answer to a question holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AnswerFor {
    /// For the one time that was asked about.
    #[default]
    Once,
    /// As long as the task lives.
    Task,
    /// For all tasks of the plugin, from now on: it is written into the policy.
    Always,
}

impl AnswerFor {
    /// What was approved of, as a decision carries it: nothing is once. `None` for anything else.
    pub(crate) fn of(input: Option<&Value>) -> Option<Self> {
        match input {
            None => Some(Self::Once),
            Some(input) => serde_json::from_value(input.clone()).ok(),
        }
    }
}

impl fmt::Display for AnswerFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Once => "once",
            Self::Task => "task",
            Self::Always => "always",
        })
    }
}

/// What a task may do: everything that the answer depends on.
#[derive(Debug, Clone)]
pub(crate) struct Mandate {
    /// What its type asks for.
    requested: Arc<Requested>,
    /// What the policy says about its plugin; without a policy, whoever starts a task is the operator.
    rules: Option<SharedRules>,
    /// What whoever started it let it have; `None` is as much as the policy gives.
    given: Option<Box<Grants>>,
    /// What was taken away from it while it ran.
    withdrawn: Denials,
    /// What was asked and answered for as long as it lives: yes or no.
    allowed: BTreeSet<Touch>,
    refused: BTreeSet<Touch>,
}

impl Mandate {
    pub(crate) fn new(requested: impl Into<Arc<Requested>>, rules: Option<SharedRules>, given: Option<Grants>) -> Self {
        Self {
            requested: requested.into(),
            rules,
            given: given.map(Box::new),
            withdrawn: Denials::default(),
            allowed: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }

    /// A hook's: its plugin's store, or nothing.
    pub(crate) fn of_hook(kv: bool) -> Self {
        let asked = [CapabilityRequest::new(Capability::Kv.name())];
        let given = if kv { Grants::default().kv() } else { Grants::default() };
        Self::new(Requested::new(&asked, [""; 0]), None, Some(given))
    }

    /// Whether it may do this now.
    pub(crate) fn decide(&self, touch: &Touch) -> Verdict {
        let denied = |rule: &str, reason: String, retryable: bool| Verdict::Denied {
            rule: rule.to_owned(),
            denied: Denied::of(touch, reason, retryable),
        };
        if self.withdrawn.forbid(touch).is_some() {
            return denied("withdrawn", "it was taken away from this task".to_owned(), false);
        }
        if !self.requested.asks_for(touch) {
            return denied("manifest", "the plugin does not ask for it in its manifest".to_owned(), false);
        }
        let given = match (&self.given, &self.rules) {
            (Some(given), _) => given.entry_for(touch).is_some(),
            (None, Some(_)) => true,
            (None, None) => Grants::default().entry_for(touch).is_some(),
        };
        if !given {
            return denied("start", "it was not granted to this task".to_owned(), false);
        }
        let Some(rules) = &self.rules else { return Verdict::Allowed { rule: "start".to_owned() } };
        match rules.rule(touch) {
            Ruling::Deny(rule) => {
                let reason = format!("the policy forbids it ({rule})");
                denied(&rule, reason, false)
            }
            Ruling::Allow(rule) => Verdict::Allowed { rule },
            Ruling::Ask(rule) if self.allowed.contains(touch) => Verdict::Allowed { rule },
            Ruling::Ask(rule) if self.refused.contains(touch) => {
                denied(&rule, "somebody was asked and said no".to_owned(), false)
            }
            Ruling::Ask(rule) => Verdict::Ask { rule },
            Ruling::Silent => denied("policy", silence(rules), false),
        }
    }

    /// Whether it may do this without anybody being asked.
    pub(crate) fn allows(&self, touch: &Touch) -> bool {
        match self.decide(touch) {
            Verdict::Allowed { .. } => true,
            Verdict::Ask { .. } | Verdict::Denied { .. } => false,
        }
    }

    /// Everything that it was given and that nothing forbids, be it after a question: what its children stay within. What
    /// its own type asks for is no bound to them: they have types of their own.
    pub(crate) fn bound(&self) -> Grants {
        let granted = match (&self.given, &self.rules) {
            (Some(given), Some(rules)) => given.meet(&rules.all()),
            (Some(given), None) => (**given).clone(),
            (None, Some(rules)) => rules.all(),
            (None, None) => Grants::default(),
        };
        let granted = self.withdrawn.strip(granted);
        self.rules.iter().fold(granted, |granted, rules| rules.strip(granted))
    }

    /// What a child of it is given: of another plugin nothing, unless a policy says what that one may have.
    pub(crate) fn of_child(&self, same_plugin: bool) -> Grants {
        if same_plugin || self.rules.is_some() { self.bound() } else { Grants::default() }
    }

    /// What of that its own type asks for.
    pub(crate) fn seen(&self) -> Grants {
        self.requested.narrow(&self.bound())
    }

    /// The folders that it sees.
    pub(crate) fn dirs(&self) -> Vec<DirGrant> {
        // Each start asks, and most types want none or are given none.
        let may_be_given = match (&self.given, &self.rules) {
            (Some(given), _) => !given.dirs.is_empty(),
            (None, rules) => rules.is_some(),
        };
        if may_be_given && self.requested.asks_for_any(Capability::Fs) { self.seen().dirs } else { Vec::new() }
    }

    /// The environment that it sees at its start; each variable is looked at again when it is read.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        self.seen().env
    }

    /// The policy has changed.
    pub(crate) fn set_rules(&mut self, rules: SharedRules) {
        self.rules = Some(rules);
    }

    /// What was taken away for good.
    pub(crate) fn withdrawn(&self) -> &BTreeSet<Capability> {
        &self.withdrawn.capabilities
    }

    /// Takes a capability away for good.
    pub(crate) fn withdraw(&mut self, capability: Capability) {
        self.withdrawn.capabilities.insert(capability);
    }

    /// Keeps what somebody said, for as long as the task lives.
    pub(crate) fn answered(&mut self, touch: Touch, yes: bool) {
        if yes {
            self.allowed.insert(touch);
        } else {
            self.refused.insert(touch);
        }
    }
}

/// Why the policy says nothing of it.
fn silence(rules: &Rules) -> String {
    match &rules.standing {
        Standing::Known => "the policy does not grant it".to_owned(),
        Standing::Unknown => "the policy has no rules for this plugin".to_owned(),
        Standing::OtherBytes(known) => {
            format!("the policy's rules for this plugin are for other bytes, those with the digest {known}")
        }
        Standing::NoDigest => "the policy's rules for this plugin name no digest, and so grant nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use crate::model::grants::Access;
    use crate::model::grants::http::HttpTouch;
    use crate::model::grants::tests::{any_grants, any_touch};
    use crate::model::ids::PluginDigest;
    use crate::model::policy::Policy;

    use super::*;

    const POLICY: &str = r#"
        version = 1
        [all.deny]
        http = ["*.internal"]
        [plugins.fetch]
        digest = "any"
        [plugins.fetch.allow]
        http = [{ host = "*.example.com", methods = ["GET"] }]
        fs = [{ host = "/srv/docs", guest = "/docs" }]
        random = false
        [plugins.fetch.ask]
        http = [{ host = "*" }]
        agent = true
        kv = true
        [plugins.fetch.deny]
        http = ["evil.example.com"]
    "#;

    fn rules(policy: &str, plugin: &str) -> SharedRules {
        Arc::new(Policy::parse(policy).unwrap().rules_for(plugin, &PluginDigest::of(b"fetch")))
    }

    fn get(host: &str) -> Touch {
        Touch::Http(HttpTouch { method: "GET".into(), host: host.into(), port: 443, plain: false })
    }

    fn everything() -> Requested {
        let names = ["fs", "http", "env", "secrets", "tasks", "signal", "kv"].map(CapabilityRequest::new);
        let imports = ["taskcell:plugin/host@0.1.2"];
        Requested::new(&names, imports)
    }

    /// `allowed`, `ask` or `denied`, and by which rule.
    fn verdict(mandate: &Mandate, touch: &Touch) -> (&'static str, String) {
        match mandate.decide(touch) {
            Verdict::Allowed { rule } => ("allowed", rule),
            Verdict::Ask { rule } => ("ask", rule),
            Verdict::Denied { rule, .. } => ("denied", rule),
        }
    }

    #[test]
    fn t13_what_is_forbidden_comes_before_what_is_allowed_and_that_before_what_is_asked_about() {
        let mandate = Mandate::new(everything(), Some(rules(POLICY, "fetch")), None);
        let dir = |access| Touch::Dir { host: "/srv/docs/a".into(), guest: "/docs".into(), access };
        let post =
            Touch::Http(HttpTouch { method: "POST".into(), host: "a.example.com".into(), port: 443, plain: false });
        for (touch, is, rule) in [
            (get("a.example.com"), "allowed", "plugins.fetch.allow.http[0]"),
            (post, "ask", "plugins.fetch.ask.http[0]"),
            (get("example.org"), "ask", "plugins.fetch.ask.http[0]"),
            (get("evil.example.com"), "denied", "plugins.fetch.deny.http"),
            (get("db.internal"), "denied", "all.deny.http"),
            (dir(Access::Read), "allowed", "plugins.fetch.allow.fs[0]"),
            (dir(Access::ReadWrite), "denied", "policy"),
            (Touch::Signal, "denied", "policy"),
            (Touch::Agent, "ask", "plugins.fetch.ask.agent"),
            (Touch::Kv, "ask", "plugins.fetch.ask.kv"),
            (Touch::ClockWall, "allowed", "default"),
            (Touch::Random, "denied", "policy"),
        ] {
            assert_eq!(verdict(&mandate, &touch), (is, rule.to_owned()), "{touch}");
        }
    }

    #[test]
    fn t23_other_bytes_under_the_same_name_are_granted_nothing() {
        let bound = POLICY.replace("digest = \"any\"", &format!("digest = \"sha256:{}\"", PluginDigest::of(b"fetch")));
        assert_eq!(
            verdict(&Mandate::new(everything(), Some(rules(&bound, "fetch")), None), &get("a.example.com")).0,
            "allowed"
        );
        let update = Policy::parse(&bound).unwrap().rules_for("fetch", &PluginDigest::of(b"update"));
        let mandate = Mandate::new(everything(), Some(Arc::new(update)), None);
        let Verdict::Denied { denied, .. } = mandate.decide(&get("a.example.com")) else { panic!("it was allowed") };
        assert!(denied.reason.contains("other bytes"), "{denied}");
        assert!(matches!(mandate.decide(&get("example.org")), Verdict::Denied { .. }), "nobody is asked either");
        let unknown = Mandate::new(everything(), Some(rules(&bound, "other")), None);
        assert!(matches!(unknown.decide(&Touch::Kv), Verdict::Denied { .. }));
    }

    #[test]
    fn t23_what_the_plugin_does_not_ask_for_it_does_not_get() {
        let asked = [CapabilityRequest::new("kv")];
        let mandate = Mandate::new(Requested::new(&asked, [""; 0]), Some(rules(POLICY, "fetch")), None);
        assert_eq!(verdict(&mandate, &get("a.example.com")), ("denied", "manifest".to_owned()));
        assert!(mandate.dirs().is_empty());
        assert_eq!(verdict(&mandate, &Touch::Kv).0, "ask");
    }

    #[test]
    fn t45_what_is_taken_away_is_gone_with_the_next_look() {
        let mut mandate = Mandate::new(everything(), Some(rules(POLICY, "fetch")), None);
        let (allowed, asked) = (get("a.example.com"), get("example.org"));
        mandate.answered(asked.clone(), true);
        assert_eq!([verdict(&mandate, &allowed).0, verdict(&mandate, &asked).0], ["allowed"; 2]);
        mandate.set_rules(rules("version = 1", "fetch"));
        assert_eq!([verdict(&mandate, &allowed).0, verdict(&mandate, &asked).0], ["denied"; 2]);
        mandate.set_rules(rules(POLICY, "fetch"));
        mandate.withdraw(Capability::Http);
        assert_eq!([verdict(&mandate, &allowed).0, verdict(&mandate, &asked).0], ["denied"; 2]);
        assert!(mandate.bound().http.is_empty(), "a child does not get it either");
    }

    #[test]
    fn a_no_holds_as_long_as_the_task() {
        let mut mandate = Mandate::new(everything(), Some(rules(POLICY, "fetch")), None);
        mandate.answered(Touch::Kv, false);
        let Verdict::Denied { denied, .. } = mandate.decide(&Touch::Kv) else { panic!("it was asked again") };
        assert!(denied.reason.contains("said no") && !denied.retryable);
    }

    proptest! {
        #[test]
        fn the_folders_are_those_among_all_that_it_sees(
            given in prop::option::of(any_grants()),
            allowed in prop::option::of(any_grants()),
            withdrawn in any::<bool>(),
            asks in 0..3_usize,
        ) {
            let rules = allowed.map(|allowed| {
                let mut rules = (*rules(POLICY, "fetch")).clone();
                rules.allow = allowed;
                Arc::new(rules)
            });
            let reads = CapabilityRequest { access: Some(Access::Read), ..CapabilityRequest::new("fs") };
            let asked = [Requested::default(), everything(), Requested::new(&[reads], [""; 0])];
            let mut mandate = Mandate::new(asked[asks].clone(), rules, given);
            if withdrawn {
                mandate.withdraw(Capability::Fs);
            }
            prop_assert_eq!(mandate.dirs(), mandate.seen().dirs);
        }

        /// Whatever it is given beside the policy, a task gets nothing that the policy does not give; and its children
        /// get nothing that it did not.
        #[test]
        fn r18_t23_no_chain_of_children_may_touch_more_than_the_task_that_began_it(
            first in any_grants(),
            chain in prop::collection::vec((any::<bool>(), any_grants()), 1..5),
            with_policy in any::<bool>(),
            touches in prop::collection::vec(any_touch(), 12),
        ) {
            let rules_of = |grants: &Grants| {
                let mut rules = (*rules(POLICY, "fetch")).clone();
                rules.allow = grants.clone();
                with_policy.then(|| Arc::new(rules))
            };
            let mut above = Mandate::new(everything(), rules_of(&first), Some(first.clone()));
            let may = |mandate: &Mandate, touch: &Touch| !matches!(mandate.decide(touch), Verdict::Denied { .. });
            for (same_plugin, own) in chain {
                let given = Some(above.of_child(same_plugin));
                let own_rules = if same_plugin { above.rules.clone() } else { rules_of(&own) };
                let below = Mandate::new(everything(), own_rules, given);
                for touch in touches.iter().filter(|touch| !touch.capability().is_ambient()) {
                    // The policy's rule for the child's own plugin may ask where the parent's allows: never more.
                    prop_assert!(!may(&below, touch) || may(&above, touch), "{touch}");
                }
                prop_assert!(same_plugin || with_policy || below.bound() == Grants::default());
                above = below;
            }
        }
    }
}
