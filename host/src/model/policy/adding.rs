//! What somebody at the terminal adds to a policy for one run.

use std::collections::BTreeSet;

use crate::model::capability::Capability;
use crate::model::grants::Grants;
use crate::model::ids::PluginDigest;
use crate::model::limits::LimitsRequest;

use super::{Bytes, Policy};

/// What is said beside the policy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addition {
    pub(crate) grants: Grants,
    /// What every task may unless it is taken away, and is to be given back.
    pub(crate) ambient: BTreeSet<Capability>,
    /// What is taken away as a whole.
    pub(crate) without: BTreeSet<Capability>,
    /// Limits in the place of the policy's.
    pub(crate) limits: LimitsRequest,
}

impl Policy {
    /// This policy with more for one plugin, for these bytes of it. What it forbids stays forbidden. Rules that are for
    /// other bytes are gone then: nobody has other bytes in this run.
    #[must_use]
    pub(crate) fn with(mut self, plugin: &str, digest: &PluginDigest, more: &Addition) -> Self {
        let known = self.rules_for(plugin, digest);
        // Of what every task has, nothing comes back by the way.
        let kept = Grants::nothing().without.into_iter().filter(|capability| !more.ambient.contains(capability));
        let grants = Grants { without: kept.collect(), ..more.grants.clone() };
        let own = self.plugins.entry(plugin.to_owned()).or_default();
        own.allow = known.allow;
        // A variable has one value, and it is the one that was said last.
        own.allow.env.retain(|(name, _)| grants.env.iter().all(|(said, _)| said != name));
        own.allow = std::mem::take(&mut own.allow).join(&grants);
        own.ask = known.ask;
        // Nobody is asked about what is given back.
        own.ask.without.extend(&more.ambient);
        own.digest = Some(Bytes::Exactly(*digest));
        own.deny.capabilities.extend(&more.without);
        own.limits = more.limits.or(own.limits);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::grants::touch::Touch;
    use crate::model::policy::Ruling;

    #[test]
    fn t23_what_the_person_adds_holds_for_these_bytes_and_breaks_no_ban() {
        let digest = PluginDigest::of(b"new");
        let text = format!(
            "version = 1\n[all.deny]\nenv = [\"KEY\"]\n[plugins.a]\ndigest = \"sha256:{}\"\nlimits = {{ fuel = 7, tokens = 3 }}\n\
             [plugins.a.allow]\nkv = true",
            PluginDigest::of(b"old")
        );
        let more = Addition {
            grants: Grants::default().signal().env("KEY", "1").env("LANG", "C"),
            ambient: BTreeSet::from([Capability::Random]),
            without: BTreeSet::from([Capability::Agent]),
            limits: LimitsRequest { fuel: Some(9), ..LimitsRequest::default() },
        };
        let policy = Policy::parse(&text).unwrap().with("a", &digest, &more);
        let rules = policy.rules_for("a", &digest);
        let allowed = |touch: &Touch| matches!(rules.rule(touch), Ruling::Allow(_));
        assert!(allowed(&Touch::Signal) && allowed(&Touch::Env("LANG".to_owned())));
        assert_eq!(rules.rule(&Touch::Env("KEY".to_owned())), Ruling::Deny("all.deny.env".to_owned()));
        assert!(!allowed(&Touch::Kv), "that was for the old bytes");
        assert!(!allowed(&Touch::Agent));
        let limits = policy.limits_for("a");
        assert_eq!((limits.fuel, limits.tokens), (Some(9), Some(3)));
        let strict =
            "version = 1\n[plugins.a]\ndigest = \"any\"\n[plugins.a.allow]\nrandom = false\nclock-wall = false";
        let rules = Policy::parse(strict).unwrap().with("a", &digest, &more).rules_for("a", &digest);
        assert_eq!(rules.rule(&Touch::ClockWall), Ruling::Silent, "it was not given back");
        assert!(matches!(rules.rule(&Touch::Random), Ruling::Allow(_)));
        let asks = "version = 1\n[plugins.a]\ndigest = \"any\"\n[plugins.a.ask]\nrandom = true\nagent = true\n\
             [plugins.a.allow]\nenv = { LANG = \"de\", TZ = \"UTC\" }";
        let rules = Policy::parse(asks).unwrap().with("a", &digest, &more).rules_for("a", &digest);
        assert!(matches!(rules.rule(&Touch::Random), Ruling::Allow(_)), "nobody is asked about it");
        assert!(matches!(rules.rule(&Touch::ClockWall), Ruling::Allow(_)));
        let mut env = rules.allow.env.clone();
        env.sort();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(env, [pair("KEY", "1"), pair("LANG", "C"), pair("TZ", "UTC")], "one value each");
        let other = policy.rules_for("b", &digest);
        assert_eq!(other.rule(&Touch::Signal), Ruling::Silent);
    }
}
