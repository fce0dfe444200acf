//! Publishers' signatures of plugins, which lie in the first section of the file, or beside it in a file of their own.
//!
//! The format is that of the WebAssembly tool conventions, as `wasmsign2` and others write it. That crate believes every
//! length that it reads, checks as many signatures as it finds (16 384 may be there), and takes a beginning of a file for
//! the file when its publisher signed it in parts. So what a file carries is looked through first, and what is more than a
//! few signatures of one whole file is not given to it.

#[cfg(feature = "cli")]
pub(crate) mod making;

use std::collections::BTreeMap;

use wasmparser::{BinaryReader, BinaryReaderError, Parser, Payload};

use crate::model::publisher::{PublisherKey, Signed};

/// The section's name.
const SECTION: &str = "signature";
/// Bytes of the section's content, and of a file beside the plugin. Protects the host from a file that is all signatures.
pub(crate) const CONTENT_BYTES_MAX: usize = 8 << 10;
/// Signatures of a file. Each is checked with every publisher's key, which takes 0.1 ms. Protects the host's time.
const SIGNATURES_MAX: u32 = 16;
/// Bytes of a key's id, which is shown to people.
const KEY_ID_BYTES_MAX: usize = 32;
/// What the format says about itself: its version, that WebAssembly is signed, and that SHA-256 is.
const HEAD: [u8; 3] = [1, 1, 1];
const HASH_BYTES: usize = 32;
const ED25519: u8 = 1;
const SIGNATURE_BYTES: usize = 64;

/// What these bytes carry, and a signature that lies beside them, and by whom it is as far as these publishers go. What is no
/// WebAssembly carries nothing.
///
/// Of the two each counts as if the other were not there. When neither does, it is told what is wrong with the one beside.
pub(crate) fn look(bytes: &[u8], beside: Option<&[u8]>, publishers: &BTreeMap<String, PublisherKey>) -> Signed {
    let inside = section(bytes).map(|content| seen(bytes, content, None, publishers));
    let beside = beside.map(|content| seen(bytes, content, Some(content), publishers));
    match (inside, beside) {
        (None, None) => Signed::Not,
        (Some(one), None) | (None, Some(one)) => one,
        (Some(Signed::By(mut names)), Some(Signed::By(more))) => {
            names.extend(more);
            Signed::By(names)
        }
        (Some(by @ Signed::By(_)), Some(_)) => by,
        (Some(_), Some(beside)) => beside,
    }
}

/// What this is: the content of a section, or of a file beside the plugin's.
fn seen(bytes: &[u8], content: &[u8], beside: Option<&[u8]>, publishers: &BTreeMap<String, PublisherKey>) -> Signed {
    match key_ids(content) {
        Err(why) => Signed::Unusable(why),
        Ok(ids) => check(bytes, beside, &ids, publishers),
    }
}

/// The content of the section, which is the first of its file.
fn section(bytes: &[u8]) -> Option<&[u8]> {
    let mut payloads = Parser::new(0).parse_all(bytes).map_while(Result::ok);
    let Some(Payload::Version { .. }) = payloads.next() else { return None };
    match payloads.next() {
        Some(Payload::CustomSection(section)) if section.name() == SECTION => Some(section.data()),
        Some(_) | None => None,
    }
}

/// What is said of bytes that cannot be read.
const DAMAGED: &str = "it is damaged, or of another version of the format";

impl From<BinaryReaderError> for Unusable {
    fn from(_: BinaryReaderError) -> Self {
        Self(DAMAGED)
    }
}

