//! The server itself: what it is, how it does, and what it throws away.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::wire::millis;

/// The version of the routes.
pub const API: u32 = 1;

/// `GET /v1`: what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// `taskcell`.
    pub name: String,
    /// The version of the program that serves.
    pub version: String,
    /// The version of these routes: [`API`].
    pub api: u32,
    /// The server's process.
    pub process: u32,
    /// Where it keeps what happened; left out when nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Where to go on, by what is there.
    pub links: BTreeMap<String, String>,
}

/// `GET /v1/health`: how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, or a word for what is wrong.
    pub status: String,
    /// What is wrong, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Tasks that have no outcome yet.
    pub live: usize,
    /// Questions that nobody has decided.
    pub approvals: usize,
    /// Messages that nobody has taken.
    pub messages: usize,
    /// Plugins that are loaded.
    pub plugins: usize,
}

/// `POST /v1/gc`: which ended tasks are thrown away, with all that is kept of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gc {
    /// Those that ended longer ago than this.
    #[serde(rename = "older_than_ms", with = "millis")]
    pub older_than: Duration,
    /// Only those of the plugin of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Only those of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// What that came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// How many were removed.
    pub removed: usize,
    /// How many ended ones of those that were meant are left, because they ended not long enough ago.
    pub left: usize,
}
