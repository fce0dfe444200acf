//! The work, native: the same as the guests', rounds of the same mix, and the same 18 bytes at the end.

use std::hint::black_box;

/// Where all begin.
const SEED: u64 = 88_172_645_463_325_252;
/// Rounds of one piece of work: some microseconds.
pub(crate) const ROUNDS: u32 = 1000;

/// One piece of work. Its result is a JSON text.
pub(crate) fn work() -> String {
    let mut mixed = SEED;
    for _ in 0..black_box(ROUNDS) {
        mixed ^= mixed << 13;
        mixed ^= mixed >> 7;
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
    }
    format!("\"{mixed:016x}\"")
}

/// A loop without an end.
pub(crate) fn spin() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count).wrapping_add(1);
    }
}
