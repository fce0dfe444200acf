//! What is packed small and becomes large is the problem of who unpacks it: the guest, in its own memory.

use serde_json::json;
use taskcell::{FailureKind, LimitsRequest};

use crate::support::alone::alone;
use crate::support::oracle::Watched;
use crate::support::task::{failed, outcome, start_as};
use crate::support::{builder, guest};

use super::server::Server;
use super::{granted, local, wishes};

/// How many times the bomb says the same 258 bytes again: 80 MiB.
const COPIES: usize = (80 << 20) / 258;

/// Bits of a stream, the lowest of each byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: usize,
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.used.is_multiple_of(8) {
            self.bytes.push(0);
        }
        *self.bytes.last_mut().unwrap() |= u8::from(bit) << (self.used % 8);
        self.used += 1;
    }

    /// A code word, whose highest bit comes first.
    fn word(&mut self, word: u16, length: u32) {
        (0..length).rev().for_each(|bit| self.push(word >> bit & 1 == 1));
    }
}

/// Zeros without number, as gzip packs them best: RFC 1951's fixed codes, which are told one zero and "the same 258 times"
/// again and again.
pub(super) fn packed() -> Vec<u8> {
    let mut bits = Bits::default();
    // The last block, with fixed codes: 1, then 01 with its lowest bit first.
    for bit in [true, true, false] {
        bits.push(bit);
    }
    bits.word(0b0011_0000, 8);
    for _ in 0..COPIES {
        // Length 258, distance 1.
        bits.word(0b1100_0101, 8);
        bits.word(0, 5);
    }
    // The end of the block. What gzip has after it nobody reads who has died before.
    bits.word(0, 7);
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], bits.bytes.as_slice()].concat()
}

#[test]
fn t13_a_gzip_bomb_bursts_in_the_guests_own_memory() {
    alone(|| async {
        let server = Server::new().await;
        let watched = Watched::with(builder()).await;
        watched.host.load_plugin(guest("web")).await.unwrap();
        watched
            .withstands(async |beside| {
                let wish = json!({"authority": server.authority(), "path": "/bomb"});
                let mut request = wishes("unpack", vec![wish]).grants(granted(local("127.0.0.1", &server)));
                request.limits = LimitsRequest::default().memory_bytes(32 << 20);
                let task = start_as(beside.host, request).await;
                beside.goes_on().await;
                let failure = failed(outcome(&task).await, FailureKind::Memory);
                assert!(task.state().usage.memory_peak_bytes <= 32 << 20, "{failure:?}");
                server.has_closed(1).await;
                vec![task]
            })
            .await;
    });
}
