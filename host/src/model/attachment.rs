//! Files that a caller gives a task along: what is said about them, and the rules for it.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::limits::Limits;

/// Where a task finds them.
pub(crate) const ATTACHMENTS: &str = "/attachments";

/// Bytes of a name: what file systems take.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of a media type.
const MEDIA_TYPE_BYTES_MAX: usize = 255;
/// What a file is of whose kind nothing is said.
const MEDIA_TYPE: &str = "application/octet-stream";

/// A file that a task gets along: it is copied before the task starts, and the task reads the copy as `/attachments/NAME`.
///
/// ```
/// use taskcell::{Attachment, StartRequest};
///
/// let notes = Attachment::bytes("notes.md", *b"# Notes").media_type("text/markdown");
/// let request = StartRequest::new("digest", "digest")
///     .attachment(notes)
///     .attachment(Attachment::file("report.pdf", "/srv/reports/7.pdf").size(48_213));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attachment {
    /// The name that the task finds it under: 1 to 255 bytes, no path, no control characters, each name once.
    pub name: String,
    /// Its media type, which nobody checks; by default `application/octet-stream`.
    #[serde(default = "unknown_type")]
    pub media_type: String,
    /// Where it comes from.
    pub source: AttachmentSource,
    /// The SHA-256 that its content must have, 64 hex digits, if the caller knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The size that it must have in bytes, if the caller knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Where an attachment comes from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AttachmentSource {
    /// A plain file of the host, or a link to one. It is opened once, when the task is started.
    Path(PathBuf),
    /// These bytes, which are written as hex digits.
    Bytes(#[serde(with = "hex_digits")] Vec<u8>),
}

fn unknown_type() -> String {
    MEDIA_TYPE.to_owned()
}

mod hex_digits {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

impl fmt::Debug for AttachmentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

impl Attachment {
    /// A file of the host.
    pub fn file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self::of(name.into(), AttachmentSource::Path(path.into()))
    }

    /// A file of these bytes.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(name.into(), AttachmentSource::Bytes(bytes.into()))
    }

    fn of(name: String, source: AttachmentSource) -> Self {
        Self { name, media_type: MEDIA_TYPE.to_owned(), source, sha256: None, size: None }
    }

    /// With this media type.
    #[must_use]
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = media_type.into();
        self
    }

    /// Only if its content has this SHA-256, in hex digits.
    #[must_use]
    pub fn sha256(mut self, sha256: impl Into<String>) -> Self {
        self.sha256 = Some(sha256.into());
        self
    }

    /// Only if it has so many bytes.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }
}

/// A file that a task got along, as the task and its log know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttachedFile {
    /// Its name.
    pub name: String,
    /// Its media type, as the caller gave it.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its content, 64 lower-case hex digits.
    pub sha256: String,
    /// Where the task reads it.
    pub path: String,
}

impl AttachedFile {
    pub(crate) fn new(wanted: &Attachment, size: u64, sha256: String) -> Self {
        let path = format!("{ATTACHMENTS}/{}", wanted.name);
        Self { name: wanted.name.clone(), media_type: wanted.media_type.clone(), size, sha256, path }
    }
}

/// Why a task does not start with these attachments.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachmentError {
    /// A name cannot be a file's.
    #[error(
        "an attachment's name has 1 to {NAME_BYTES_MAX} bytes, is no path and has no control characters: {0:?} is none"
    )]
    Name(String),
    /// Two have the same name.
    #[error("two attachments are called {0:?}")]
    Twice(String),
    /// A media type cannot be one.
    #[error("the media type of the attachment {0:?} is not at most {MEDIA_TYPE_BYTES_MAX} printable ASCII characters")]
    MediaType(String),
    /// What was said of a file's digest is none.
    #[error("the SHA-256 of the attachment {0:?} is not 64 hex digits")]
    NoDigest(String),
    /// More than a task may have.
    #[error("{count} attachments are more than the limit of {max}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// The limit.
        max: u32,
    },
    /// Larger than all of a task's may be.
    #[error("the attachments have more than the limit of {max} bytes together")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// It is a folder, a device or a pipe.
    #[error("the attachment {0:?} is not a plain file")]
    NotAFile(String),
    /// It cannot be read, or not be copied.
    #[error("failed to copy the attachment {name:?}: {source}")]
    Copy {
        /// Its name.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It has another size than was said.
    #[error("the attachment {name:?} has {found} bytes and not {expected}")]
    Size {
        /// Its name.
        name: String,
        /// What was said.
        expected: u64,
        /// What it has.
        found: u64,
    },
    /// It has another content than was said.
    #[error("the attachment {name:?} has the SHA-256 {found} and not {expected}")]
    Digest {
        /// Its name.
        name: String,
        /// What was said.
        expected: String,
        /// What it has.
        found: String,
    },
}

