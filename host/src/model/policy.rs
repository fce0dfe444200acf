//! The operator's policy: what each plugin gets, what somebody is asked about, and what is never allowed.
//!
//! A task may do what its plugin asks for, *and* the policy grants, *and* whoever started it let it have, *and* nothing
//! forbids. Every look starts from the newest policy, so what is taken away is gone with the next call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::capability::Capability;
use super::grants::http::HostPattern;
use super::grants::touch::Touch;
use super::grants::{Entry, Grants};
use super::ids::PluginDigest;
use super::limits::LimitsRequest;
use super::publisher::PublisherKey;

#[cfg(any(test, feature = "cli"))]
pub(crate) mod adding;
pub(crate) mod answer;
#[cfg(any(test, feature = "cli"))]
pub(crate) mod check;
#[cfg(any(test, feature = "cli"))]
pub(crate) mod explain;
pub(crate) mod mandate;
mod publishers;
#[cfg(any(test, feature = "cli"))]
pub(crate) mod suggest;
pub(crate) mod text;

#[cfg(test)]
mod schema_tests;

/// The JSON Schema of a policy.
#[cfg(any(test, feature = "cli"))]
pub(crate) const SCHEMA: &str = include_str!("../../docs/policy.schema.json");

/// What no task gets, whatever is granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Denials {
    /// Whole capabilities.
    pub(crate) capabilities: BTreeSet<Capability>,
    /// Folders: neither they, nor what lies in them, nor a folder that they lie in.
    pub(crate) fs: Vec<PathBuf>,
    pub(crate) http: Vec<HostPattern>,
    pub(crate) env: BTreeSet<String>,
    pub(crate) secrets: BTreeSet<String>,
    pub(crate) tasks: BTreeSet<String>,
    pub(crate) host: BTreeSet<String>,
}

impl Denials {
    /// The name of the list that forbids this.
    pub(crate) fn forbid(&self, touch: &Touch) -> Option<&'static str> {
        if self.capabilities.contains(&touch.capability()) {
            return Some("capabilities");
        }
        let (list, is) = match touch {
            Touch::Dir { host, .. } => {
                ("fs", self.fs.iter().any(|folder| host.starts_with(folder) || folder.starts_with(host)))
            }
            Touch::Http(request) => ("http", self.http.iter().any(|host| host.matches(&request.host))),
            Touch::Env(name) => ("env", self.env.contains(name)),
            Touch::Secret(name) => ("secrets", self.secrets.contains(name)),
            Touch::Tasks(plugin) => ("tasks", self.tasks.contains(plugin)),
            Touch::Function(name) => ("host", self.host.contains(name)),
            Touch::Signal | Touch::Agent | Touch::Kv | Touch::ClockWall | Touch::Random => return None,
        };
        is.then_some(list)
    }

    /// The name of the list that forbids requests to all of these hosts.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn forbid_hosts(&self, hosts: &HostPattern) -> Option<&'static str> {
        if self.capabilities.contains(&Capability::Http) {
            return Some("capabilities");
        }
        self.http.iter().any(|denied| denied.covers(hosts)).then_some("http")
    }

    /// What is left of these when everything goes that this may forbid in part.
    pub(crate) fn strip(&self, mut grants: Grants) -> Grants {
        grants.dirs.retain(|dir| !self.fs.iter().any(|at| dir.host.starts_with(at) || at.starts_with(&dir.host)));
        grants.http.retain(|grant| !self.http.iter().any(|host| host.overlaps(&grant.host)));
        grants.env.retain(|(name, _)| !self.env.contains(name));
        grants.secrets.retain(|name| !self.secrets.contains(name));
        grants.tasks &= self.tasks.is_empty();
        grants.plugins.retain(|name| !self.tasks.contains(name));
        grants.functions.retain(|name| !self.host.contains(name));
        self.capabilities.iter().fold(grants, |grants, capability| grants.whole_without(*capability))
    }
}

/// For whose bytes a plugin's rules are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// These alone: an update is granted nothing until somebody has looked at it.
    Exactly(PluginDigest),
    /// Whatever has the plugin's name.
    Any,
}

