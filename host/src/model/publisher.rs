//! Publishers: by whose keys it is known who made a plugin.

use std::collections::BTreeSet;
use std::fmt;

/// What an SPKI file has before the 32 bytes of an Ed25519 key (RFC 8410).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";
/// The kind of key that a line of OpenSSH's begins with.
const SSH_KIND: &str = "ssh-ed25519";

/// A publisher's public key, for Ed25519.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PublisherKey([u8; 32]);

impl PublisherKey {
    /// Reads a key as its owner gives it away: 64 hexadecimal digits, a PEM file, or a line of OpenSSH's.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = if let Some(line) = text.strip_prefix(SSH_KIND) {
            // A space, the key, and perhaps a comment.
            let word = line.strip_prefix(' ')?.split_whitespace().next()?;
            let bytes = base64(word)?;
            let (kind, rest) = ssh_string(&bytes)?;
            let (key, rest) = ssh_string(rest)?;
            (kind == SSH_KIND.as_bytes() && rest.is_empty()).then(|| key.to_vec())?
        } else if let Some(pem) = text.strip_prefix(PEM_BEGIN) {
            base64(pem.strip_suffix(PEM_END)?)?.strip_prefix(&SPKI_HEAD)?.to_vec()
        } else {
            hex::decode(text).ok()?
        };
        bytes.try_into().ok().map(Self)
    }

    #[cfg(feature = "signatures")]
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublisherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublisherKey({self})")
    }
}

/// A string of OpenSSH's, which has its length before it, and what comes after it.
fn ssh_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// The bytes of a text in base64, whose lines may be broken.
fn base64(text: &str) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    let letters = letters.strip_suffix(b"==").or_else(|| letters.strip_suffix(b"=")).unwrap_or(&letters);
    let mut bytes = Vec::new();
    for four in letters.chunks(4) {
        let mut bits = 0_u32;
        for letter in four {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        // Two letters are a byte, three are two; one alone is none.
        let whole = four.len().checked_sub(1).filter(|whole| *whole > 0)?;
        bits <<= 6 * (4 - four.len());
        bytes.extend(bits.to_be_bytes().into_iter().skip(1).take(whole));
    }
    Some(bytes)
}

/// Whose signature a plugin's file carries, as far as the host's policy knows its publishers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signed {
    /// It carries none.
    Not,
    /// What it carries cannot be a signature of a whole plugin; with the reason.
    Unusable(&'static str),
    /// It carries signatures, by nobody whom the policy knows; with the ids of their keys, those that have one.
    Unknown {
        /// In hexadecimal.
        keys: BTreeSet<String>,
    },
    /// It carries a signature in the name of these publishers which is not of this file, or not made with their keys.
    False(BTreeSet<String>),
    /// It is signed by these publishers.
    By(BTreeSet<String>),
}

impl Signed {
    /// Those who have signed it.
    pub fn publishers(&self) -> impl Iterator<Item = &str> {
        let by = match self {
            Self::By(names) => Some(names),
            Self::Not | Self::Unusable(_) | Self::Unknown { .. } | Self::False(_) => None,
        };
        by.into_iter().flatten().map(String::as_str)
    }
}

impl fmt::Display for Signed {
    /// As the end of a sentence: `it …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Not => f.write_str("carries no signature"),
            Self::Unusable(why) => write!(f, "carries a signature that cannot be used: {why}"),
            Self::Unknown { keys } if keys.is_empty() => f.write_str("is signed with a key that is not known here"),
            Self::Unknown { keys } => {
                write!(f, "is signed with a key that is not known here, with the id {}", listed(keys, " and "))
            }
            Self::False(names) => write!(
                f,
                "carries a signature in the name of {} which is not of this file: it was changed after it was signed, or \
                 the signature is forged",
                listed(names, " and ")
            ),
            Self::By(names) => write!(f, "is signed by {}", listed(names, " and ")),
        }
    }
}

/// Names in a row, with this between two of them.
pub(crate) fn listed(names: &BTreeSet<String>, between: &str) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.join(between)
}

/// Whom a plugin has to be signed by, and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsigned {
    /// One of these; when there is none, one that the policy knows.
    pub(crate) required: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t23_a_key_is_read_in_each_of_its_forms_and_nothing_else_is() {
        let hex = "cab46325f4e784c716e6283362f3e2ac55b979480c74a782946cd085de2ac3e6";
        let pem = format!("{PEM_BEGIN}\nMCowBQYDK2VwAyEAyrRjJfTnhMcW5igzYvPirFW5\neUgMdKeClGzQhd4qw+Y=\n{PEM_END}\n");
        let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMq0YyX054THFuYoM2Lz4qxVuXlIDHSngpRs0IXeKsPm ada@example.com";
        for text in [hex, &hex.to_uppercase(), &pem, ssh, &format!("  {ssh}\n")] {
            assert_eq!(PublisherKey::parse(text).map(|key| key.to_string()).as_deref(), Some(hex), "{text:?}");
        }
        let longer = ssh.replace(" ada", "AAAA ada");
        for text in [
            "",
            "key",
            &hex[..62],
            &format!("{hex}00"),
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5//////////8=",
            &longer,
            &ssh.replace("ssh-ed25519", "ssh-rsa"),
            &ssh.replace("AAAAC3NzaC1lZDI1NTE5", "AAAAC3NzaC1lZDI1NTE4"),
            PEM_BEGIN,
            &pem.replace("MCow", "MCox"),
            &pem.replace("PUBLIC", "PRIVATE"),
        ] {
            assert_eq!(PublisherKey::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn base64_is_what_it_is_elsewhere() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob"), ("+/+/", "")]
        {
            let expected = if text == "+/+/" { vec![0xfb, 0xff, 0xbf] } else { bytes.as_bytes().to_vec() };
            assert_eq!(base64(text), Some(expected), "{text:?}");
        }
        assert_eq!((base64("Z"), base64("Zm9vY"), base64("Z g==é")), (None, None, None));
    }
}
