//! What a plugin would like to be granted: what its manifest says, and what its code imports.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::capability::Capability;
use super::grants::http::{HostPattern, HttpGrant};
use super::grants::touch::Touch;
use super::grants::{Access, DirGrant, Grants};

/// Bytes of a capability's name.
const NAME_BYTES_MAX: usize = 128;
/// Hosts, methods, names or plugins in one request.
const SCOPE_MAX: usize = 64;

/// Something that a plugin would like to be granted. Without a scope it is the whole capability; the operator grants as
/// much of it as they like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CapabilityRequest {
    /// Its name: a [`Capability`]'s, `host:` and the name of one of the host's functions, or one of the older `dir-read`
    /// and `dir-write`, which are `fs` with that access.
    pub capability: String,
    /// What it is needed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `fs`: whether it only reads. Without it, it may write as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// `http`: to which hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
    /// `http`: with which methods.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub methods: BTreeSet<String>,
    /// `env` and `secrets`: which ones.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub names: BTreeSet<String>,
    /// `tasks`: of which plugins.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plugins: BTreeSet<String>,
}

/// Why a request cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Nobody knows this capability.
    #[error(
        "it asks for the capability {0:?}, which this version does not know; there are {known} and `host:NAME`",
        known = known()
    )]
    Unknown(String),
    /// It says of a capability what belongs to another one.
    #[error("its request for {capability:?} has `{key}`, which belongs to {of}")]
    Key {
        /// What is asked for.
        capability: String,
        /// What is said about it.
        key: &'static str,
        /// Where that belongs.
        of: &'static str,
    },
    /// It names too many things.
    #[error("its request for {0:?} names more than {SCOPE_MAX} things of one kind")]
    Scope(String),
}

fn known() -> String {
    let names = Capability::ALL.into_iter().filter(|capability| *capability != Capability::Host);
    names.map(|capability| format!("`{capability}`")).collect::<Vec<_>>().join(", ")
}

impl CapabilityRequest {
    /// The whole of this capability.
    pub fn new(capability: impl Into<String>) -> Self {
        Self { capability: capability.into(), ..Self::default() }
    }

    /// The capability, and the host's function when it is one.
    fn parse(&self) -> Option<(Capability, Option<&str>)> {
        match self.capability.as_str() {
            "dir-read" | "dir-write" => Some((Capability::Fs, None)),
            name => match name.strip_prefix("host:") {
                Some(function) => (!function.is_empty()).then_some((Capability::Host, Some(function))),
                // Functions are granted one by one.
                None => Capability::from_name(name).filter(|it| *it != Capability::Host).map(|it| (it, None)),
            },
        }
    }

    /// The capability, if this version knows it.
    pub fn known(&self) -> Option<Capability> {
        self.parse().map(|(capability, _)| capability)
    }

    /// For `fs`: what is to be done there.
    pub fn access(&self) -> Access {
        match self.capability.as_str() {
            "dir-read" => Access::Read,
            _ => self.access.unwrap_or(Access::ReadWrite),
        }
    }

    pub(crate) fn check(&self) -> Result<(), RequestError> {
        let Some(capability) = self.known().filter(|_| self.capability.len() <= NAME_BYTES_MAX) else {
            return Err(RequestError::Unknown(self.capability.clone()));
        };
        let is_http = capability == Capability::Http;
        let is_named = matches!(capability, Capability::Env | Capability::Secrets);
        let keys = [
            ("access", self.access.is_none() || self.capability == "fs", "`fs`"),
            ("hosts", self.hosts.is_empty() || is_http, "`http`"),
            ("methods", self.methods.is_empty() || is_http, "`http`"),
            ("names", self.names.is_empty() || is_named, "`env` and `secrets`"),
            ("plugins", self.plugins.is_empty() || capability == Capability::Tasks, "`tasks`"),
        ];
        if let Some((key, _, of)) = keys.into_iter().find(|(_, is_right, _)| !is_right) {
            return Err(RequestError::Key { capability: self.capability.clone(), key, of });
        }
        let most = [self.hosts.len(), self.methods.len(), self.names.len(), self.plugins.len()].into_iter().max();
        if most > Some(SCOPE_MAX) {
            return Err(RequestError::Scope(self.capability.clone()));
        }
        Ok(())
    }

    /// Whether both ask for the same thing, for whatever reason.
    pub(crate) fn asks_the_same_as(&self, other: &Self) -> bool {
        Self { reason: None, ..self.clone() } == Self { reason: None, ..other.clone() }
    }