/// What the policy says about one plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PluginRules {
    /// For which bytes; without it, the rules grant nothing.
    pub(crate) digest: Option<Bytes>,
    /// Whose signature the plugin has to carry, one of these; with none here, nobody's.
    pub(crate) publishers: BTreeSet<String>,
    pub(crate) allow: Grants,
    /// What somebody is asked about when the plugin is about to do it.
    pub(crate) ask: Grants,
    pub(crate) deny: Denials,
    /// Limits above or below the host's.
    pub(crate) limits: LimitsRequest,
}

/// A secret: where the program takes it from, and where it may go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretRule {
    /// Where it is.
    pub source: SecretSource,
    /// In requests to which hosts it may stand.
    pub hosts: Vec<HostPattern>,
    /// In which header of theirs, in lower case.
    pub header: String,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretSource {
    /// In this variable of the program's environment.
    Env(String),
    /// In this file, without the line's end.
    File(PathBuf),
}

/// What an operator lets plugins do: the content of `taskcell.toml`, checked.
///
/// ```
/// let policy = taskcell::Policy::parse(r#"
///     version = 1
///     [plugins.fetch]
///     digest = "any"
///     [plugins.fetch.allow]
///     http = [{ host = "*.example.com", methods = ["GET"] }]
/// "#)?;
/// assert_eq!(policy.plugins().collect::<Vec<_>>(), ["fetch"]);
/// # Ok::<(), taskcell::PolicyError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// What holds for every plugin.
    pub(crate) all: Common,
    pub(crate) plugins: BTreeMap<String, PluginRules>,
    pub(crate) secrets: BTreeMap<String, SecretRule>,
    /// The keys of publishers, by their names.
    pub(crate) publishers: BTreeMap<String, PublisherKey>,
}

/// What holds for every plugin, whoever wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Common {
    pub(crate) deny: Denials,
    pub(crate) limits: LimitsRequest,
    /// Whether a plugin that carries no publisher's signature is not loaded.
    pub(crate) signed: bool,
}

impl Policy {
    /// The names of the plugins that it has rules for.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        self.plugins.keys().map(String::as_str)
    }

    /// The secrets that it names.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &SecretRule)> {
        self.secrets.iter().map(|(name, rule)| (name.as_str(), rule))
    }

    /// The same with each folder where this says that it really is. Rules compare paths, and a link is not what it leads to.
    #[must_use]
    pub(crate) fn with_real_folders(mut self, real: impl Fn(&Path) -> PathBuf) -> Self {
        let rules = self.plugins.values_mut();
        for grants in rules.flat_map(|rules| [&mut rules.allow, &mut rules.ask]) {
            grants.dirs.iter_mut().for_each(|dir| dir.host = real(&dir.host));
        }
        let denials = self.plugins.values_mut().map(|rules| &mut rules.deny);
        for deny in denials.chain([&mut self.all.deny]) {
            // Both are forbidden: what it is called, and what it is.
            let folders = deny.fs.iter().map(|folder| real(folder)).collect::<Vec<_>>();
            deny.fs.extend(folders);
        }
        self
    }

    /// What holds for these bytes under this name.
    pub(crate) fn rules_for(&self, plugin: &str, digest: &PluginDigest) -> Rules {
        let mut rules = Rules {
            plugin: plugin.to_owned(),
            allow: Grants::default(),
            ask: Grants::nothing(),
            deny: Denials::default(),
            for_all: self.all.deny.clone(),
            secrets: self.secrets.clone(),
            standing: Standing::Unknown,
        };
        let Some(own) = self.plugins.get(plugin) else { return rules };
        rules.deny = own.deny.clone();
        rules.standing = match &own.digest {
            Some(Bytes::Any) => Standing::Known,
            Some(Bytes::Exactly(known)) if known == digest => Standing::Known,
            Some(Bytes::Exactly(known)) => Standing::OtherBytes(*known),
            None => Standing::NoDigest,
        };
        if rules.standing == Standing::Known {
            rules.allow = own.allow.clone();
            rules.ask = own.ask.clone();
        }
        rules
    }

    /// The limits that the operator has for a plugin beside the host's own.
    pub(crate) fn limits_for(&self, plugin: &str) -> LimitsRequest {
        let own = self.plugins.get(plugin).map(|rules| rules.limits).unwrap_or_default();
        own.or(self.all.limits)
    }
}

