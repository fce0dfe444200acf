//! Whose signatures plugins have to carry.

use std::collections::BTreeSet;

#[cfg(any(test, feature = "cli"))]
use crate::model::publisher::listed;
use crate::model::publisher::{Signed, Unsigned};

#[cfg(any(test, feature = "cli"))]
use super::Common;
use super::Policy;

/// Whose signature a policy wants of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    plugin: String,
    /// One of these, if the plugin's own rules say so.
    own: BTreeSet<String>,
    /// One of all that the policy knows.
    known: bool,
}

impl Wish {
    /// Whether it wants any.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn is_any(&self) -> bool {
        self.known || !self.own.is_empty()
    }

    /// The place in the policy that says so.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn rule(&self) -> String {
        if self.own.is_empty() { "all.signed".to_owned() } else { format!("plugins.{}.publishers", self.plugin) }
    }

    /// The publishers one of whom it is to be; when there is none, any whom the policy knows will do.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn of(&self) -> &BTreeSet<String> {
        &self.own
    }

    /// Whether a plugin that carries this is loaded.
    pub(crate) fn is_met_by(&self, signed: &Signed) -> bool {
        let mut by = signed.publishers();
        if self.own.is_empty() { !self.known || by.next().is_some() } else { by.any(|name| self.own.contains(name)) }
    }

    /// What comes of it, in a sentence.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn says_of(&self, plugin: &str, signed: &Signed) -> String {
        if !self.is_any() {
            return format!("nobody has to have signed {plugin}, and it {signed}");
        }
        let whom = if self.own.is_empty() {
            "a publisher that the policy knows".to_owned()
        } else {
            listed(&self.own, " or ")
        };
        let (and, comes) = if self.is_met_by(signed) { ("and", "it is loaded") } else { ("but", "it is not loaded") };
        format!("{plugin} has to be signed by {whom}, {and} it {signed}: {comes}")
    }
}

impl Policy {
    /// Whose signature it wants of this plugin.
    pub(crate) fn wish(&self, plugin: &str) -> Wish {
        let own = self.plugins.get(plugin).map(|rules| rules.publishers.clone()).unwrap_or_default();
        Wish { plugin: plugin.to_owned(), own, known: self.all.signed }
    }

    /// The plugins of which it wants somebody's signature, with the names of those.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn wishes(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        let all = self.plugins.iter().map(|(name, rules)| (name.as_str(), &rules.publishers));
        all.filter(|(_, publishers)| !publishers.is_empty())
    }

    /// Whether it wants a known publisher's signature of every plugin.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn wants_all_signed(&self) -> bool {
        self.all.signed
    }

    /// The publishers that it knows.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn known_publishers(&self) -> BTreeSet<String> {
        self.publishers.keys().cloned().collect()
    }

    /// One that knows the same publishers, and wants nothing of anybody: to look at what it would not let in.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn knowing_only(&self) -> Self {
        Self { all: Common::default(), publishers: self.publishers.clone(), ..Self::default() }
    }

    /// Whether a file that carries this may be loaded at all, whatever it calls itself.
    pub(crate) fn admits(&self, signed: &Signed) -> Result<(), Unsigned> {
        let any = Wish { plugin: String::new(), own: BTreeSet::new(), known: self.all.signed };
        if any.is_met_by(signed) { Ok(()) } else { Err(Unsigned { required: any.own }) }
    }

    /// Whether it may be loaded under its name.
    pub(crate) fn admits_as(&self, plugin: &str, signed: &Signed) -> Result<(), Unsigned> {
        self.admits(signed)?;
        let wish = self.wish(plugin);
        if wish.is_met_by(signed) { Ok(()) } else { Err(Unsigned { required: wish.own }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who signed, and whether it is loaded as `fetch`, as another plugin, and where all have to be signed.
    #[test]
    fn t23_a_name_that_is_a_publishers_is_for_what_they_signed() {
        let key = |digit: &str| digit.repeat(64);
        let text = format!(
            "version = 1\n[publishers]\nacme = \"{}\"\numbrella = \"{}\"\n[plugins.fetch]\npublishers = [\"acme\"]\n",
            key("1"),
            key("2")
        );
        let policy = Policy::parse(&text).unwrap();
        let strict = Policy::parse(&format!("{text}[all]\nsigned = true")).unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let strangers = Signed::Unknown { keys: names(&["00"]) };
        for (signed, fetch, other, all) in [
            (Signed::Not, false, true, false),
            (Signed::Unusable("it is long"), false, true, false),
            (strangers, false, true, false),
            (Signed::False(names(&["acme"])), false, true, false),
            (Signed::By(names(&["umbrella"])), false, true, true),
            (Signed::By(names(&["acme", "umbrella"])), true, true, true),
        ] {
            assert_eq!(policy.admits_as("fetch", &signed).is_ok(), fetch, "{signed:?}");
            assert_eq!(policy.admits_as("other", &signed).is_ok(), other, "{signed:?}");
            assert_eq!(strict.admits_as("other", &signed).is_ok(), all, "{signed:?}");
            assert_eq!(strict.admits(&signed).is_ok(), all, "{signed:?}");
            let missing = Unsigned { required: names(&["acme"]) };
            assert_eq!(policy.admits_as("fetch", &signed), if fetch { Ok(()) } else { Err(missing) });
            let lenient = strict.knowing_only();
            assert!(lenient.admits_as("fetch", &signed).is_ok(), "{signed:?}");
            assert_eq!(lenient.known_publishers(), names(&["acme", "umbrella"]));
        }
    }

    #[test]
    fn t23_what_is_wanted_of_publishers_is_said() {
        let text = format!(
            "version = 1\n[publishers]\nacme = \"{}\"\n[plugins.fetch]\npublishers = [\"acme\"]\n",
            "1".repeat(64)
        );
        let policy = Policy::parse(&text).unwrap();
        let strict = Policy::parse(&format!("{text}[all]\nsigned = true")).unwrap();
        let acme = Signed::By(BTreeSet::from(["acme".to_owned()]));
        for (policy, plugin, signed, rule, says) in [
            (
                &policy,
                "fetch",
                &acme,
                "plugins.fetch.publishers",
                "fetch has to be signed by acme, and it is signed by acme: it is loaded",
            ),
            (
                &policy,
                "fetch",
                &Signed::Not,
                "plugins.fetch.publishers",
                "fetch has to be signed by acme, but it carries no signature: it is not loaded",
            ),
            (&policy, "a", &Signed::Not, "", "nobody has to have signed a, and it carries no signature"),
            (
                &strict,
                "a",
                &Signed::Not,
                "all.signed",
                "a has to be signed by a publisher that the policy knows, but it carries no signature: it is not loaded",
            ),
        ] {
            let wish = policy.wish(plugin);
            assert_eq!(wish.says_of(plugin, signed), says);
            assert!(!wish.is_any() || wish.rule() == rule, "{wish:?}");
        }
    }

    #[test]
    fn t24_a_key_that_is_none_is_told_with_its_place() {
        for (text, told) in [
            ("[publishers]\nacme = \"key\"", "publishers.acme: \"key\" is no public key"),
            ("[publishers]\n\"\" = \"1111111111111111111111111111111111111111111111111111111111111111\"", "no name"),
        ] {
            let error = Policy::parse(&format!("version = 1\n{text}")).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let same = "1".repeat(64);
        let text = format!("version = 1\n[publishers]\na = \"{same}\"\nb = \"{same}\"");
        let error = Policy::parse(&text).unwrap_err().to_string();
        assert!(error.contains("publishers.b") && error.contains("\"a\""), "{error}");
    }
}
