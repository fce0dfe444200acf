//! Bytes as they come, made text.

/// Puts characters that are cut between two writes together again.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a character: three bytes at most.
    partial: Vec<u8>,
}

impl Decoder {
    /// The complete characters of what was kept before and the new bytes, with what is not UTF-8 replaced. The
    /// beginning of a character at the end is kept.
    pub(super) fn text(&mut self, bytes: Vec<u8>) -> String {
        let bytes = if self.partial.is_empty() {
            bytes
        } else {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(&bytes);
            joined
        };
        // Nearly always this is all; a guest may print a lot.
        String::from_utf8(bytes).unwrap_or_else(|error| {
            let mut bytes = error.into_bytes();
            self.partial = bytes.split_off(bytes.len() - unfinished(&bytes));
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        })
    }
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |last| last.invalid());
    match std::str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => last.len() - error.valid_up_to(),
        Ok(_) | Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded<'a>(writes: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mut decoder = Decoder::default();
        writes.into_iter().map(|bytes| decoder.text(bytes.to_vec())).collect()
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
    }
}