    /// Whether this is asked for.
    pub(crate) fn asks_for(&self, touch: &Touch) -> bool {
        let among = |names: &BTreeSet<String>, name: &String| names.is_empty() || names.contains(name);
        self.known() == Some(touch.capability())
            && match touch {
                Touch::Dir { access, .. } => *access <= self.access(),
                Touch::Http(request) => {
                    (self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(&request.host)))
                        && among(&self.methods, &request.method)
                }
                Touch::Env(name) | Touch::Secret(name) => among(&self.names, name),
                Touch::Tasks(plugin) => among(&self.plugins, plugin),
                Touch::Function(name) => self.parse().is_some_and(|(_, function)| function == Some(name)),
                Touch::Signal | Touch::Agent | Touch::Kv | Touch::ClockWall | Touch::Random => true,
            }
    }
}

impl CapabilityRequest {
    /// What of this grant is asked for. Ports, encryption and addresses are the operator's alone.
    fn narrow(&self, grant: &HttpGrant) -> Vec<HttpGrant> {
        let every = [HostPattern::EVERY];
        let hosts = if self.hosts.is_empty() { every.as_slice() } else { self.hosts.as_slice() };
        let wish = |host: &HostPattern| HttpGrant {
            host: host.clone(),
            methods: self.methods.clone(),
            private: true,
            plain: true,
            ..grant.clone()
        };
        hosts.iter().filter_map(|host| grant.meet(&wish(host))).collect()
    }
}

/// All that a task's type asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Requested {
    /// What the manifest says.
    asked: Vec<CapabilityRequest>,
    /// What the code imports, of which the manifest may say nothing: then it is asked for as a whole.
    implied: BTreeSet<Capability>,
}

impl Requested {
    pub(crate) fn new<'a>(
        asked: impl IntoIterator<Item = &'a CapabilityRequest>,
        imports: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        let asked: Vec<CapabilityRequest> = asked.into_iter().cloned().collect();
        let mut implied: BTreeSet<Capability> =
            imports.into_iter().filter_map(|import| implied_by(import.as_ref())).collect();
        // What the manifest says of a capability is all that is asked of it.
        implied.retain(|capability| asked.iter().all(|request| request.known() != Some(*capability)));
        Self { asked, implied }
    }

    /// Whether it asks for anything of this capability.
    pub(crate) fn asks_for_any(&self, capability: Capability) -> bool {
        self.implied.contains(&capability) || self.asked.iter().any(|request| request.known() == Some(capability))
    }

    /// What the code imports without a word about it in the manifest: asked for as a whole.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn implied(&self) -> impl Iterator<Item = Capability> {
        self.implied.iter().copied()
    }

    /// Whether the manifest asks for something that not every task has. What the code imports says little: bindings import
    /// all that there is.
    pub(crate) fn names_beyond_ambient(&self) -> bool {
        self.asked.iter().filter_map(CapabilityRequest::known).any(|capability| !capability.is_ambient())
    }

    /// Whether this is asked for. What every task may do need not be.
    pub(crate) fn asks_for(&self, touch: &Touch) -> bool {
        let capability = touch.capability();
        capability.is_ambient()
            || self.implied.contains(&capability)
            || self.asked.iter().any(|request| request.asks_for(touch))
    }

    /// What of these is asked for.
    pub(crate) fn narrow(&self, grants: &Grants) -> Grants {
        let Grants { dirs, env, signal, kv, tasks, plugins, functions, http, secrets, without } = grants;
        let whole = |capability: Capability| self.implied.contains(&capability);
        let of = |capability: Capability| self.asked.iter().filter(move |it| it.known() == Some(capability));
        let asked = |touch: Touch| self.asks_for(&touch);
        let any_plugin = whole(Capability::Tasks) || of(Capability::Tasks).any(|request| request.plugins.is_empty());
        let mut plugins: BTreeSet<String> =
            plugins.iter().filter(|name| asked(Touch::Tasks((*name).clone()))).cloned().collect();
        if *tasks && !any_plugin {
            plugins.extend(of(Capability::Tasks).flat_map(|request| request.plugins.iter().cloned()));
        }
        Grants {
            dirs: dirs.iter().filter_map(|dir| self.narrow_dir(dir)).collect(),
            env: env.iter().filter(|(name, _)| asked(Touch::Env(name.clone()))).cloned().collect(),
            signal: *signal && asked(Touch::Signal),
            kv: *kv && asked(Touch::Kv),
            tasks: *tasks && any_plugin,
            plugins,
            functions: functions.iter().filter(|name| asked(Touch::Function((*name).clone()))).cloned().collect(),
            http: if whole(Capability::Http) {
                http.clone()
            } else {
                http.iter().flat_map(|grant| of(Capability::Http).flat_map(|request| request.narrow(grant))).collect()
            },
            secrets: secrets.iter().filter(|name| asked(Touch::Secret((*name).clone()))).cloned().collect(),
            without: without.clone(),
        }
    }

    fn narrow_dir(&self, dir: &DirGrant) -> Option<DirGrant> {
        let can = |access| self.asks_for(&Touch::Dir { host: dir.host.clone(), guest: dir.guest.clone(), access });
        let most = if can(Access::ReadWrite) { Access::ReadWrite } else { Access::Read };
        can(Access::Read).then(|| DirGrant { access: dir.access.min(most), ..dir.clone() })
    }
}

