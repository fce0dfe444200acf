//! Makes bytes of others, for searches without a fuzzer's help: the same ones for the same seed.

use std::sync::OnceLock;

/// Bytes that often matter.
const EDGES: [u8; 10] = [0, 1, 2, 0x0a, 0x20, 0x22, 0x7f, 0x80, 0xfe, 0xff];
/// Bytes of an input that is made. Bounds the time of one try.
const BYTES_MAX: usize = 64 << 10;

/// Words that bring a search further than bytes do: a line each, in quotes, with what is none of ASCII's as `\x` and two
/// digits.
const WORDS: &str = include_str!("../../../tests/fuzz/words.dict");

/// The words as they are meant.
fn words() -> &'static [Vec<u8>] {
    static WORDS_READ: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    WORDS_READ.get_or_init(|| {
        let quoted = WORDS.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
        quoted.map(unescaped).collect()
    })
}

fn unescaped(text: &str) -> Vec<u8> {
    let (mut word, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        word.push(match byte {
            b'\\' => match rest.next() {
                Some(b'x') => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                escaped => escaped.unwrap(),
            },
            plain => plain,
        });
    }
    word
}

/// A source of numbers that are as good as random.
pub(super) struct Numbers(fastrand::Rng);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// One below this.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end.max(1))
    }

    fn byte(&mut self) -> u8 {
        if self.below(2) == 0 { EDGES[self.below(EDGES.len())] } else { self.0.u8(..) }
    }
}

/// One of the inputs, changed in a few places.
pub(super) fn mutated(inputs: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = inputs[numbers.below(inputs.len())].clone();
    for _ in 0..=numbers.below(5) {
        change(&mut bytes, inputs, numbers);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, inputs: &[Vec<u8>], numbers: &mut Numbers) {
    let at = numbers.below(bytes.len() + 1);
    let end = at + numbers.below((bytes.len() - at).min(64) + 1);
    match numbers.below(8) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << numbers.below(8);
            }
        }
        1 => {
            let new = numbers.byte();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = new;
            }
        }
        2 => drop(bytes.drain(at..end)),
        3 => bytes.insert(at, numbers.byte()),
        4 => {
            let words = words();
            drop(bytes.splice(at..at, words[numbers.below(words.len())].iter().copied()));
        }
        5 => {
            let part = bytes[at..end].to_vec();
            let times = 1 << numbers.below(7);
            drop(bytes.splice(at..at, part.repeat(times)));
        }
        6 => {
            let other = &inputs[numbers.below(inputs.len())];
            let from = numbers.below(other.len() + 1);
            let to = from + numbers.below(other.len() - from + 1);
            drop(bytes.splice(at..end, other[from..to].iter().copied()));
        }
        _ => bytes.truncate(at),
    }
}

#[test]
fn words_are_read_as_the_fuzzer_reads_them() {
    assert_eq!(unescaped(r#"a \"b\" \\u0000\x0A"#), b"a \"b\" \\u0000\n");
    assert!(words().len() > 50 && words().contains(&b"kv = true\n".to_vec()));
}
