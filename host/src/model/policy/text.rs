//! `taskcell.toml`: read strictly, so that a misspelt word is an error and never a rule that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml_edit::de;

use crate::model::capability::Capability;
use crate::model::grants::http::{HostPattern, HttpGrant};
use crate::model::grants::{Access, DirGrant, Grants};
use crate::model::ids::PluginDigest;
use crate::model::limits::LimitsRequest;
use crate::model::manifest;
use crate::model::publisher::PublisherKey;

use super::{Bytes, Common, Denials, PluginRules, Policy, SecretRule, SecretSource};

/// The policy version that this program knows.
const VERSION: u64 = 1;
/// Bytes of a policy. Protects whoever checks one of somebody else's.
const BYTES_MAX: usize = 1 << 20;

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// It is no TOML, or has a key or value that means nothing; with the place.
    #[error("{0}")]
    Text(String),
    /// It is of a version that this program does not know.
    #[error("it is of version {found}, and this program knows version {VERSION}; a newer one may read it")]
    Version {
        /// Which one.
        found: u64,
    },
    /// It is too long.
    #[error("it has {size} bytes; a policy has at most {BYTES_MAX}")]
    TooLarge {
        /// How long.
        size: usize,
    },
    /// A value cannot be what it is said to be.
    #[error("{at}: {why}")]
    Value {
        /// Where it stands, as a path of keys.
        at: String,
        /// What is wrong.
        why: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    version: u64,
    #[serde(default)]
    all: AllText,
    #[serde(default)]
    plugins: BTreeMap<String, PluginText>,
    #[serde(default)]
    secrets: BTreeMap<String, SecretText>,
    #[serde(default)]
    publishers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AllText {
    deny: DenyText,
    limits: BTreeMap<String, u64>,
    signed: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PluginText {
    digest: Option<String>,
    publishers: BTreeSet<String>,
    allow: GrantText,
    ask: GrantText,
    deny: DenyText,
    limits: BTreeMap<String, u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GrantText {
    fs: Vec<DirText>,
    http: Vec<HttpGrant>,
    env: BTreeMap<String, String>,
    secrets: BTreeSet<String>,
    tasks: BTreeSet<String>,
    host: BTreeSet<String>,
    signal: bool,
    kv: bool,
    agent: Option<bool>,
    #[serde(rename = "clock-wall")]
    clock_wall: Option<bool>,
    random: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirText {
    host: PathBuf,
    guest: Option<String>,
    #[serde(default = "read")]
    access: Access,
    bytes: Option<u64>,
    inodes: Option<u64>,
}

fn read() -> Access {
    Access::Read
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DenyText {
    capabilities: BTreeSet<Capability>,
    fs: Vec<PathBuf>,
    http: Vec<HostPattern>,
    env: BTreeSet<String>,
    secrets: BTreeSet<String>,
    tasks: BTreeSet<String>,
    host: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretText {
    env: Option<String>,
    file: Option<PathBuf>,
    hosts: Vec<HostPattern>,
    #[serde(default = "authorization")]
    header: String,
}

fn authorization() -> String {
    "authorization".to_owned()
}

/// Every other plugin's tasks.
const ANY_PLUGIN: &str = "*";
/// Whatever has the plugin's name.
const ANY_BYTES: &str = "any";

impl Policy {
    /// Reads a policy, as it stands in `taskcell.toml`.
    ///
    /// # Errors
    /// [`PolicyError`] names the place and says what is wrong: a key that means nothing, a capability, a limit or a host
    /// that is none, a secret or a publisher that is not there.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > BYTES_MAX {
            return Err(PolicyError::TooLarge { size: text.len() });
        }
        let document: toml_edit::DocumentMut = text.parse().map_err(|error| in_text(&error))?;
        // Before all else, because another version may have other keys.
        if let Some(version) = document.get("version").and_then(toml_edit::Item::as_integer) {
            let found = u64::try_from(version).unwrap_or_default();
            if found != VERSION {
                return Err(PolicyError::Version { found });
            }
        }
        let text: PolicyText = de::from_str(text).map_err(|error| in_text(&error))?;
        text.checked()
    }
}

fn in_text(error: &impl ToString) -> PolicyError {
    PolicyError::Text(error.to_string().trim_end().to_owned())
}

pub(super) fn wrong(at: impl Into<String>, why: impl Into<String>) -> PolicyError {
    PolicyError::Value { at: at.into(), why: why.into() }
}

impl PolicyText {
    fn checked(self) -> Result<Policy, PolicyError> {
        debug_assert_eq!(self.version, VERSION, "other versions were told before");
        let mut secrets = BTreeMap::new();
        for (name, secret) in self.secrets {
            let at = format!("secrets.{name}");
            check_name(&at, &name)?;
            let rule = secret.checked(&at)?;
            secrets.insert(name, rule);
        }
        let mut plugins = BTreeMap::new();
        for (name, plugin) in self.plugins {
            let at = format!("plugins.{name}");
            check_name(&at, &name)?;
            let rules = plugin.checked(&at)?;
            let named = rules.allow.secrets.union(&rules.ask.secrets);
            if let Some(missing) = named.into_iter().find(|name| !secrets.contains_key(*name)) {
                return Err(wrong(
                    at,
                    format!("it grants the secret {missing:?}, and there is no [secrets.{missing}]"),
                ));
            }
            if let Some(missing) = rules.publishers.iter().find(|name| !self.publishers.contains_key(*name)) {
                let why = format!("it names the publisher {missing:?}, and [publishers] has no key of that name");
                return Err(wrong(format!("{at}.publishers"), why));
            }
            plugins.insert(name, rules);
        }
        let all = Common {
            deny: self.all.deny.checked("all.deny")?,
            limits: limits("all.limits", self.all.limits)?,
            signed: self.all.signed,
        };
        Ok(Policy { all, plugins, secrets, publishers: publishers(self.publishers)? })
    }
}

/// The keys of publishers. Two of the same key would both have signed whatever one of them did.
fn publishers(text: BTreeMap<String, String>) -> Result<BTreeMap<String, PublisherKey>, PolicyError> {
    let mut known: BTreeMap<String, PublisherKey> = BTreeMap::new();
    for (name, key) in text {
        let at = format!("publishers.{name}");
        if name.trim().is_empty() {
            return Err(wrong(at, "a publisher has no name"));
        }
        let forms =
            "64 hexadecimal digits, as `taskcell keygen` shows them, a PEM file's text, or a line `ssh-ed25519 …`";
        let parsed =
            PublisherKey::parse(&key).ok_or_else(|| wrong(&at, format!("{key:?} is no public key: {forms}")))?;
        if let Some((other, _)) = known.iter().find(|(_, known)| **known == parsed) {
            return Err(wrong(at, format!("it has the same key as {other:?}")));
        }
        known.insert(name, parsed);
    }
    Ok(known)
}

/// Names of plugins and secrets: what can stand in an error, a rule's place and a placeholder as it is.
fn check_name(at: &str, name: &str) -> Result<(), PolicyError> {
    if manifest::is_name(name) {
        return Ok(());
    }
    Err(wrong(at, "a name has lower-case letters, digits and `-`, at most 64, and begins with a letter"))
}

impl SecretText {
    fn checked(self, at: &str) -> Result<SecretRule, PolicyError> {
        let source = match (self.env, self.file) {
            (Some(name), None) => SecretSource::Env(name),
            (None, Some(path)) => SecretSource::File(absolute(at, path)?),
            (Some(_), Some(_)) | (None, None) => {
                return Err(wrong(at, "say where it is, with either `env = \"NAME\"` or `file = \"/PATH\"`"));
            }
        };
        if self.hosts.is_empty() {
            return Err(wrong(at, "`hosts` is empty: name the hosts that may get to see it"));
        }
        let header = self.header.to_ascii_lowercase();
        let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if header.is_empty() || !header.bytes().all(is_token) {
            return Err(wrong(at, format!("{:?} is no header's name", self.header)));
        }
        Ok(SecretRule { source, hosts: self.hosts, header })
    }
}

impl PluginText {
    fn checked(self, at: &str) -> Result<PluginRules, PolicyError> {
        let digest = self.digest.map(|text| digest(at, &text)).transpose()?;
        let allow = self.allow.checked(&format!("{at}.allow"), Grants::default())?;
        let ask = self.ask.checked(&format!("{at}.ask"), Grants::nothing())?;
        let both = allow.clone().join(&ask);
        if let Some(guest) = both.clash() {
            return Err(wrong(at, format!("two folders, or one and the host's own, would be seen as {guest:?}")));
        }
        if digest.is_none() && !(allow == Grants::default() && ask == Grants::nothing()) {
            let why = format!(
                "it grants something, and does not say to which bytes: write `digest = \"sha256:…\"` as `taskcell inspect` \
                 shows it, or `digest = {ANY_BYTES:?}` for whatever has this name"
            );
            return Err(wrong(at, why));
        }
        Ok(PluginRules {
            digest,
            publishers: self.publishers,
            allow,
            ask,
            deny: self.deny.checked(&format!("{at}.deny"))?,
            limits: limits(&format!("{at}.limits"), self.limits)?,
        })
    }
}

fn digest(at: &str, text: &str) -> Result<Bytes, PolicyError> {
    if text == ANY_BYTES {
        return Ok(Bytes::Any);
    }
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let parsed = serde_json::from_value::<PluginDigest>(serde_json::Value::String(hex.to_owned()));
    let why = |_| format!("{text:?} is no digest: write `sha256:` and its 64 digits, or {ANY_BYTES:?}");
    parsed.map(Bytes::Exactly).map_err(|error| wrong(format!("{at}.digest"), why(error)))
}

impl GrantText {
    /// With what a plugin has whose table does not speak of it.
    fn checked(self, at: &str, mut grants: Grants) -> Result<Grants, PolicyError> {
        for (place, dir) in self.fs.into_iter().enumerate() {
            let at = format!("{at}.fs[{place}]");
            let host = absolute(&at, dir.host)?;
            let guest = dir.guest.unwrap_or_else(|| host.display().to_string());
            grants.dirs.push(DirGrant { host, guest, access: dir.access, bytes: dir.bytes, inodes: dir.inodes });
        }
        for (place, http) in self.http.into_iter().enumerate() {
            let at = format!("{at}.http[{place}]");
            if http.ports.is_empty() || http.ports.contains(&0) {
                return Err(wrong(at, "`ports` names no port, or 0"));
            }
            let is_upper = |method: &String| method.bytes().all(|c| c.is_ascii_uppercase()) && !method.is_empty();
            if let Some(method) = http.methods.iter().find(|method| !is_upper(method)) {
                return Err(wrong(at, format!("{method:?} is no method: they are written in upper case, as `GET`")));
            }
            grants.http.push(http);
        }
        grants.env.extend(self.env);
        grants.secrets = self.secrets;
        grants.plugins = self.tasks;
        grants.tasks = grants.plugins.remove(ANY_PLUGIN);
        grants.functions = self.host;
        (grants.signal, grants.kv) = (self.signal, self.kv);
        let ambient = [
            (Capability::Agent, self.agent),
            (Capability::ClockWall, self.clock_wall),
            (Capability::Random, self.random),
        ];
        for (capability, is) in ambient {
            match is {
                Some(true) => drop(grants.without.remove(&capability)),
                Some(false) => drop(grants.without.insert(capability)),
                None => {}
            }
        }
        Ok(grants)
    }
}

impl DenyText {
    fn checked(self, at: &str) -> Result<Denials, PolicyError> {
        let Self { capabilities, fs, http, env, secrets, tasks, host } = self;
        if tasks.contains(ANY_PLUGIN) {
            let why = format!(
                "{ANY_PLUGIN:?} is no plugin's name, and would forbid nothing: write `capabilities = [\"tasks\"]` to forbid all"
            );
            return Err(wrong(format!("{at}.tasks"), why));
        }
        let fs = fs.into_iter().map(|path| absolute(&format!("{at}.fs"), path)).collect::<Result<_, _>>()?;
        Ok(Denials { capabilities, fs, http, env, secrets, tasks, host })
    }
}

/// A path that means the same from everywhere.
fn absolute(at: &str, path: PathBuf) -> Result<PathBuf, PolicyError> {
    let strange = |path: &Path| path.components().any(|part| part == std::path::Component::ParentDir);
    if !path.is_absolute() || strange(&path) {
        return Err(wrong(at, format!("{} is no absolute path without `..`", path.display())));
    }
    Ok(path)
}

/// Limits by their names on the wire.
fn limits(at: &str, text: BTreeMap<String, u64>) -> Result<LimitsRequest, PolicyError> {
    if let Some(unknown) = text.keys().find(|name| LimitsRequest::ALL.iter().all(|limit| limit.name != name.as_str())) {
        return Err(wrong(at, format!("there is no limit {unknown:?}; `taskcell limits` lists them")));
    }
    let object = text.into_iter().map(|(name, value)| (name, value.into())).collect();
    serde_json::from_value(serde_json::Value::Object(object)).map_err(|error| wrong(at, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Policy::parse(&format!("version = 1\n{text}")).unwrap_err().to_string()
    }

    #[test]
    fn t24_whatever_means_nothing_is_an_error_that_names_it() {
        for (text, told) in [
            ("allow = 1", "allow"),
            ("[all.deny]\ncapabilities = [\"sockets\"]", "sockets"),
            ("[plugins.x.deny]\ntasks = [\"*\"]", "capabilities = [\"tasks\"]"),
            ("[all.limits]\nfuels = 1", "no limit \"fuels\""),
            ("[plugins.x]\ndigest = \"any\"\n[plugins.x.allow]\nhttps = []", "https"),
            ("[plugins.x]\ndigest = \"any\"\n[plugins.x.allow]\nhttp = [{ host = \"https://a.b\" }]", "is no host"),
            ("[plugins.x]\ndigest = \"any\"\n[plugins.x.allow]\nhttp = [{ host = \"a.b\", port = 1 }]", "port"),
            (
                "[plugins.x]\ndigest = \"any\"\n[plugins.x.allow]\nhttp = [{ host = \"a.b\", methods = [\"get\"] }]",
                "upper case",
            ),
            ("[plugins.x]\ndigest = \"any\"\n[plugins.x.allow]\nhttp = [{ host = \"a.b\", ports = [] }]", "no port"),
            ("[plugins.x]\ndigest = \"any\"\n[plugins.x.allow]\nfs = [{ host = \"docs\" }]", "no absolute path"),
            ("[plugins.x]\ndigest = \"any\"\n[plugins.x.allow]\nfs = [{ host = \"/a/../b\" }]", "no absolute path"),
            (
                "[plugins.x]\ndigest = \"any\"\n[plugins.x.allow]\nfs = [{ host = \"/a\", guest = \"/scratch\" }]",
                "/scratch",
            ),
            ("[plugins.x]\ndigest = \"any\"\n[plugins.x.allow]\nsecrets = [\"key\"]", "no [secrets.key]"),
            ("[plugins.x]\npublishers = [\"acme\"]", "publisher \"acme\""),
            ("[plugins.x.allow]\nkv = true", "to which bytes"),
            ("[plugins.x]\ndigest = \"sha256:12\"", "no digest"),
            ("[plugins.X]\ndigest = \"any\"", "plugins.X"),
            ("[secrets.key]\nhosts = [\"a.b\"]", "either `env"),
            ("[secrets.key]\nenv = \"A\"\nfile = \"/b\"\nhosts = [\"a.b\"]", "either `env"),
            ("[secrets.key]\nenv = \"A\"\nhosts = []", "`hosts` is empty"),
            ("[secrets.key]\nenv = \"A\"\nhosts = [\"a.b\"]\nheader = \"a b\"", "no header"),
        ] {
            let error = wrong(text);
            assert!(error.contains(told), "{text:?} told {error:?}");
        }
        assert_eq!(Policy::parse("version = 2\nnew = 1"), Err(PolicyError::Version { found: 2 }));
        assert!(matches!(Policy::parse("version = 1 version"), Err(PolicyError::Text(_))));
        assert!(matches!(Policy::parse(""), Err(PolicyError::Text(why)) if why.contains("version")));
        let long = format!("version = 1\n#{}", "x".repeat(BYTES_MAX));
        assert!(matches!(Policy::parse(&long), Err(PolicyError::TooLarge { .. })));
    }

    #[test]
    fn what_a_policy_says_is_read() {
        let policy = Policy::parse(
            r#"
            version = 1
            [all]
            signed = true
            limits = { fuel = 7 }
            deny = { capabilities = ["random"], http = ["*.internal"], fs = ["/etc"] }
            [publishers]
            acme = "cab46325f4e784c716e6283362f3e2ac55b979480c74a782946cd085de2ac3e6"
            [secrets.github]
            env = "GITHUB_TOKEN"
            hosts = ["api.github.com"]
            [plugins.fetch]
            digest = "any"
            publishers = ["acme"]
            limits = { memory_bytes = 1000000, timeout_ms = 5 }
            [plugins.fetch.allow]
            fs = [{ host = "/srv/docs", guest = "/docs" }, { host = "/srv/out", access = "read-write", bytes = 10, inodes = 2 }]
            http = [{ host = "api.github.com", methods = ["GET"], ports = [443, 8443] }, { host = "10.0.0.1", private = true, plain = true }]
            env = { LANG = "C" }
            secrets = ["github"]
            tasks = ["*"]
            host = ["price"]
            signal = true
            clock-wall = false
            [plugins.fetch.ask]
            tasks = ["digest"]
            "#,
        )
        .unwrap();
        let fetch = policy.plugins.get("fetch").unwrap();
        let [docs, out] = fetch.allow.dirs.as_slice() else { panic!("{fetch:?}") };
        assert_eq!((docs.guest.as_str(), docs.access, out.guest.as_str()), ("/docs", Access::Read, "/srv/out"));
        assert_eq!((out.access, out.bytes, out.inodes), (Access::ReadWrite, Some(10), Some(2)));
        assert!(fetch.allow.tasks && fetch.allow.plugins.is_empty() && fetch.allow.signal && !fetch.allow.kv);
        assert_eq!(fetch.allow.without, BTreeSet::from([Capability::ClockWall]));
        assert!(!fetch.ask.tasks && fetch.ask.plugins.contains("digest"));
        assert!(policy.all.signed && policy.all.deny.capabilities.contains(&Capability::Random));
        let limits = policy.limits_for("fetch");
        assert_eq!((limits.fuel, limits.memory_bytes), (Some(7), Some(1_000_000)));
        assert_eq!(limits.timeout, Some(std::time::Duration::from_millis(5)));
        let [(name, secret)] = policy.secrets().collect::<Vec<_>>()[..] else { panic!("{policy:?}") };
        assert_eq!((name, &secret.source), ("github", &SecretSource::Env("GITHUB_TOKEN".to_owned())));
        assert_eq!(secret.header, "authorization");
    }
}
