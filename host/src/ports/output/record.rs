//! How pieces lie in the spill: a line of JSON, then the text as it is, then a line break.
//!
//! ```text
//! {"n":17,"source":"stdout","bytes":5}
//! hello
//! {"n":18,"source":{"log":{"level":"info","target":"digest"}},"bytes":4}
//! done
//! ```
//!
//! A person can read it, and the text is not escaped, which would cost more than all the rest.

use serde::{Deserialize, Serialize};

use super::page::{OutputChunk, OutputSource};
use super::ring::Chunk;

#[derive(Serialize, Deserialize)]
struct Header<S> {
    n: u64,
    source: S,
    bytes: usize,
}

/// Writes a piece at the end of a batch.
pub(super) fn write(chunk: &Chunk, batch: &mut Vec<u8>) -> std::io::Result<()> {
    let text = chunk.text();
    let header = Header { n: chunk.number, source: &chunk.source, bytes: text.len() };
    serde_json::to_writer(&mut *batch, &header)?;
    batch.push(b'\n');
    batch.extend_from_slice(text);
    batch.push(b'\n');
    Ok(())
}

/// Reads a batch: its pieces with their numbers, up to the first that makes no sense.
pub(super) fn read(batch: &[u8]) -> impl Iterator<Item = (u64, OutputChunk)> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        let line = rest.iter().position(|byte| *byte == b'\n')?;
        let (header, text) = rest.split_at_checked(line)?;
        let Header::<OutputSource> { n, source, bytes } = serde_json::from_slice(header).ok()?;
        let (text, after) = text.get(1..)?.split_at_checked(bytes)?;
        rest = after.get(1..)?;
        Some((n, OutputChunk { source, text: String::from_utf8_lossy(text).into_owned() }))
    })
}