/// What the policy thinks of a plugin's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has rules for them.
    Known,
    /// It says nothing about the plugin.
    Unknown,
    /// Its rules are for these other bytes.
    OtherBytes(PluginDigest),
    /// Its rules do not say for which bytes they are.
    NoDigest,
}

impl Standing {
    /// What it means for the plugin, in a sentence.
    pub(crate) fn says(&self) -> String {
        match self {
            Self::Known => "the policy's rules are for these bytes".to_owned(),
            Self::Unknown => "the policy has no rules for this plugin, and so grants nothing".to_owned(),
            Self::OtherBytes(known) => {
                format!("the policy's rules are for other bytes, those with the digest {known}, and so grant nothing")
            }
            Self::NoDigest => "the policy's rules name no digest, and so grant nothing".to_owned(),
        }
    }
}

/// What the policy says about one version of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    plugin: String,
    pub(crate) allow: Grants,
    pub(crate) ask: Grants,
    pub(crate) deny: Denials,
    /// What is forbidden to every plugin.
    for_all: Denials,
    /// Where the secrets may go, of those that are granted.
    pub(crate) secrets: BTreeMap<String, SecretRule>,
    pub(crate) standing: Standing,
}

/// What the rules come to for one thing; each with the rule's place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ruling {
    Allow(String),
    Ask(String),
    Deny(String),
    /// No rule speaks of it.
    Silent,
}

impl Rules {
    /// The place of what forbids this, whatever is granted.
    pub(crate) fn forbid(&self, touch: &Touch) -> Option<String> {
        let for_all = self.for_all.forbid(touch).map(|list| format!("all.deny.{list}"));
        for_all.or_else(|| self.deny.forbid(touch).map(|list| format!("plugins.{}.deny.{list}", self.plugin)))
    }

    /// What holds for this: what is forbidden before what is allowed, and that before what is asked about.
    pub(crate) fn rule(&self, touch: &Touch) -> Ruling {
        let plugin = &self.plugin;
        if let Some(rule) = self.forbid(touch) {
            return Ruling::Deny(rule);
        }
        let place = |table: &str, entry: Entry| match entry {
            // What every task may do stands nowhere.
            Entry::Whole if table == "allow" && touch.capability().is_ambient() => "default".to_owned(),
            Entry::Whole => format!("plugins.{plugin}.{table}.{}", key(touch)),
            Entry::At(place) => match touch {
                // A table with names, where all else is a list.
                Touch::Env(name) => format!("plugins.{plugin}.{table}.env.{name}"),
                Touch::Dir { .. }
                | Touch::Http(_)
                | Touch::Secret(_)
                | Touch::Tasks(_)
                | Touch::Signal
                | Touch::Agent
                | Touch::Kv
                | Touch::Function(_)
                | Touch::ClockWall
                | Touch::Random => format!("plugins.{plugin}.{table}.{}[{place}]", key(touch)),
            },
        };
        if let Some(entry) = self.ask.entry_for(touch).filter(|_| touch.capability().is_ambient()) {
            return Ruling::Ask(place("ask", entry));
        }
        if let Some(entry) = self.allow.entry_for(touch) {
            return Ruling::Allow(place("allow", entry));
        }
        match self.ask.entry_for(touch) {
            Some(entry) => Ruling::Ask(place("ask", entry)),
            None => Ruling::Silent,
        }
    }

    /// What is left of these when everything goes that is forbidden.
    pub(crate) fn strip(&self, grants: Grants) -> Grants {
        self.deny.strip(self.for_all.strip(grants))
    }

    /// Everything that may be, be it after a question.
    pub(crate) fn all(&self) -> Grants {
        self.allow.clone().join(&self.ask)
    }
}

/// The key in the policy's tables under which grants of this kind stand.
fn key(touch: &Touch) -> &'static str {
    touch.capability().name()
}

/// Rules that many tasks share, replaced as a whole when the policy changes.
pub(crate) type SharedRules = Arc<Rules>;