/// Why something is not a few signatures of a whole file.
struct Unusable(&'static str);

/// The ids of the keys of all signatures, where they have one. Fails for whatever is not a few signatures of a whole file.
fn key_ids(content: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    if content.len() > CONTENT_BYTES_MAX {
        return Err("it is too long");
    }
    read(BinaryReader::new(content, 0)).map_err(|Unusable(why)| why)
}

fn read(mut left: BinaryReader<'_>) -> Result<Vec<&[u8]>, Unusable> {
    if left.read_bytes(HEAD.len())? != HEAD {
        return Err(Unusable(DAMAGED));
    }
    let (mut ids, mut signatures) = (Vec::new(), 0_u32);
    for _ in 0..left.read_var_u32()? {
        let mut of_hashes = left.read_reader()?;
        if of_hashes.read_var_u32()? != 1 {
            return Err(Unusable("it is of parts of the file"));
        }
        of_hashes.read_bytes(HASH_BYTES)?;
        let count = of_hashes.read_var_u32()?;
        signatures = signatures.saturating_add(count);
        if signatures > SIGNATURES_MAX {
            return Err(Unusable("there are too many"));
        }
        for _ in 0..count {
            ids.extend(key_id_of(of_hashes.read_reader()?)?);
        }
        if !of_hashes.eof() {
            return Err(Unusable(DAMAGED));
        }
    }
    match (signatures, left.eof()) {
        (_, false) => Err(Unusable(DAMAGED)),
        (0, true) => Err(Unusable("there is none in it")),
        (_, true) => Ok(ids),
    }
}

/// The id of one signature's key, if it has one.
fn key_id_of(mut one: BinaryReader<'_>) -> Result<Option<&[u8]>, Unusable> {
    let length = one.read_size(CONTENT_BYTES_MAX, "key id")?;
    let id = one.read_bytes(length)?;
    let algorithm = one.read_u8()?;
    let length = one.read_size(CONTENT_BYTES_MAX, "signature")?;
    one.read_bytes(length)?;
    if algorithm != ED25519 || length != SIGNATURE_BYTES || id.len() > KEY_ID_BYTES_MAX || !one.eof() {
        return Err(Unusable(DAMAGED));
    }
    Ok((!id.is_empty()).then_some(id))
}

/// By whom signatures are that were looked through.
#[cfg(feature = "signatures")]
fn check(bytes: &[u8], beside: Option<&[u8]>, ids: &[&[u8]], publishers: &BTreeMap<String, PublisherKey>) -> Signed {
    use std::collections::BTreeSet;
    use wasmsign2::{PublicKey, PublicKeySet};

    let keys: Vec<(&String, PublicKey)> =
        publishers.iter().filter_map(|(name, key)| Some((name, public_key(key)?))).collect();
    let all = PublicKeySet::new(keys.iter().map(|(_, key)| key.clone()).collect());
    let found = if all.is_empty() { None } else { all.verify(&mut { bytes }, beside).ok() };
    let named = |is: &dyn Fn(&PublicKey) -> bool| -> BTreeSet<String> {
        keys.iter().filter(|(_, key)| is(key)).map(|(name, _)| (*name).clone()).collect()
    };
    let by = named(&|key| found.as_ref().is_some_and(|found| found.contains(key)));
    if !by.is_empty() {
        return Signed::By(by);
    }
    let claimed = named(&|key| ids.iter().any(|id| key_id(key.clone()).as_slice() == *id));
    if !claimed.is_empty() {
        return Signed::False(claimed);
    }
    Signed::Unknown { keys: ids.iter().map(hex::encode).collect() }
}

#[cfg(not(feature = "signatures"))]
fn check(_: &[u8], _: Option<&[u8]>, _: &[&[u8]], _: &BTreeMap<String, PublisherKey>) -> Signed {
    Signed::Unusable("this host was built without what checks it")
}

/// The crate's form of a key.
#[cfg(feature = "signatures")]
fn public_key(key: &PublisherKey) -> Option<wasmsign2::PublicKey> {
    wasmsign2::PublicKey::from_bytes(&[&[ED25519], key.as_bytes().as_slice()].concat()).ok()
}

/// The id that a key has by itself.
#[cfg(feature = "signatures")]
fn key_id(key: wasmsign2::PublicKey) -> Vec<u8> {
    key.attach_default_key_id().key_id().cloned().unwrap_or_default()
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use std::collections::BTreeSet;

    use wasm_encoder::{CustomSection, Encode as _, Section as _};

    use super::making::{SignError, SigningKey};
    use super::*;

    const COMPONENT: &str = "(component (core module $m (func (export \"f\"))) (core instance (instantiate $m)))";

    fn key(digit: u8) -> SigningKey {
        SigningKey::from_seed([digit; 32])
    }

    fn publishers(keys: &[(&str, &SigningKey)]) -> BTreeMap<String, PublisherKey> {
        keys.iter().map(|(name, key)| ((*name).to_owned(), key.public().unwrap())).collect()
    }

    fn by(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// A file whose first section has this name and content.
    fn with_section(name: &str, content: &[u8]) -> Vec<u8> {
        let plain = wat::parse_str(COMPONENT).unwrap();
        let mut file = plain[..8].to_vec();
        CustomSection { name: name.into(), data: content.into() }.append_to(&mut file);
        [file.as_slice(), &plain[8..]].concat()
    }

    fn leb(number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        number.encode(&mut bytes);
        bytes
    }

    fn sized(content: &[u8]) -> Vec<u8> {
        [leb(content.len()), content.to_vec()].concat()
    }

    fn signature(id: &[u8]) -> Vec<u8> {
        [sized(id), vec![ED25519], sized(&[0; SIGNATURE_BYTES])].concat()
    }

    fn hashes(count: usize, signatures: &[Vec<u8>]) -> Vec<u8> {
        let mut all = leb(count);
        all.extend(vec![0; count * HASH_BYTES]);
        all.extend(leb(signatures.len()));
        all.extend(signatures.iter().flat_map(|signature| sized(signature)));
        all
    }

    fn content(sets: &[Vec<u8>]) -> Vec<u8> {
        [HEAD.to_vec(), leb(sets.len()), sets.iter().flat_map(|set| sized(set)).collect()].concat()
    }

    #[test]
    fn t23_a_signature_is_its_publishers_and_of_these_bytes_alone() {
        let (acme, other) = (key(1), key(2));
        let known = publishers(&[("acme", &acme)]);
        for plain in [wat::parse_str(COMPONENT).unwrap(), wat::parse_str("(module (func))").unwrap()] {
            assert_eq!(look(&plain, None, &known), Signed::Not);
            let signed = acme.sign(&plain).unwrap();
            assert_eq!(look(&signed, None, &known), Signed::By(by(&["acme"])));
            assert_eq!(
                look(&signed, None, &publishers(&[("other", &other), ("acme", &acme)])),
                Signed::By(by(&["acme"]))
            );
            let id = hex::encode(key_id(public_key(&acme.public().unwrap()).unwrap()));
            let unknown = Signed::Unknown { keys: by(&[&id]) };
            assert_eq!(look(&signed, None, &publishers(&[("other", &other)])), unknown);
            assert_eq!(look(&signed, None, &BTreeMap::new()), unknown);
            // Nothing of it may be changed, left away or added.
            let beginning = signed.len() - (plain.len() - 8);
            for place in beginning..signed.len() {
                let mut changed = signed.clone();
                changed[place] ^= 1;
                assert_eq!(look(&changed, None, &known), Signed::False(by(&["acme"])), "at {place}");
            }
            for length in beginning..signed.len() {
                assert_eq!(look(&signed[..length], None, &known), Signed::False(by(&["acme"])), "of {length}");
            }
            let longer = [signed.as_slice(), &[0, 2, 1, b'x']].concat();
            assert_eq!(look(&longer, None, &known), Signed::False(by(&["acme"])));
            // Whoever signs it anew takes the place of who did before.
            assert_eq!(
                look(&other.sign(&signed).unwrap(), None, &known),
                look(&other.sign(&plain).unwrap(), None, &known)
            );
        }
    }

    #[test]
    fn t23_a_signature_beside_the_file_is_as_good_as_one_inside() {
        let (acme, other) = (key(1), key(2));
        let known = publishers(&[("acme", &acme), ("other", &other)]);
        for plain in [wat::parse_str(COMPONENT).unwrap(), wat::parse_str("(module (func))").unwrap()] {
            let beside = acme.sign_detached(&plain).unwrap();
            let seen = |bytes: &[u8], beside: &[u8]| look(bytes, Some(beside), &known);
            assert_eq!(seen(&plain, &beside), Signed::By(by(&["acme"])));
            assert_eq!(section(&acme.sign(&plain).unwrap()), Some(beside.as_slice()));
            assert_eq!(look(&plain, None, &known), Signed::Not);
            for place in 8..plain.len() {
                let mut changed = plain.clone();
                changed[place] ^= 1;
                assert_eq!(seen(&changed, &beside), Signed::False(by(&["acme"])), "at {place}");
            }
            for length in 8..plain.len() {
                assert_eq!(seen(&plain[..length], &beside), Signed::False(by(&["acme"])), "of {length}");
            }
            let mut forged = beside.clone();
            *forged.last_mut().unwrap() ^= 1;
            assert_eq!(seen(&plain, &forged), Signed::False(by(&["acme"])));
            for bad in [&[][..], b"untrusted comment: gpg", &vec![0; CONTENT_BYTES_MAX + 1], &beside[..9]] {
                assert!(matches!(seen(&plain, bad), Signed::Unusable(_)), "{bad:?}");
            }
            // Each counts by itself.
            let inside = other.sign(&plain).unwrap();
            assert_eq!(seen(&inside, b"bad"), Signed::By(by(&["other"])));
            assert_eq!(seen(&inside, &beside), Signed::By(by(&["other"])), "it is of the file without the one inside");
            assert!(matches!(acme.sign_detached(&inside), Err(SignError::Signed)));
        }
    }

    #[test]
    fn t23_a_signature_says_nothing_unless_it_comes_first() {
        let acme = key(1);
        let signed = acme.sign(&wat::parse_str(COMPONENT).unwrap()).unwrap();
        let behind = [&signed[..8], &[0, 2, 1, b'x'], &signed[8..]].concat();
        assert_eq!(look(&behind, None, &publishers(&[("acme", &acme)])), Signed::Not);
    }

    #[test]
    fn t23_a_hostile_signature_costs_nothing() {
        let one = || signature(b"id");
        let damaged = Signed::Unusable("it is damaged, or of another version of the format");
        let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
        for (content, expected) in [
            (Vec::new(), damaged.clone()),
            (vec![2, 1, 1, 0], damaged.clone()),
            ([&HEAD[..], &huge].concat(), damaged.clone()),
            ([&HEAD[..], &[1], &huge].concat(), damaged.clone()),
            (content(&[[&huge[..], &[0; 40]].concat()]), Signed::Unusable("it is of parts of the file")),
            (content(&[hashes(2, &[one()])]), Signed::Unusable("it is of parts of the file")),
            (content(&[hashes(1, &[one(), signature(&[1; 33])])]), damaged.clone()),
            (content(&[hashes(1, &[[one(), vec![0]].concat()])]), damaged.clone()),
            (content(&[[hashes(1, &[one()]), vec![0]].concat()]), damaged.clone()),
            ([content(&[hashes(1, &[one()])]), vec![0]].concat(), damaged),
            (content(&[]), Signed::Unusable("there is none in it")),
            (content(&[hashes(1, &[])]), Signed::Unusable("there is none in it")),
            (content(&[hashes(1, &vec![one(); 17])]), Signed::Unusable("there are too many")),
            (content(&vec![hashes(1, &[one()]); 17]), Signed::Unusable("there are too many")),
            (vec![0; CONTENT_BYTES_MAX + 1], Signed::Unusable("it is too long")),
            (content(&[hashes(1, &vec![one(); 16])]), Signed::Unknown { keys: by(&["6964"]) }),
            (content(&[hashes(1, &[signature(b"")])]), Signed::Unknown { keys: by(&[]) }),
        ] {
            assert_eq!(look(&with_section(SECTION, &content), None, &publishers(&[("acme", &key(1))])), expected);
        }
        assert_eq!(look(&with_section("signatures", &content(&[])), None, &BTreeMap::new()), Signed::Not);
    }

    /// A publisher that signs a file in parts has signed its beginning; that is another file.
    #[test]
    fn t23_a_beginning_that_was_signed_as_a_part_is_no_signed_file() {
        use wasmsign2::{Module, SecretKey, SectionLike as _};
        let acme = key(1);
        let plain = wat::parse_str("(module (func (export \"f\")) (@custom \"x\" \"y\"))").unwrap();
        let module = Module::deserialize(&mut plain.as_slice()).unwrap();
        let module = module.split(|section| section.id() != wasmsign2::SectionId::CustomSection).unwrap();
        let secret = SecretKey::from_pem(&acme.to_pem()).unwrap();
        let (mut module, _) = secret.sign_multi(module, None, false, false).unwrap();
        module.sections.truncate(module.sections.len() - 2);
        let mut beginning = Vec::new();
        module.serialize(&mut beginning).unwrap();
        let crates_own = public_key(&acme.public().unwrap()).unwrap().verify(&mut beginning.as_slice(), None);
        assert!(crates_own.is_ok(), "the crate takes it");
        let known = publishers(&[("acme", &acme)]);
        assert_eq!(look(&beginning, None, &known), Signed::Unusable("it is of parts of the file"));
    }
}
