//! Writes down what happened to a task: `--export`.

use std::path::{Path, PathBuf};

use anyhow::Error;

use crate::cli::args::{ExportAs, RunArguments};
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::cli::files::Replacement;
use crate::{Export, ExportFormat};

/// Where activity goes, and how it is written.
#[derive(Debug)]
pub(super) struct Wanted {
    path: PathBuf,
    pub(super) format: ExportFormat,
}

/// What the command line says about it.
pub(super) fn wanted(arguments: &RunArguments) -> Result<Option<Wanted>, Fault> {
    let Some(path) = &arguments.export else { return Ok(None) };
    let format = arguments.export_format.or_else(|| by_ending(path)).ok_or_else(|| {
        Fault::usage(format!("--export {} does not say how to write it", path.display()))
            .hint("let the name end with .jsonl or .md, or add --export-format jsonl or --export-format md")
    })?;
    let format = match format {
        ExportAs::Jsonl => ExportFormat::JsonLines,
        ExportAs::Md => ExportFormat::Page,
    };
    Ok(Some(Wanted { path: path.clone(), format }))
}

fn by_ending(path: &Path) -> Option<ExportAs> {
    let ending = path.extension()?;
    if ending.eq_ignore_ascii_case("jsonl") {
        Some(ExportAs::Jsonl)
    } else if ending.eq_ignore_ascii_case("md") {
        Some(ExportAs::Md)
    } else {
        None
    }
}

/// Writes it. A file that is there is replaced, once the new one is whole.
pub(super) async fn save(wanted: &Wanted, export: Export) -> Result<(), Fault> {
    write(&wanted.path, export).await.map_err(|error| {
        let error = error.context(format!("failed to write what happened into {}", wanted.path.display()));
        Fault::new(Exit::Host, error).hint("the task itself has ended; its result is not touched by this")
    })
}

async fn write(path: &Path, mut export: Export) -> Result<(), Error> {
    let mut file = Replacement::of(path)?;
    while let Some(piece) = export.next().await? {
        file = tokio::task::spawn_blocking(move || file.write(&piece).map(|()| file)).await??;
    }
    Ok(tokio::task::spawn_blocking(move || file.done()).await??)
}
