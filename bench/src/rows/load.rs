//! Row 12: loading a plugin of 2.4 MB, one that was compiled before and one that was not, against the engine's own
//! loading and compiling; against loading with the plugin's SHA-256, by which grants and signatures know it; and against
//! compiling in a process of its own, as ours does.

use std::{hint::black_box, path::Path};

use anyhow::{Context as _, Result, anyhow};
use serde_json::json;
use taskcell::{Host, PluginDigest, Unload};
use taskcell_bench::{Figure, Owed};
use wasmtime::{Engine, component::Component};

use super::Bench;
use crate::{
    apart, guests,
    measure::{blocks, scaled, wall},
    ours::Ours,
    raw::engine,
};

/// About so many bytes does the plugin have.
const BYTES: usize = 2_400_000;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Figure>> {
    let cache = tempfile::tempdir_in(&bench.disk)?;
    let ours = Ours::of(Host::builder().cache_dir(cache.path().join("cache")))?;
    let plugin = guests::large(BYTES)?;
    eprintln!("bench: the plugin has {} bytes", plugin.len());
    let engine = engine()?;

    let mut number = 0_u32;
    let mut another = || {
        number += 1;
        let other = stamped(&plugin, number);
        wall(|| come_and_go(&ours, other))
    };
    let compilations = bench.pick(3, 7);
    let fresh = blocks(compilations, &mut another, || {
        wall(|| Component::from_binary(&engine, &plugin).map(drop).map_err(|error| anyhow!("{error:#}")))
    })?;
    let apart = blocks(compilations, another, || wall(|| compiled_apart(&engine, &plugin)))?;

    let file = cache.path().join("raw");
    let code = engine.precompile_component(&plugin).map_err(|error| anyhow!("{error:#}"))?;
    std::fs::write(&file, code).context("the disk takes no file")?;
    let count = bench.pick(9, 25);
    let again = || wall(|| come_and_go(&ours, plugin.clone()));
    let installed = blocks(count, again, || wall(|| mapped(&engine, &file)))?;
    let known = blocks(count, again, || {
        wall(|| {
            black_box(PluginDigest::of(&plugin));
            mapped(&engine, &file)
        })
    })?;
    Ok(vec![
        Figure::of_blocks(12, "load, installed before (ms wall)", &scaled(&installed, 1e-6), Owed::Ratio(2.0)),
        Figure::of_blocks(12, "load, where raw knows its SHA-256 (ms wall)", &scaled(&known, 1e-6), Owed::Nothing),
        Figure::of_blocks(12, "load, compiled now (ms wall)", &scaled(&fresh, 1e-6), Owed::Ratio(1.1)),
        Figure::of_blocks(
            12,
            "load, where raw compiles in a process too (ms wall)",
            &scaled(&apart, 1e-6),
            Owed::Nothing,
        ),
    ])
}

#[expect(unsafe_code, reason = "it is what ours is compared with")]
fn mapped(engine: &Engine, file: &Path) -> Result<()> {
    // SAFETY: this very function's caller has written the file, with what the engine made, into a directory of its own.
    let component = unsafe { Component::deserialize_file(engine, file) };
    component.map(drop).map_err(|error| anyhow!("{error:#}"))
}

#[expect(unsafe_code, reason = "it is what ours is compared with")]
fn compiled_apart(engine: &Engine, plugin: &[u8]) -> Result<()> {
    let code = apart::compiled(plugin)?;
    // SAFETY: this very program, with this engine's settings, has made it.
    let component = unsafe { Component::deserialize(engine, code) };
    component.map(drop).map_err(|error| anyhow!("{error:#}"))
}

/// The same plugin with other bytes: one section more, which says a number.
fn stamped(plugin: &[u8], number: u32) -> Vec<u8> {
    // A custom section: its kind, its length, the length of its name, its name, and what it says.
    let mut bytes = plugin.to_vec();
    bytes.extend([0, 6, 1, b'n']);
    bytes.extend(number.to_le_bytes());
    bytes
}

fn come_and_go(ours: &Ours, bytes: Vec<u8>) -> Result<()> {
    let kind = ours.load(bytes, "go", json!({}))?;
    ours.runtime.block_on(ours.host.unload_plugin(kind.plugin(), Unload::Force))?;
    Ok(())
}
