//! What a host's plugins send requests with: names, authorities, secrets.

use std::sync::Arc;

#[cfg(feature = "http")]
use crate::ports::resolver::{Resolver, SystemResolver};
use crate::ports::secrets::{InvalidSecret, Secrets};
#[cfg(feature = "http")]
use crate::sandbox::http::{HttpClient, Roots};

use super::builder::{BuildError, HostBuilder};

/// What was said about it while the host was built.
#[derive(Default)]
pub(super) struct WebSettings {
    secrets: Vec<(String, String)>,
    #[cfg(feature = "http")]
    resolver: Option<Arc<dyn Resolver>>,
    #[cfg(feature = "http")]
    roots: Vec<Vec<u8>>,
}

/// What became of it.
pub(super) struct Web {
    pub(super) secrets: Arc<Secrets>,
    #[cfg(feature = "http")]
    pub(super) client: HttpClient,
}

impl WebSettings {
    pub(super) fn ready(self) -> Result<Web, BuildError> {
        let secrets = Secrets::new(self.secrets);
        let secrets = secrets.map_err(|InvalidSecret { name, source }| BuildError::Secret { name, source })?;
        let secrets = Arc::new(secrets);
        #[cfg(feature = "http")]
        let client = {
            let mut roots = Roots::default();
            self.roots.iter().try_for_each(|file| roots.add(file))?;
            let resolver = self.resolver.unwrap_or_else(|| Arc::new(SystemResolver::new()));
            HttpClient::new(resolver, roots.config()?, Arc::clone(&secrets))
        };
        Ok(Web {
            secrets,
            #[cfg(feature = "http")]
            client,
        })
    }
}

impl HostBuilder {
    /// The value of a secret: 8 bytes to 8 KiB of printable ASCII. One of the same name replaces the one before.
    ///
    /// A task that is granted it by name ([`Grants::secret`](crate::Grants::secret)) finds a placeholder in the variable
    /// `TASKCELL_SECRET_` and the name in upper case, with `_` for `-`. In requests to the hosts, and in the header, that the
    /// policy has for the secret ([`SecretRule`](crate::SecretRule)) the host puts the value in the placeholder's place. A
    /// request with the placeholder anywhere else is refused, and so is every one when there is no policy. The value is in no
    /// guest's memory: where a server sends it back `*` stands in its place. So it does in what tasks print, log, report, store,
    /// attach, send to others and return, and a request with the value itself in it is refused. Files in granted folders, and
    /// WIT interfaces of the embedder's own, are not searched. [`Host::set_policy_with_secrets`](crate::Host::set_policy_with_secrets)
    /// exchanges the values.
    ///
    /// Whoever looks for it is told by the `*` that a guess is right: a secret that can be guessed by trying is none.
    ///
    /// ```
    /// let builder = taskcell::Host::builder().secret("api-token", "correct-horse-battery");
    /// ```
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.web.secrets.push((name.into(), value.into()));
        self
    }

    /// Who says which addresses a host has to which a plugin sends a request. Default: the system. What it says is checked
    /// against the grants in any case.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver + 'static) -> Self {
        self.web.resolver = Some(Arc::new(resolver));
        self
    }

    /// An authority whose certificates plugins' requests trust, beside those that browsers trust: the content of a file, one
    /// certificate as DER or some as PEM. May be said more than once.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn http_root(mut self, file: impl Into<Vec<u8>>) -> Self {
        self.web.roots.push(file.into());
        self
    }
}