/// What a component asks for by importing an interface of this name, such as `wasi:filesystem/types@0.2.6`.
fn implied_by(import: &str) -> Option<Capability> {
    let name = import.split('@').next().unwrap_or(import);
    let (package, interface) = name.split_once('/')?;
    match (package, interface) {
        ("wasi:filesystem", _) => Some(Capability::Fs),
        ("wasi:http", _) => Some(Capability::Http),
        ("wasi:cli", "environment") => Some(Capability::Env),
        ("taskcell:plugin", "tasks") => Some(Capability::Tasks),
        ("taskcell:plugin", "signals") => Some(Capability::Signal),
        ("taskcell:plugin", "kv") => Some(Capability::Kv),
        ("taskcell:plugin", "host") => Some(Capability::Host),
        ("taskcell:plugin", _) => None,
        // An interface of the embedding program's.
        (package, _) => (!package.starts_with("wasi:")).then_some(Capability::Host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: serde_json::Value) -> CapabilityRequest {
        serde_json::from_value(json).unwrap()
    }

    fn get(host: &str) -> Touch {
        use crate::model::grants::http::HttpTouch;
        Touch::Http(HttpTouch { method: "GET".into(), host: host.into(), port: 443, plain: false })
    }

    #[test]
    fn what_is_wrong_with_a_request_is_said() {
        let unknown = CapabilityRequest::new("sockets").check().unwrap_err();
        assert!(unknown.to_string().contains("`http`, ") && unknown.to_string().contains("`host:NAME`"), "{unknown}");
        for none in ["host", "host:", "Fs", ""] {
            assert!(CapabilityRequest::new(none).check().is_err(), "{none}");
        }
        let key = request(serde_json::json!({"capability": "kv", "hosts": ["a.b"]})).check().unwrap_err();
        assert_eq!(key.to_string(), "its request for \"kv\" has `hosts`, which belongs to `http`");
        let misspelt = serde_json::json!({"capability": "http", "host": "a.b"});
        assert!(serde_json::from_value::<CapabilityRequest>(misspelt).is_err());
        for right in ["dir-read", "dir-write", "fs", "http", "host:clock", "secrets", "clock-wall"] {
            CapabilityRequest::new(right).check().unwrap();
        }
    }

    #[test]
    fn t23_what_a_manifest_names_is_all_that_is_asked_for() {
        let http = request(serde_json::json!({"capability": "http", "hosts": ["*.example.com"], "methods": ["GET"]}));
        let asked = [http, CapabilityRequest::new("dir-read"), CapabilityRequest::new("host:clock")];
        let imports = ["wasi:http/outgoing-handler@0.2.6", "wasi:filesystem/types@0.2.6", "taskcell:plugin/kv@0.1.0"];
        let requested = Requested::new(&asked, imports);
        let dir = |access| Touch::Dir { host: "/srv".into(), guest: "/d".into(), access };
        for (touch, is) in [
            (get("a.example.com"), true),
            (get("example.org"), false),
            (dir(Access::Read), true),
            (dir(Access::ReadWrite), false),
            (Touch::Function("clock".into()), true),
            (Touch::Function("other".into()), false),
            (Touch::Kv, true),
            (Touch::Signal, false),
            (Touch::Secret("a".into()), false),
            (Touch::Agent, true),
        ] {
            assert_eq!(requested.asks_for(&touch), is, "{touch}");
        }
        let everything = Grants::default()
            .dir("/srv", "/d", Access::ReadWrite)
            .function("clock")
            .function("other")
            .kv()
            .signal()
            .http(HttpGrant::new(HostPattern::EVERY).ports([443, 8443]));
        let narrow = requested.narrow(&everything);
        assert_eq!(narrow.dirs.iter().map(|dir| dir.access).collect::<Vec<_>>(), [Access::Read]);
        assert_eq!((narrow.functions.len(), narrow.kv, narrow.signal), (1, true, false));
        let [http] = narrow.http.as_slice() else { panic!("{narrow:?}") };
        assert_eq!((http.host.to_string().as_str(), http.ports.len(), http.private), ("*.example.com", 2, false));
        assert!(http.methods.contains("GET") && http.methods.len() == 1);
    }

    #[test]
    fn what_an_import_asks_for_without_a_word_in_the_manifest() {
        let requested = Requested::new([], ["taskcell:plugin/tasks@0.1.2", "acme:tools/db", "wasi:cli/stdout@0.2.0"]);
        assert!(requested.asks_for(&Touch::Tasks("other".into())) && requested.asks_for(&Touch::Function("x".into())));
        assert!(!requested.asks_for(&Touch::Env("HOME".into())) && !requested.asks_for(&get("a.b")));
        let narrow = requested.narrow(&Grants::default().tasks().env("HOME", "/"));
        assert!(narrow.tasks && narrow.env.is_empty());
    }
}
