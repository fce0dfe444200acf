//! `taskcell keygen` and `taskcell sign`: for those who make plugins, and need no server for it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error};
use clap::Args;

use crate::sandbox::load::{beside, read_regular};
use crate::sandbox::signature::making::{SignError, SigningKey};

use super::exit::Exit;
use super::fault::Fault;
use super::output::talk;
use super::text::shell_word;
use super::{files, output};

/// Permissions of others on a key, as `chmod` takes them.
const OPEN_TO_OTHERS: u32 = 0o077;

#[derive(Debug, Args)]
pub(super) struct KeygenArguments {
    /// Where the secret key goes, as a PEM file that only you may read; nothing is overwritten
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct SignArguments {
    /// The plugin: a .wasm file
    #[arg(value_name = "PLUGIN", value_hint = clap::ValueHint::FilePath)]
    plugin: PathBuf,
    /// Your secret key, as `taskcell keygen` makes it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    key: PathBuf,
    /// Leaves the plugin as it is, digest and all, and writes the signature into a file of its own, which belongs beside it
    #[arg(long)]
    detached: bool,
    /// Where the signed plugin goes [default: in the place of PLUGIN]; with --detached the signature [default: PLUGIN.sig]
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    out: Option<PathBuf>,
}

fn failed(error: Error) -> Fault {
    Fault::new(Exit::Failed, error)
}

/// Makes a key, and says what a policy has of it.
pub(super) fn keygen(arguments: &KeygenArguments) -> Result<Exit, Fault> {
    let key = SigningKey::generate();
    let public = key.public().ok_or_else(|| failed(Error::msg("failed to make a key")))?;
    files::write_secret(&arguments.file, &key.to_pem())
        .with_context(|| format!("failed to write the key {}", arguments.file.display()))
        .map_err(failed)?;
    output::lines(&[public.to_string()]).map_err(Fault::stdout)?;
    let file = shell_word(&arguments.file.to_string_lossy());
    talk(&format!("the secret key is in {file}, and only you may read it; the public one is above"));
    talk(&format!("sign with it: taskcell sign PLUGIN.wasm --key {file}"));
    talk("operators have the public one in their policy: [publishers] YOUR-NAME = \"…\"");
    Ok(Exit::Succeeded)
}

/// Signs a plugin.
pub(super) fn sign(arguments: &SignArguments) -> Result<Exit, Fault> {
    let own = if arguments.detached { beside(&arguments.plugin) } else { arguments.plugin.clone() };
    let out = arguments.out.as_ref().unwrap_or(&own);
    if arguments.detached && *out == arguments.plugin {
        return Err(Fault::usage("the signature cannot go in the place of the plugin itself")
            .hint("name another file with --out, or leave --detached out to have it inside of the plugin"));
    }
    let key = key(&arguments.key)?;
    let plugin = read_regular(&arguments.plugin, u64::MAX).map_err(|error| failed(error.into()))?;
    let signed = if arguments.detached { key.sign_detached(&plugin) } else { key.sign(&plugin) };
    let signed = signed.map_err(|error| {
        let has_one = matches!(error, SignError::Signed);
        let context = format!("failed to sign {}", arguments.plugin.display());
        let hint =
            has_one.then(|| "sign the file that has none, or leave --detached out: that exchanges it".to_owned());
        Fault::new(Exit::Plugin, Error::new(error).context(context)).maybe_hint(hint)
    })?;
    files::write_built(out, &signed).with_context(|| format!("failed to write {}", out.display())).map_err(failed)?;
    let shown = |path: &Path| shell_word(&path.to_string_lossy());
    if arguments.detached {
        talk(&format!("signed {}: the signature is {}", shown(&arguments.plugin), shown(out)));
        talk(&format!("its digest stays sha256:{}", crate::PluginDigest::of(&plugin)));
    } else {
        talk(&format!("signed {}", shown(out)));
        talk(&format!("its digest is now sha256:{}", crate::PluginDigest::of(&signed)));
    }
    Ok(Exit::Succeeded)
}

/// Reads a secret key that nobody else may read.
fn key(path: &Path) -> Result<SigningKey, Fault> {
    let unread = || format!("failed to read the key {}", path.display());
    let mode = files::mode(path).with_context(unread).map_err(failed)?;
    if mode & OPEN_TO_OTHERS != 0 {
        let told = format!("others may read or write the key {} (mode {mode:o})", path.display());
        return Err(failed(Error::msg(told))
            .hint(format!("if nobody has: chmod 600 {}; else make another", shell_word(&path.to_string_lossy()))));
    }
    let text = files::read_text(path).with_context(unread).map_err(failed)?;
    SigningKey::from_pem(&text).ok_or_else(|| {
        failed(Error::msg(format!("{} is no secret key for Ed25519 in a PEM file without a password", path.display())))
            .hint("`taskcell keygen FILE` makes one, and so does `openssl genpkey -algorithm ed25519`")
    })
}
