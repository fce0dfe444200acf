//! `wasi:random`: wasmtime's own, behind a limit that says its name.

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::random::WasiRandomCtx;

use super::cell::CellData;
use super::trap::TooMuchRandom;

/// The random numbers of a cell, while one of its calls is served.
pub(super) struct Random<'a> {
    pub(super) wasi: &'a mut WasiRandomCtx,
    /// Bytes in one call.
    pub(super) limit: u64,
    /// Instead of those, when the task may not have what nobody can foretell: the calls cannot fail.
    pub(super) foretold: Option<&'a mut Foretold>,
}

/// Numbers that are the same in each run of one version of the program.
#[derive(Debug)]
pub(super) struct Foretold(fastrand::Rng);

impl Default for Foretold {
    fn default() -> Self {
        Self(fastrand::Rng::with_seed(0))
    }
}

impl Foretold {
    fn next(&mut self) -> u64 {
        self.0.u64(..)
    }

    fn bytes(&mut self, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        self.0.fill(&mut bytes);
        bytes
    }
}

struct HasRandom;

impl HasData for HasRandom {
    type Data<'a> = Random<'a>;
}

/// Puts these functions in the place of wasmtime's own, which are linked already.
pub(super) fn add_to_linker(linker: &mut Linker<CellData>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    random::add_to_linker::<_, HasRandom>(linker, CellData::random)?;
    insecure::add_to_linker::<_, HasRandom>(linker, CellData::random)?;
    insecure_seed::add_to_linker::<_, HasRandom>(linker, CellData::random)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl Random<'_> {
    fn check(&self, asked: u64) -> wasmtime::Result<()> {
        let limit = self.limit;
        if asked > limit { Err(TooMuchRandom { asked, limit }.into()) } else { Ok(()) }
    }
}

impl random::Host for Random<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.check(len)?;
        match &mut self.foretold {
            Some(foretold) => Ok(foretold.bytes(len)),
            None => random::Host::get_random_bytes(self.wasi, len),
        }
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        match &mut self.foretold {
            Some(foretold) => Ok(foretold.next()),
            None => random::Host::get_random_u64(self.wasi),
        }
    }
}

impl insecure::Host for Random<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.check(len)?;
        match &mut self.foretold {
            Some(foretold) => Ok(foretold.bytes(len)),
            None => insecure::Host::get_insecure_random_bytes(self.wasi, len),
        }
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        match &mut self.foretold {
            Some(foretold) => Ok(foretold.next()),
            None => insecure::Host::get_insecure_random_u64(self.wasi),
        }
    }
}

impl insecure_seed::Host for Random<'_> {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        match &mut self.foretold {
            Some(foretold) => Ok((foretold.next(), foretold.next())),
            None => insecure_seed::Host::insecure_seed(self.wasi),
        }
    }
}
