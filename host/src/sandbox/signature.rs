//! Publishers' signatures of plugins, which lie in the first section of the file.
//!
//! The format is that of the WebAssembly tool conventions, as `wasmsign2` and others write it. That crate believes every
//! length that it reads, checks as many signatures as it finds (16 384 may be there), and takes a beginning of a file for
//! the file when its publisher signed it in parts. So what a file carries is looked through first, and what is more than a
//! few signatures of one whole file is not given to it.

#[cfg(feature = "cli")]
pub(crate) mod making;

use std::collections::BTreeMap;

use wasmparser::{Parser, Payload};

use crate::model::publisher::{PublisherKey, Signed};

/// The section's name.
const SECTION: &str = "signature";
/// Bytes of the section. Protects the host from a file that is all signatures.
const SECTION_BYTES_MAX: usize = 8 << 10;
/// Signatures of a file. Each is checked with every publisher's key, which takes 0.1 ms. Protects the host's time.
const SIGNATURES_MAX: usize = 16;
/// Bytes of a key's id, which is shown to people.
const KEY_ID_BYTES_MAX: usize = 32;
/// What the format says about itself: its version, that WebAssembly is signed, and that SHA-256 is.
const HEAD: [u8; 3] = [1, 1, 1];
const HASH_BYTES: usize = 32;
const ED25519: u8 = 1;
const SIGNATURE_BYTES: usize = 64;

/// What these bytes carry, and by whom it is as far as these publishers go. What is no WebAssembly carries nothing.
pub(crate) fn look(bytes: &[u8], publishers: &BTreeMap<String, PublisherKey>) -> Signed {
    let Some(section) = section(bytes) else { return Signed::Not };
    match key_ids(section) {
        Err(why) => Signed::Unusable(why),
        Ok(ids) => check(bytes, &ids, publishers),
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

/// The ids of the keys of all signatures, where they have one. Fails for whatever is not a few signatures of a whole file.
fn key_ids(section: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    if section.len() > SECTION_BYTES_MAX {
        return Err("it is too long");
    }
    let damaged = "it is damaged, or of another version of the format";
    let mut left = Left(section);
    if HEAD.iter().any(|byte| left.byte() != Some(*byte)) {
        return Err(damaged);
    }
    let mut ids = Vec::new();
    let mut signatures = 0;
    for _ in 0..left.number().ok_or(damaged)?.min(SECTION_BYTES_MAX) {
        let mut of_hashes = Left(left.slice().ok_or(damaged)?);
        if of_hashes.number().ok_or(damaged)? != 1 {
            return Err("it is of parts of the file");
        }
        of_hashes.take(HASH_BYTES).ok_or(damaged)?;
        let count = of_hashes.number().ok_or(damaged)?;
        signatures += count.min(SECTION_BYTES_MAX);
        if signatures > SIGNATURES_MAX {
            return Err("there are too many");
        }
        for _ in 0..count {
            let mut one = Left(of_hashes.slice().ok_or(damaged)?);
            let id = one.slice().ok_or(damaged)?;
            let is_whole = one.byte() == Some(ED25519)
                && one.slice().is_some_and(|signature| signature.len() == SIGNATURE_BYTES)
                && id.len() <= KEY_ID_BYTES_MAX
                && one.is_empty();
            if !is_whole {
                return Err(damaged);
            }
            ids.extend((!id.is_empty()).then_some(id));
        }
        if !of_hashes.is_empty() {
            return Err(damaged);
        }
    }
    match (signatures, left.is_empty()) {
        (_, false) => Err(damaged),
        (0, true) => Err("there is none in it"),
        (_, true) => Ok(ids),
    }
}

/// What is left of some bytes that are read.
struct Left<'a>(&'a [u8]);

impl<'a> Left<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A number of 32 bits, the lowest seven first.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0_u64;
        for place in 0..5 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return usize::try_from(u32::try_from(number).ok()?).ok();
            }
        }
        None
    }

    /// Bytes with their number before them.
    fn slice(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?;
        self.take(count)
    }
}

