//! Makes bytes of others, for searches without a fuzzer's help: the same ones for the same seed.

/// Bytes that often matter.
const EDGES: [u8; 10] = [0, 1, 2, 0x0a, 0x20, 0x22, 0x7f, 0x80, 0xfe, 0xff];
/// Bytes of an input that is made. Bounds the time of one try.
const BYTES_MAX: usize = 64 << 10;

/// Words that bring a search further than bytes do.
const WORDS: [&str; 40] = [
    "[plugins.a]\n",
    "[plugins.a.allow]\n",
    "[plugins.a.ask]\n",
    "[plugins.a.deny]\n",
    "[all.deny]\n",
    "[secrets.a]\n",
    "[publishers]\n",
    "digest = \"any\"\n",
    "http = [{ host = \"*.a.b\" }]\n",
    "fs = [{ host = \"/a\" }]\n",
    "env = { A = \"\" }\n",
    "tasks = [\"*\"]\n",
    "kv = true\n",
    "capabilities = [\"fs\"]\n",
    "version = 1\n",
    "\"name\":",
    "\"tasks\":[{\"name\":\"a\"}]",
    "\"requests\":[{\"capability\":\"http\"}]",
    "\"$ref\":\"#\"",
    "\"pattern\":\"(a+)+$\"",
    "\"steps\":[{\"name\":\"a\"}]",
    "\"input\":{}",
    "1e308",
    "-0.0",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "\u{202e}",
    "é",
    "..",
    "/",
    "%2e",
    "::1",
    "127.1",
    "0x7f.1",
    "xn--a",
    "*/5 * * * *",
    "@daily",
    "Europe/Berlin",
    "ssh-ed25519 AAAA",
];

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
        4 => drop(bytes.splice(at..at, WORDS[numbers.below(WORDS.len())].bytes())),
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
