//! What a plugin is loaded from.

use std::fmt;

/// The bytes of a plugin's file, and perhaps a publisher's signature that lies beside it (`taskcell sign --detached`).
///
/// ```no_run
/// # async fn example(host: taskcell::Host, wasm: Vec<u8>, signature: Vec<u8>) -> Result<(), taskcell::LoadError> {
/// use taskcell::PluginBytes;
///
/// let plugin = host.load_plugin_bytes("digest", PluginBytes::new(wasm).signature(signature)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PluginBytes {
    pub(crate) wasm: Vec<u8>,
    pub(crate) signature: Option<Vec<u8>>,
}

impl PluginBytes {
    /// A file without a signature beside it. It may have one inside.
    pub fn new(wasm: impl Into<Vec<u8>>) -> Self {
        Self { wasm: wasm.into(), signature: None }
    }

    /// With the content of the file `PLUGIN.wasm.sig`. The plugin's digest is that of the other file alone.
    #[must_use]
    pub fn signature(mut self, signature: impl Into<Vec<u8>>) -> Self {
        self.signature = Some(signature.into());
        self
    }
}

impl From<Vec<u8>> for PluginBytes {
    fn from(wasm: Vec<u8>) -> Self {
        Self::new(wasm)
    }
}

impl fmt::Debug for PluginBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wasm, signature } = self;
        let signature = signature.as_ref().map(Vec::len);
        f.debug_struct("PluginBytes").field("bytes", &wasm.len()).field("signature_bytes", &signature).finish()
    }
}
