//! `taskcell build`: from a plugin's source to a component.

mod cargo;
mod place;

use std::path::Path;

use anyhow::{Context as _, Error};
use taskcell_toolchain::{Options, Target, Toolchain};

use crate::sandbox::componentize::componentize;
use crate::sandbox::identify::{FileKind, identify};

use super::args::{BuildArguments, BuildTarget};
use super::exit::Exit;
use super::fault::Fault;
use super::text::{self, shell_word};
use super::{environment, files, output};

/// Builds the plugin, and says where it is and how it is run.
pub(super) fn build(arguments: &BuildArguments) -> Result<Exit, Fault> {
    let failed = |error: Error| Fault::new(Exit::Failed, error);
    let dir = files::resolved(&arguments.dir)
        .with_context(|| format!("failed to find the plugin in {}", arguments.dir.display()))
        .map_err(failed)?;
    if !files::is_file(&dir.join("Cargo.toml")) {
        return Err(failed(Error::msg(format!("there is no Cargo.toml in {}", arguments.dir.display())))
            .hint("name the plugin's folder, as in `taskcell build my-plugin`; `taskcell new my-plugin` makes one"));
    }
    let toolchain = toolchain(arguments.target)?;
    let project = place::find(&toolchain, &dir)?;
    let built = cargo::build(&toolchain, &project)?;
    let bytes =
        files::read_built(&built).with_context(|| format!("failed to read {}", built.display())).map_err(failed)?;
    let component = component(bytes)?;

    let out = arguments.out.clone().unwrap_or_else(|| arguments.dir.join(format!("{}.wasm", project.name)));
    files::write_built(&out, &component)
        .with_context(|| format!("failed to write {}", out.display()))
        .map_err(failed)?;
    told(&out, component.len() as u64);
    Ok(Exit::Succeeded)
}

fn toolchain(target: BuildTarget) -> Result<Toolchain, Fault> {
    let target = match target {
        BuildTarget::Wasip2 => Target::Wasip2,
        BuildTarget::Wasip1 => Target::Wasip1,
    };
    let found = Options::from_env(environment::variable)
        .and_then(|options| Toolchain::ensure(&options.for_target(target), &mut |doing| output::talk(doing)));
    found.map_err(|error| {
        let error = Error::new(error).context("failed to find a compiler for plugins");
        Fault::new(Exit::Failed, error)
    })
}

/// The component: what the compiler wrote, or what can be made of it.
fn component(bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
    let wrong = |message: String| Fault::new(Exit::Failed, Error::msg(message));
    match identify(&bytes) {
        FileKind::Component => Ok(bytes),
        FileKind::ModuleWithContract => componentize(&bytes)
            .map_err(|error| wrong(format!("failed to make a component of the module that was built: {error}"))),
        FileKind::PlainModule => Err(wrong("what was built is a plain module, without the contract of a plugin".to_owned())
            .hint("use taskcell_guest and its `plugin!` in a cdylib crate; a program with `main` needs --target wasm32-wasip2")),
        kind @ (FileKind::WasmText
        | FileKind::Precompiled
        | FileKind::NativeCode
        | FileKind::Text
        | FileKind::Empty
        | FileKind::Unknown) => Err(wrong(format!("what was built is {kind}, and no plugin"))),
    }
}

fn told(out: &Path, size: u64) {
    let file = shell_word(&out.strip_prefix(".").unwrap_or(out).to_string_lossy());
    output::talk(&format!("built {file} ({})", text::bytes(size)));
    output::talk(&format!("run it with: taskcell run {file}"));
    output::talk(&format!("see what it takes with: taskcell inspect {file}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_component_passes() {
        let component_bytes = b"\0asm\x0d\0\x01\0".to_vec();
        assert_eq!(component(component_bytes.clone()).unwrap(), component_bytes);
        let plain = component(b"\0asm\x01\0\0\0".to_vec()).unwrap_err().lines().join("\n");
        assert!(plain.contains("plain module") && plain.contains("--target wasm32-wasip2"), "{plain}");
        assert!(component(b"text".to_vec()).is_err());
    }
}
