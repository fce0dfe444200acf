//! What a server answered.

use std::collections::BTreeMap;

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// By their names in lower case; of several with one name the last.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}
