//! Whose signatures plugins have to carry.

use std::collections::BTreeSet;

use crate::model::publisher::{Signed, Unsigned};

use super::Policy;

impl Policy {
    /// Whether a file that carries this may be loaded at all, whatever it calls itself.
    pub(crate) fn admits(&self, signed: &Signed) -> Result<(), Unsigned> {
        if self.all.signed && signed.publishers().next().is_none() {
            return Err(Unsigned { required: BTreeSet::new() });
        }
        Ok(())
    }

    /// Whether it may be loaded under its name.
    pub(crate) fn admits_as(&self, plugin: &str, signed: &Signed) -> Result<(), Unsigned> {
        self.admits(signed)?;
        let required = self.plugins.get(plugin).map(|rules| &rules.publishers).filter(|required| !required.is_empty());
        match required {
            Some(required) if !signed.publishers().any(|name| required.contains(name)) => {
                Err(Unsigned { required: required.clone() })
            }
            Some(_) | None => Ok(()),
        }
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
