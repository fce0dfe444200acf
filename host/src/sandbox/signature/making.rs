//! Signing plugins, for those who make them.

use std::collections::BTreeMap;
use std::fmt;

use wasmsign2::{KeyPair, Module, PublicKey, SecretKey};

use crate::model::publisher::{PublisherKey, Signed};

use super::{look, section};

/// A publisher's secret key.
#[derive(Clone)]
pub(crate) struct SigningKey(SecretKey);

/// Why a file was not signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// It is no WebAssembly.
    #[error("this is no WebAssembly in its binary form, or it is damaged")]
    Damaged,
    /// What came out does not carry the signature: the file is no plugin.
    #[error("this file cannot carry a signature")]
    Unsignable,
    /// It carries one already, and one beside it would have to be of that too.
    #[error("this file carries a signature already, and one that lies beside it would not be of the same bytes")]
    Signed,
}

impl SigningKey {
    /// A new key, from the system's random numbers.
    pub(crate) fn generate() -> Self {
        Self(KeyPair::generate().sk)
    }

    /// Reads a key from its PEM file (PKCS#8), as `taskcell keygen` and `openssl genpkey -algorithm ed25519` write it.
    pub(crate) fn from_pem(text: &str) -> Option<Self> {
        SecretKey::from_pem(text).ok().map(Self)
    }

    /// The key as a PEM file.
    pub(crate) fn to_pem(&self) -> String {
        self.0.to_pem()
    }

    /// What a policy has of it.
    pub(crate) fn public(&self) -> Option<PublisherKey> {
        PublisherKey::parse(&hex::encode(self.public_key().pk.as_slice()))
    }

    fn public_key(&self) -> PublicKey {
        PublicKey { pk: self.0.sk.public_key(), key_id: None }
    }

    /// The file with its signature in it. One that it had before is gone; nothing else changes.
    pub(crate) fn sign(&self, plugin: &[u8]) -> Result<Vec<u8>, SignError> {
        let module = Module::deserialize(&mut { plugin }).map_err(|_| SignError::Damaged)?;
        let id = super::key_id(self.public_key());
        let module = self.0.sign(module, Some(&id)).map_err(|_| SignError::Unsignable)?;
        let mut signed = Vec::new();
        module.serialize(&mut signed).map_err(|_| SignError::Unsignable)?;
        self.looked_at(&signed, None)?;
        Ok(signed)
    }

    /// A signature to be put beside the file, which stays as it is.
    pub(crate) fn sign_detached(&self, plugin: &[u8]) -> Result<Vec<u8>, SignError> {
        if section(plugin).is_some() {
            return Err(SignError::Signed);
        }
        let signed = self.sign(plugin)?;
        let beside = section(&signed).ok_or(SignError::Unsignable)?;
        self.looked_at(plugin, Some(beside))?;
        Ok(beside.to_vec())
    }

    /// Looks at it as a host will.
    fn looked_at(&self, plugin: &[u8], beside: Option<&[u8]>) -> Result<(), SignError> {
        let me = self.public().map(|key| (String::new(), key));
        match look(plugin, beside, &BTreeMap::from_iter(me)) {
            Signed::By(_) => Ok(()),
            Signed::Not | Signed::Unusable(_) | Signed::Unknown { .. } | Signed::False(_) => Err(SignError::Unsignable),
        }
    }

    /// A key that is the same each time.
    #[cfg(test)]
    pub(crate) fn from_seed(seed: [u8; 32]) -> Self {
        let der = [hex::decode("302e020100300506032b657004220420").unwrap().as_slice(), &seed].concat();
        Self(SecretKey::from_der(&der).unwrap())
    }
}

impl fmt::Debug for SigningKey {
    /// Nothing of the key: what is printed somewhere is known to somebody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t23_a_key_is_written_and_read_and_never_printed() {
        let key = SigningKey::generate();
        let pem = key.to_pem();
        assert_eq!(SigningKey::from_pem(&pem).unwrap().public(), key.public());
        assert!(key.public().is_some() && SigningKey::generate().public() != key.public());
        let secret = hex::encode(&key.0.sk.as_slice()[..32]);
        assert!(!format!("{key:?}").contains(&secret[..8]));
        for text in ["", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", &pem.replace("PRIVATE", "PUBLIC")] {
            assert!(SigningKey::from_pem(text).is_none());
        }
    }

    #[test]
    fn t20_what_is_no_webassembly_is_not_signed() {
        for bytes in [&b""[..], b"hello", b"\0asm", b"\0asm\x0d\0\x01\0\x00\xff\xff"] {
            assert!(matches!(SigningKey::generate().sign(bytes), Err(SignError::Damaged)), "{bytes:?}");
        }
    }
}
