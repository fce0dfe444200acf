//! Where characters end in bytes as they come.

/// Puts characters that are cut between two writes together again.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a character: three bytes at most.
    partial: Vec<u8>,
}

impl Decoder {
    /// What was kept before and the new bytes, without the beginning of a character at the end, which is kept.
    pub(super) fn whole(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let mut bytes = if self.partial.is_empty() {
            bytes
        } else {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(&bytes);
            joined
        };
        let unfinished = unfinished(&bytes);
        if unfinished > 0 {
            self.partial = bytes.split_off(bytes.len() - unfinished);
        }
        bytes
    }
}

/// How many bytes at the end are the beginning of a character. Only the end is looked at: a guest may print a lot.
pub(super) fn unfinished(bytes: &[u8]) -> usize {
    if bytes.last().is_none_or(u8::is_ascii) {
        return 0;
    }
    let is_first = |byte: &u8| !(0x80..0xc0).contains(byte);
    let tail = bytes.get(bytes.len().saturating_sub(3)..).unwrap_or_default();
    let last = tail.iter().rposition(is_first).and_then(|first| tail.get(first..)).unwrap_or_default();
    match std::str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => last.len(),
        Ok(_) | Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded<'a>(writes: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut decoder = Decoder::default();
        writes.into_iter().map(|bytes| String::from_utf8_lossy(&decoder.whole(bytes.to_vec())).into_owned()).collect()
    }

    #[test]
    fn f31_a_character_cut_between_writes_is_whole_again() {
        assert_eq!(decoded("aß€😀z".as_bytes().chunks(1)), "aß€😀z");
        assert_eq!(decoded([&b"ab\xf0"[..], b"\x9f\x98", b"\x80\xe2"]), "ab😀");
    }

    #[test]
    fn f31_bytes_that_are_no_text_are_replaced() {
        assert_eq!(decoded([&b"a\xff b"[..], b"\xffc"]), "a\u{fffd} b\u{fffd}c");
        assert_eq!(decoded([&b"\xff\xe2\x82"[..], b"\xac\xc3", b"x"]), "\u{fffd}€\u{fffd}x");
        assert_eq!(decoded([&b"\x80\x80\x80\x80"[..]]), "\u{fffd}".repeat(4));
    }
}
