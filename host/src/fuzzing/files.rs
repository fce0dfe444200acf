//! Plugin files, as far as they are looked at before they are compiled.

use std::collections::BTreeMap;

use wasm_encoder::{CustomSection, Section as _};

use crate::model::publisher::{PublisherKey, Signed};
use crate::sandbox::checking::{Checked, Taken, at_first_sight, before_compiling};
use crate::sandbox::load::LoadError;
use crate::sandbox::signature;

use super::making;

/// What an error says beside what it quotes of a file.
const WORDS_BYTES_MAX: usize = 4096;

/// The bytes as a file, and the file that is made as they say.
pub(super) fn load(bytes: &[u8]) {
    loaded(bytes);
    if let Some(made) = making::made(bytes) {
        loaded(&made);
    }
}

/// A file that shall be loaded is refused with an error, or may be compiled.
fn loaded(bytes: &[u8]) {
    let taken =
        Taken { file_bytes: 1 << 20, memory_bytes: 128 << 20, plain_commands: true, extensions: &[], policy: None };
    let checked = check(bytes, &taken);
    if let Err(error) = &checked {
        let said = error.to_string();
        // A name can be escaped, and stand there twice.
        assert!(said.len() <= WORDS_BYTES_MAX + 16 * bytes.len(), "an error of {} bytes", said.len());
        if let LoadError::Malformed { offset, .. } = error {
            assert!(*offset <= bytes.len() as u64, "a fault at {offset} in {} bytes", bytes.len());
        }
    }
    // Whether programs are taken, and how large memories may be, changes nothing about what a file is.
    let strict = check(bytes, &Taken { plain_commands: false, memory_bytes: 0, ..taken });
    assert!(checked.is_ok() || strict.is_err(), "less is taken where more is allowed: {checked:?}");
    if let (Ok(checked), Ok(strict)) = (checked, strict) {
        assert_eq!(checked, strict);
    }
}

fn check(bytes: &[u8], taken: &Taken<'_>) -> Result<Checked, LoadError> {
    let checked = at_first_sight(bytes, None, taken)?;
    before_compiling(bytes, &checked, taken)?;
    Ok(checked)
}

/// Whose keys the corpus is signed with.
pub(super) fn known() -> BTreeMap<String, PublisherKey> {
    let key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
    PublisherKey::parse(key).map(|key| ("acme".to_owned(), key)).into_iter().collect()
}

/// A file whose first section is a signature. What is signed is no more so when it is changed.
pub(super) fn signature(bytes: &[u8]) {
    look(bytes, None);
    // The same as the content of a section, so that not every search has to find out how a file begins, and of a file beside
    // another one.
    let mut file = HEAD.to_vec();
    CustomSection { name: "signature".into(), data: bytes.into() }.append_to(&mut file);
    look(&file, None);
    look(HEAD, Some(bytes));
}

/// How a component begins.
const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";

fn look(file: &[u8], beside: Option<&[u8]>) {
    let known = known();
    let signed = signature::look(file, beside, &known);
    let _ = signed.to_string();
    if let Signed::By(_) = &signed {
        let mut changed = file.to_vec();
        if let Some(last) = changed.last_mut() {
            *last ^= 1;
        }
        let changed = signature::look(&changed, beside, &known);
        assert!(changed.publishers().next().is_none(), "a signature of two files: {changed:?}");
        assert!(signature::look(file, beside, &BTreeMap::new()).publishers().next().is_none(), "signed by nobody");
    }
}
