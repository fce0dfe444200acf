//! A segmented sieve of Eratosthenes: memory for one segment and the primes up to the root, not for all numbers.

/// How many numbers are looked at together; small enough for a processor's cache.
const SEGMENT: u64 = 65_536;

pub(crate) struct Sieve {
    upto: u64,
    /// The first number that has not been looked at.
    next: u64,
    /// The primes up to the root of `upto`, which cross out all that is not prime.
    crossing: Vec<u64>,
}

/// What one segment holds.
pub(crate) struct Segment {
    pub(crate) last: u64,
    pub(crate) count: u64,
    pub(crate) largest: Option<u64>,
    /// How far the sieve is after it.
    pub(crate) percent: u8,
}

impl Sieve {
    pub(crate) fn upto(upto: u64) -> Self {
        Self { upto, next: 2, crossing: small_primes(upto.isqrt()) }
    }

    pub(crate) fn segments_left(&self) -> u64 {
        self.upto.saturating_add(1).saturating_sub(self.next).div_ceil(SEGMENT)
    }

    pub(crate) fn next_segment(&mut self) -> Option<Segment> {
        if self.next > self.upto {
            return None;
        }
        let first = self.next;
        let last = self.upto.min(first.saturating_add(SEGMENT - 1));
        self.next = last.saturating_add(1);

        let mut is_prime = vec![true; size(last - first + 1)];
        for &prime in &self.crossing {
            // Smaller multiples have a smaller prime factor, which crosses them out.
            let start = (prime * prime).max(first.next_multiple_of(prime));
            if start <= last {
                cross_out(&mut is_prime, start - first, prime);
            }
        }
        let found = || (first..=last).zip(&is_prime).filter(|(_, is_prime)| **is_prime).map(|(number, _)| number);
        Some(Segment {
            last,
            count: found().count() as u64,
            largest: found().last(),
            percent: percent(last, self.upto),
        })
    }
}

fn small_primes(upto: u64) -> Vec<u64> {
    let mut is_prime = vec![true; size(upto + 1)];
    let mut primes = Vec::new();
    for number in 2..=upto {
        if is_prime.get(size(number)) == Some(&true) {
            primes.push(number);
            cross_out(&mut is_prime, number.saturating_mul(number), number);
        }
    }
    primes
}

fn cross_out(is_prime: &mut [bool], start: u64, step: u64) {
    for cell in is_prime.iter_mut().skip(size(start)).step_by(size(step)) {
        *cell = false;
    }
}

/// What does not fit is beyond every list.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn percent(done: u64, all: u64) -> u8 {
    u8::try_from(u128::from(done) * 100 / u128::from(all.max(1))).unwrap_or(100)
}
