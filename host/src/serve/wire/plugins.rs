//! Plugins, as a server tells of them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    CancelRequest, DaemonPhase, DaemonStatus, HookNote, Host, Manifest, Plugin, PluginBytes, PluginDigest, TaskId,
    Timestamp, Unload,
};

use super::Stops;
use super::query::{BadQuery, Pairs, Query, Said};

/// How long a drain may take when nobody says so.
pub const DRAIN: Duration = Duration::from_mins(10);

/// A plugin that is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The SHA-256 of its file.
    pub digest: PluginDigest,
    /// Who has signed it, of the publishers that the server's policy knew when it was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// Bytes of its file.
    pub size: u64,
    /// Whether its tasks can be started.
    pub enabled: bool,
    /// The names of its task types.
    pub task_types: Vec<String>,
    /// Everything that it says about itself; in a list it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// The interfaces that it imports; in a list they are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<String>,
    /// What its hooks left behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<HookLine>,
    /// How its daemons do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub daemons: Vec<DaemonLine>,
    /// Why the server's policy grants it nothing, where an operator may want to know; in a list it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_nothing: Option<String>,
}

impl PluginInfo {
    /// What a list says about a plugin.
    pub(in crate::serve) fn line(plugin: &Plugin, enabled: bool) -> Self {
        let manifest = plugin.manifest();
        Self {
            name: plugin.name().to_owned(),
            version: manifest.version.clone(),
            description: manifest.description.clone(),
            digest: plugin.digest(),
            publisher: plugin.publisher().map(str::to_owned),
            size: plugin.size(),
            enabled,
            task_types: manifest.tasks.iter().map(|of| of.name.clone()).collect(),
            manifest: None,
            imports: Vec::new(),
            notes: Vec::new(),
            daemons: Vec::new(),
            granted_nothing: None,
        }
    }

    /// All about a plugin of this host.
    pub(in crate::serve) fn full(host: &Host, plugin: &Plugin, enabled: bool) -> Self {
        let daemons = host.daemons();
        let own = daemons.iter().filter(|daemon| daemon.plugin == plugin.name());
        Self {
            manifest: Some(plugin.manifest().clone()),
            imports: plugin.imports().to_vec(),
            notes: plugin.notes().into_iter().map(HookLine::from).collect(),
            daemons: own.map(DaemonLine::from).collect(),
            granted_nothing: host.why_granted_nothing(plugin),
            ..Self::line(plugin, enabled)
        }
    }
}

/// What one of a plugin's hooks left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookLine {
    /// When it ended.
    pub at: Timestamp,
    /// The hook's name.
    pub hook: String,
    /// The task that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

impl From<HookNote> for HookLine {
    fn from(note: HookNote) -> Self {
        let error = note.error.map(|error| error.to_string());
        Self { at: note.at, hook: note.hook.to_owned(), task: note.task, error, log: note.log }
    }
}

/// How a daemon does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonLine {
    /// Its type's name.
    pub task_type: String,
    /// `running`, `waiting`, `stopped`, `given-up` or `disabled`.
    pub state: String,
    /// As which task it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Why it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl From<&DaemonStatus> for DaemonLine {
    fn from(of: &DaemonStatus) -> Self {
        let (state, task, why) = match &of.phase {
            DaemonPhase::Running { task } => ("running", Some(*task), None),
            DaemonPhase::Waiting => ("waiting", None, None),
            DaemonPhase::Stopped => ("stopped", None, None),
            DaemonPhase::GivenUp { why } => ("given-up", None, Some(why.clone())),
            DaemonPhase::Disabled => ("disabled", None, None),
        };
        Self { task_type: of.task_type.clone(), state: state.to_owned(), task, why }
    }
}

/// `GET /v1/plugins`: those that are loaded, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PluginList {
    /// Each of them.
    pub plugins: Vec<PluginInfo>,
}

/// `POST /v1/plugins`: what the plugin's file does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddQuery {
    /// What a plain command is called, which does not know its own name.
    pub name: Option<String>,
    /// A publisher's signature that lies beside the file.
    pub signature: Option<Signature>,
}

impl Query for AddQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        Said::default().with("name", self.name.as_ref()).with("signature", self.signature.as_ref()).0
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        Ok(Self { name: pairs.one("name")?, signature: pairs.parsed("signature")? })
    }
}

/// A publisher's signature, as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(pub Vec<u8>);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for Signature {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        hex::decode(text).map(Self)
    }
}

/// A plugin's file with what the path says beside it.
pub(crate) fn bytes(wasm: Vec<u8>, signature: Option<Signature>) -> PluginBytes {
    PluginBytes { wasm, signature: signature.map(|Signature(bytes)| bytes) }
}

/// `PUT /v1/plugins/{name}`: what becomes of the tasks of the plugin that goes, and what the file of the new one does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaceQuery {
    /// What becomes of the tasks.
    pub how: Unload,
    /// A publisher's signature that lies beside the file.
    pub signature: Option<Signature>,
}

impl Query for ReplaceQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = UnloadQuery(self.how).pairs();
        pairs.extend(Said::default().with("signature", self.signature.as_ref()).0);
        pairs
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        let UnloadQuery(how) = UnloadQuery::take(pairs)?;
        Ok(Self { how, signature: pairs.parsed("signature")? })
    }
}

/// What became of a plugin that was replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginReplaced {
    /// The version that is there now.
    pub plugin: PluginInfo,
    /// How the tasks of the version before ended.
    pub report: Stops,
}

/// `DELETE /v1/plugins/{name}`: what becomes of the tasks of a plugin that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnloadQuery(pub Unload);

impl Query for UnloadQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let (mode, time) = match self.0 {
            Unload::Drain { deadline } => ("drain", Some(deadline)),
            Unload::Cancel { grace } => ("cancel", Some(grace)),
            Unload::Force => ("force", None),
        };
        let time = time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Said::default().with("mode", Some(mode)).with("time_ms", time).0
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        let mode = pairs.one("mode")?;
        let time = pairs.parsed("time_ms")?.map(Duration::from_millis);
        Ok(Self(match (mode.as_deref(), time) {
            (None | Some("drain"), time) => Unload::Drain { deadline: time.unwrap_or(DRAIN) },
            (Some("cancel"), time) => Unload::Cancel { grace: time.unwrap_or(CancelRequest::DEFAULT_GRACE) },
            (Some("force"), None) => Unload::Force,
            (Some("force"), Some(_)) => return Err(BadQuery::new("time_ms", "has no meaning with the mode `force`")),
            (Some(_), _) => return Err(BadQuery::new("mode", "is `drain`, `cancel` or `force`")),
        }))
    }
}
