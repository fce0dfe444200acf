//! `--attach`: a file that the task gets along.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::Attachment;

/// Media types by the endings of names, for what tasks are given most. Any other file is bytes.
const MEDIA_TYPES: [(&str, &str); 14] = [
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("md", "text/markdown"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];

/// `FILE[:NAME]`. The name is what stands behind the last colon, if there is no `/` in it.
pub(super) fn attachment(argument: &OsStr) -> Result<Attachment, String> {
    let bytes = argument.as_bytes();
    let split = bytes.iter().rposition(|byte| *byte == b':').and_then(|at| bytes.split_at_checked(at));
    let (file, name) = match split {
        Some((file, name)) if !name.contains(&b'/') => (file, name.get(1..)),
        Some(_) | None => (bytes, None),
    };
    if file.is_empty() {
        return Err("the file is missing".to_owned());
    }
    let path = PathBuf::from(OsString::from_vec(file.to_vec()));
    let name = match name {
        Some(name) => std::str::from_utf8(name).ok().map(str::to_owned),
        None => path.file_name().and_then(OsStr::to_str).map(str::to_owned),
    };
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| "the task needs a name for it: add one, as in FILE:report.pdf".to_owned())?;
    let media_type = media_type(&name);
    let attachment = Attachment::file(name, path);
    Ok(match media_type {
        Some(media_type) => attachment.media_type(media_type),
        None => attachment,
    })
}

fn media_type(name: &str) -> Option<&'static str> {
    let ending = Path::new(name).extension()?;
    MEDIA_TYPES.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use crate::AttachmentSource;

    use super::*;

    #[test]
    fn r47_a_file_has_its_own_name_or_another() {
        let read = |text: &str| attachment(OsStr::new(text)).unwrap();
        let pdf = read("a/b/Report.PDF");
        assert_eq!((pdf.name.as_str(), pdf.media_type.as_str()), ("Report.PDF", "application/pdf"));
        assert_eq!(pdf.source, AttachmentSource::Path("a/b/Report.PDF".into()));
        let named = read("a:b/c:notes.md");
        assert_eq!((named.name.as_str(), named.media_type.as_str()), ("notes.md", "text/markdown"));
        assert_eq!(named.source, AttachmentSource::Path("a:b/c".into()));
        let plain = read("a:b/c");
        assert_eq!((plain.name.as_str(), plain.media_type.as_str()), ("c", "application/octet-stream"));
        for bad in ["", ":name", "file:", "..", "/"] {
            assert!(attachment(OsStr::new(bad)).is_err(), "{bad}");
        }
    }
}
