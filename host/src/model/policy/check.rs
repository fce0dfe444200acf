//! What is suspicious about a policy that can be read.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::model::grants::Grants;
use crate::model::grants::http::text;
use crate::model::grants::touch::Touch;
use crate::model::ids::PluginDigest;
use crate::model::publisher::Signed;
use crate::model::requests::Requested;

use super::{Bytes, Denials, PluginRules, Policy, SecretSource};

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Weight {
    /// It does not work.
    Error,
    /// It works, and may not be what was meant.
    Warning,
}

/// Something to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) weight: Weight,
    /// Where it stands, as a path of keys.
    pub(crate) at: String,
    pub(crate) says: String,
}

impl Finding {
    fn error(at: impl Into<String>, says: impl Into<String>) -> Self {
        Self { weight: Weight::Error, at: at.into(), says: says.into() }
    }

    fn warning(at: impl Into<String>, says: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, at: at.into(), says: says.into() }
    }
}

/// What can be found out about the machine.
pub(crate) struct Around<'a> {
    /// Where a folder really is, or what is wrong with it.
    pub(crate) folder: &'a dyn Fn(&Path) -> Result<PathBuf, String>,
    /// What is wrong with a secret's source.
    pub(crate) secret: &'a dyn Fn(&SecretSource) -> Result<(), String>,
}

impl Policy {
    /// What can be seen without any plugin.
    pub(crate) fn findings(&self, around: &Around<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        for (name, rule) in &self.secrets {
            found.extend((around.secret)(&rule.source).err().map(|why| Finding::error(format!("secrets.{name}"), why)));
        }
        if self.all.signed && self.publishers.is_empty() {
            let says =
                "every plugin has to be signed by a publisher that the policy knows, and it knows none: none is loaded";
            found.push(Finding::warning("all.signed", says));
        }
        for name in self.publishers.keys() {
            if !self.all.signed && !self.plugins.values().any(|rules| rules.publishers.contains(name)) {
                let says = "nothing asks for their signature: neither all.signed nor the publishers of any plugin";
                found.push(Finding::warning(format!("publishers.{name}"), says));
            }
        }
        for (name, rules) in &self.plugins {
            let at = format!("plugins.{name}");
            if rules.digest == Some(Bytes::Any) {
                let says = "the rules are for whatever has this name, updates and strangers among them; name a digest";
                found.push(Finding::warning(format!("{at}.digest"), says));
            }
            for (table, grants) in [("allow", &rules.allow), ("ask", &rules.ask)] {
                let at = format!("{at}.{table}");
                folders(&at, grants, around, &mut found);
                self.useless(&at, rules, grants, &mut found);
            }
        }
        found
    }

    /// Grants that something forbids as a whole.
    fn useless(&self, at: &str, rules: &PluginRules, grants: &Grants, found: &mut Vec<Finding>) {
        let bans: [(&str, &Denials); 2] = [("all.deny", &self.all.deny), ("the plugin's own deny", &rules.deny)];
        let mut complain = |key: String, by: &str| {
            let says = format!("{by} forbids it, and so it grants nothing");
            found.push(Finding::warning(format!("{at}.{key}"), says));
        };
        for (by, deny) in bans {
            for (key, touch) in touches(grants) {
                if deny.forbid(&touch).is_some() {
                    complain(key, by);
                }
            }
            for (place, http) in grants.http.iter().enumerate() {
                if deny.forbid_hosts(&http.host).is_some() {
                    complain(format!("http[{place}]"), by);
                }
            }
        }
    }

    /// What can be seen by looking at a plugin that goes by these rules: whether it is signed as it has to be, whether they are
    /// for its bytes, and whether they grant more than it asks for.
    pub(crate) fn findings_about(
        &self,
        plugin: &str,
        (digest, signed): (&PluginDigest, &Signed),
        requested: &Requested,
    ) -> Vec<Finding> {
        let at = format!("plugins.{plugin}");
        let wish = self.wish(plugin);
        let unsigned = !wish.is_met_by(signed);
        let mut found: Vec<Finding> =
            unsigned.then(|| Finding::error(wish.rule(), wish.says_of(plugin, signed))).into_iter().collect();
        let Some(rules) = self.plugins.get(plugin) else {
            found.push(Finding::warning(at, "the policy has no rules for this plugin, and so grants it nothing"));
            return found;
        };
        if let Some(Bytes::Exactly(known)) = &rules.digest
            && known != digest
        {
            let says = format!("the file has the digest sha256:{digest}, and the rules are for other bytes");
            found.push(Finding::error(format!("{at}.digest"), says));
        }
        for (table, grants) in [("allow", &rules.allow), ("ask", &rules.ask)] {
            let mut add = |key: &str, says: &str| found.push(Finding::warning(format!("{at}.{table}.{key}"), says));
            for (key, touch) in touches(grants) {
                if !requested.asks_for(&touch) {
                    add(&key, "the plugin does not ask for it");
                }
            }
            for (place, http) in grants.http.iter().enumerate() {
                let narrow = requested.narrow(&Grants::default().http(http.clone())).http;
                let key = format!("http[{place}]");
                if narrow.is_empty() {
                    add(&key, "the plugin does not ask for it");
                } else if !narrow.iter().any(|part| part.covers(http)) {
                    let asked: Vec<String> = narrow.iter().map(text::written).collect();
                    add(&key, &format!("broader than the plugin asks for: {} would do", asked.join(", ")));
                }
            }
            if grants.tasks && !requested.narrow(&Grants::default().tasks()).tasks {
                add("tasks", "it names every plugin, and the plugin does not ask for all of them");
            }
        }
        found
    }
}