/// By whom signatures are that were looked through.
#[cfg(feature = "signatures")]
fn check(bytes: &[u8], ids: &[&[u8]], publishers: &BTreeMap<String, PublisherKey>) -> Signed {
    use std::collections::BTreeSet;
    use wasmsign2::{PublicKey, PublicKeySet};

    let keys: Vec<(&String, PublicKey)> =
        publishers.iter().filter_map(|(name, key)| Some((name, public_key(key)?))).collect();
    let all = PublicKeySet::new(keys.iter().map(|(_, key)| key.clone()).collect());
    let found = if all.is_empty() { None } else { all.verify(&mut { bytes }, None).ok() };
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
fn check(_: &[u8], _: &[&[u8]], _: &BTreeMap<String, PublisherKey>) -> Signed {
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

    use super::making::SigningKey;
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
        let mut inside = leb(name.len());
        inside.extend(name.as_bytes());
        inside.extend(content);
        [&plain[..8], &[0], &leb(inside.len()), &inside, &plain[8..]].concat()
    }

    fn leb(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = u8::try_from(number & 0x7f).unwrap();
            number >>= 7;
            bytes.push(if number == 0 { low } else { low | 0x80 });
            if number == 0 {
                return bytes;
            }
        }
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
            assert_eq!(look(&plain, &known), Signed::Not);
            let signed = acme.sign(&plain).unwrap();
            assert_eq!(look(&signed, &known), Signed::By(by(&["acme"])));
            assert_eq!(look(&signed, &publishers(&[("other", &other), ("acme", &acme)])), Signed::By(by(&["acme"])));
            let id = hex::encode(key_id(public_key(&acme.public().unwrap()).unwrap()));
            let unknown = Signed::Unknown { keys: by(&[&id]) };
            assert_eq!(look(&signed, &publishers(&[("other", &other)])), unknown);
            assert_eq!(look(&signed, &BTreeMap::new()), unknown);
            // Nothing of it may be changed, left away or added.
            let beginning = signed.len() - (plain.len() - 8);
            for place in beginning..signed.len() {
                let mut changed = signed.clone();
                changed[place] ^= 1;
                assert_eq!(look(&changed, &known), Signed::False(by(&["acme"])), "at {place}");
            }
            for length in beginning..signed.len() {
                assert_eq!(look(&signed[..length], &known), Signed::False(by(&["acme"])), "of {length}");
            }
            let longer = [signed.as_slice(), &[0, 2, 1, b'x']].concat();
            assert_eq!(look(&longer, &known), Signed::False(by(&["acme"])));
            // Whoever signs it anew takes the place of who did before.
            assert_eq!(look(&other.sign(&signed).unwrap(), &known), look(&other.sign(&plain).unwrap(), &known));
        }
    }

    #[test]
    fn t23_a_signature_says_nothing_unless_it_comes_first() {
        let acme = key(1);
        let signed = acme.sign(&wat::parse_str(COMPONENT).unwrap()).unwrap();
        let behind = [&signed[..8], &[0, 2, 1, b'x'], &signed[8..]].concat();
        assert_eq!(look(&behind, &publishers(&[("acme", &acme)])), Signed::Not);
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
            (vec![0; SECTION_BYTES_MAX + 1], Signed::Unusable("it is too long")),
            (content(&[hashes(1, &vec![one(); 16])]), Signed::Unknown { keys: by(&["6964"]) }),
            (content(&[hashes(1, &[signature(b"")])]), Signed::Unknown { keys: by(&[]) }),
        ] {
            assert_eq!(look(&with_section(SECTION, &content), &publishers(&[("acme", &key(1))])), expected);
        }
        assert_eq!(look(&with_section("signatures", &content(&[])), &BTreeMap::new()), Signed::Not);
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
        assert_eq!(look(&beginning, &known), Signed::Unusable("it is of parts of the file"));
    }
}