/// Sees what can be seen without looking at the files.
pub(crate) fn check(attachments: &[Attachment], limits: &Limits) -> Result<(), AttachmentError> {
    if attachments.len() > limits.attachments as usize {
        return Err(AttachmentError::TooMany { count: attachments.len(), max: limits.attachments });
    }
    let mut names = HashSet::new();
    let mut known = 0_u64;
    for Attachment { name, media_type, source, sha256, size } in attachments {
        if !is_file_name(name) {
            return Err(AttachmentError::Name(name.clone()));
        }
        if !names.insert(name) {
            return Err(AttachmentError::Twice(name.clone()));
        }
        if media_type.len() > MEDIA_TYPE_BYTES_MAX || media_type.chars().any(|c| !c.is_ascii() || c.is_control()) {
            return Err(AttachmentError::MediaType(name.clone()));
        }
        let is_digest = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !sha256.iter().all(is_digest) {
            return Err(AttachmentError::NoDigest(name.clone()));
        }
        let bytes = match source {
            AttachmentSource::Bytes(bytes) => bytes.len() as u64,
            AttachmentSource::Path(_) => size.unwrap_or_default(),
        };
        known = known.saturating_add(bytes);
    }
    if known > limits.attachment_bytes {
        return Err(AttachmentError::TooLarge { max: limits.attachment_bytes });
    }
    Ok(())
}

/// Holds what was found in a file against what was said of it.
pub(crate) fn compare(wanted: &Attachment, size: u64, sha256: &str) -> Result<(), AttachmentError> {
    let name = || wanted.name.clone();
    if let Some(expected) = wanted.size.filter(|expected| *expected != size) {
        return Err(AttachmentError::Size { name: name(), expected, found: size });
    }
    match &wanted.sha256 {
        Some(expected) if !expected.eq_ignore_ascii_case(sha256) => {
            Err(AttachmentError::Digest { name: name(), expected: expected.clone(), found: sha256.to_owned() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether a file in a folder of ours can be called so: it is one name, and no way to anywhere.
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name != "."
        && name != ".."
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(attachments: &[Attachment]) -> Result<(), AttachmentError> {
        check(attachments, &Limits::default().attachments(2).attachment_bytes(10))
    }

    #[test]
    fn f26_an_attachments_name_is_no_path() {
        for good in ["report.md", "Bericht über α.txt", "...", ".hidden", "a b"] {
            checked(&[Attachment::bytes(good, *b"x")]).unwrap();
        }
        for bad in ["", ".", "..", "a/b", "/etc/passwd", "..\\x", "a\nb", "a\0", &"x".repeat(256)] {
            let refused = checked(&[Attachment::bytes(bad, *b"x")]);
            assert!(matches!(refused, Err(AttachmentError::Name(_))), "{bad:?}");
        }
    }

    #[test]
    fn r47_what_is_said_of_an_attachment_is_checked() {
        let file = || Attachment::bytes("a", *b"12345");
        assert!(matches!(checked(&[file(), file()]), Err(AttachmentError::Twice(_))));
        let three = [file(), Attachment::bytes("b", *b""), Attachment::bytes("c", *b"")];
        assert!(matches!(checked(&three), Err(AttachmentError::TooMany { count: 3, max: 2 })));
        assert!(matches!(
            checked(&[file(), Attachment::bytes("b", *b"123456")]),
            Err(AttachmentError::TooLarge { .. })
        ));
        assert!(matches!(checked(&[Attachment::file("b", "/f").size(11)]), Err(AttachmentError::TooLarge { .. })));
        assert!(matches!(checked(&[file().media_type("a\nb")]), Err(AttachmentError::MediaType(_))));
        assert!(matches!(checked(&[file().sha256("abc")]), Err(AttachmentError::NoDigest(_))));
        let digest = "0A".repeat(32);
        compare(&file().sha256(digest.clone()), 5, &digest.to_lowercase()).unwrap();
        assert!(matches!(
            compare(&file().size(4), 5, &digest),
            Err(AttachmentError::Size { expected: 4, found: 5, .. })
        ));
        let other = compare(&file().sha256("00".repeat(32)), 5, &digest);
        assert!(matches!(other, Err(AttachmentError::Digest { .. })));
    }

    #[test]
    fn r47_bytes_are_written_as_hex_digits_and_shown_as_a_size() {
        let file = Attachment::bytes("a", *b"\x01\xff");
        let text = serde_json::to_string(&file).unwrap();
        assert!(text.contains(r#""source":{"bytes":"01ff"}"#), "{text}");
        assert_eq!(serde_json::from_str::<Attachment>(&text).unwrap(), file);
        assert_eq!(format!("{:?}", file.source), "Bytes(2 bytes)");
    }
}