/// What the entries grant, each with its key, but for requests and for every plugin's tasks.
fn touches(grants: &Grants) -> Vec<(String, Touch)> {
    let Grants { dirs, env, signal, kv, tasks: _, plugins, functions, http: _, secrets, without: _ } = grants;
    let mut all = Vec::new();
    for (place, dir) in dirs.iter().enumerate() {
        let touch = Touch::Dir { host: dir.host.clone(), guest: dir.guest.clone(), access: dir.access };
        all.push((format!("fs[{place}]"), touch));
    }
    all.extend(env.iter().map(|(name, _)| (format!("env.{name}"), Touch::Env(name.clone()))));
    all.extend(secrets.iter().map(|name| (format!("secrets ({name})"), Touch::Secret(name.clone()))));
    all.extend(plugins.iter().map(|name| (format!("tasks ({name})"), Touch::Tasks(name.clone()))));
    all.extend(functions.iter().map(|name| (format!("host ({name})"), Touch::Function(name.clone()))));
    all.extend(signal.then(|| ("signal".to_owned(), Touch::Signal)));
    all.extend(kv.then(|| ("kv".to_owned(), Touch::Kv)));
    all
}

/// Folders that are not there, and those that are somewhere else.
fn folders(at: &str, grants: &Grants, around: &Around<'_>, found: &mut Vec<Finding>) {
    for (place, dir) in grants.dirs.iter().enumerate() {
        let at = format!("{at}.fs[{place}]");
        match (around.folder)(&dir.host) {
            Err(why) => found.push(Finding::error(at, format!("{}: {why}", dir.host.display()))),
            Ok(real) if real != dir.host => {
                let says = format!("{} leads to {}, and that is what is granted", dir.host.display(), real.display());
                found.push(Finding::warning(at, says));
            }
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::requests::CapabilityRequest;

    const POLICY: &str = r#"
        version = 1
        [all.deny]
        env = ["KEY"]
        http = ["*.internal"]
        [secrets.token]
        env = "TOKEN"
        hosts = ["a.b"]
        [plugins.a]
        digest = "any"
        [plugins.a.allow]
        fs = [{ host = "/there" }, { host = "/gone" }, { host = "/link", access = "read-write" }]
        http = [{ host = "db.internal" }, { host = "*.example.com" }, { host = "other.org" }]
        env = { KEY = "1" }
        tasks = ["*"]
        kv = true
        signal = true
        [plugins.a.deny]
        capabilities = ["kv"]
    "#;

    fn told(found: &[Finding]) -> Vec<String> {
        found.iter().map(|it| format!("{:?} {}: {}", it.weight, it.at, it.says)).collect()
    }

    #[test]
    fn t24_what_cannot_be_meant_is_told_with_its_place() {
        let around = Around {
            folder: &|path| match path.to_str() {
                Some("/gone") => Err("No such file or directory".to_owned()),
                Some("/link") => Ok("/real".into()),
                _ => Ok(path.to_owned()),
            },
            secret: &|_| Err("the variable TOKEN is not set".to_owned()),
        };
        assert_eq!(
            told(&Policy::parse(POLICY).unwrap().findings(&around)),
            [
                "Error secrets.token: the variable TOKEN is not set",
                "Warning plugins.a.digest: the rules are for whatever has this name, updates and strangers among them; name a digest",
                "Error plugins.a.allow.fs[1]: /gone: No such file or directory",
                "Warning plugins.a.allow.fs[2]: /link leads to /real, and that is what is granted",
                "Warning plugins.a.allow.env.KEY: all.deny forbids it, and so it grants nothing",
                "Warning plugins.a.allow.http[0]: all.deny forbids it, and so it grants nothing",
                "Warning plugins.a.allow.kv: the plugin's own deny forbids it, and so it grants nothing",
            ]
        );
    }

    #[test]
    fn t23_what_is_granted_beyond_the_plugins_wishes_is_told() {
        let asked: Vec<CapabilityRequest> = serde_json::from_value(serde_json::json!([
            {"capability": "fs", "access": "read"}, {"capability": "kv"}, {"capability": "env"},
            {"capability": "http", "hosts": ["api.example.com", "db.internal"]},
            {"capability": "tasks", "plugins": ["b"]},
        ]))
        .unwrap();
        let requested = Requested::new(&asked, [""; 0]);
        let digest = PluginDigest::of(b"a");
        let policy = Policy::parse(POLICY).unwrap();
        assert_eq!(
            told(&policy.findings_about("a", (&digest, &Signed::Not), &requested)),
            [
                "Warning plugins.a.allow.fs[2]: the plugin does not ask for it",
                "Warning plugins.a.allow.signal: the plugin does not ask for it",
                "Warning plugins.a.allow.http[1]: broader than the plugin asks for: api.example.com would do",
                "Warning plugins.a.allow.http[2]: the plugin does not ask for it",
                "Warning plugins.a.allow.tasks: it names every plugin, and the plugin does not ask for all of them",
            ]
        );
        let bound = POLICY.replace("\"any\"", &format!("\"sha256:{}\"", PluginDigest::of(b"old")));
        let found = told(&Policy::parse(&bound).unwrap().findings_about("a", (&digest, &Signed::Not), &requested));
        assert!(found[0].starts_with("Error plugins.a.digest: the file has the digest sha256:"), "{found:?}");
        assert!(
            told(&policy.findings_about("b", (&digest, &Signed::Not), &requested))[0]
                .contains("no rules for this plugin")
        );
    }
}
