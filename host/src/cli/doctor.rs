//! `taskcell doctor`: checks whether this machine can run and build plugins.

use serde::Serialize;
use taskcell_artifact::ArtifactCache;
use taskcell_toolchain::{Options, Toolchain};

use crate::{Host, Mappings, Profile, SystemClock};

use super::args::DoctorArguments;
use super::exit::Exit;
use super::fault::{Fault, sentence};
use super::{environment, files, output, text};

/// What Linux allows a process by default. Less is never advised.
const MAP_COUNT_USUAL: u64 = 65_530;
/// Open files that a process should be allowed.
const OPEN_FILES_MIN: u64 = 1024;
/// Bytes that should be free for scratch files: what two tasks may publish, and some.
const TEMP_FREE_MIN: u64 = 1 << 30;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Finding {
    /// As it should be.
    Ok,
    /// It works, with less.
    Warning,
    /// Tasks cannot run.
    Broken,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    finding: Finding,
    /// What was found.
    says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Check {
    fn ok(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, finding: Finding::Ok, says: says.into(), advice: None }
    }

    fn bad(name: &'static str, finding: Finding, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, finding, says: says.into(), advice: Some(advice.into()) }
    }

    fn lines(&self) -> Vec<String> {
        let mark = match self.finding {
            Finding::Ok => "✓ ok     ",
            Finding::Warning => "! warning",
            Finding::Broken => "✗ broken ",
        };
        let advice = self.advice.iter().map(|advice| format!("            {advice}"));
        std::iter::once(format!("{mark}  {}: {}", self.name, self.says)).chain(advice).collect()
    }
}

/// Checks everything and says what was found. Broken is only what keeps tasks from running.
pub(super) async fn doctor(arguments: DoctorArguments) -> Result<Exit, Fault> {
    let cells = arguments.cells;
    let checks = [
        engine(cells, if arguments.dense { Profile::Dense } else { Profile::Fast }).await,
        map_count(Mappings::here(cells)),
        open_files(),
        openat2(),
        temp_dir(),
        cache_dir(),
        toolchain(),
    ];
    let healthy = checks.iter().all(|check| check.finding != Finding::Broken);
    let written = if arguments.json {
        output::json(&serde_json::json!({ "healthy": healthy, "checks": checks }), true)
    } else {
        let mut lines: Vec<String> = checks.iter().flat_map(Check::lines).collect();
        lines.push(if healthy { "Tasks can run here." } else { "Tasks cannot run here." }.to_owned());
        output::lines(&lines)
    };
    written.map_err(Fault::stdout)?;
    Ok(if healthy { Exit::Succeeded } else { Exit::Failed })
}

async fn engine(cells: u32, profile: Profile) -> Check {
    const NAME: &str = "engine";
    let build = |tasks| {
        Host::builder().running_max(tasks).profile(profile).clock(std::sync::Arc::new(SystemClock::new())).build()
    };
    let limit = "what is said there helps; else the address space may be limited: look at `ulimit -v`";
    match build(cells) {
        Ok(host) => {
            host.shutdown().await;
            Check::ok(NAME, format!("it can be made, for {cells} tasks at once"))
        }
        Err(error) => {
            let error = sentence(&error.into());
            match build(cells.min(16)) {
                Ok(_) => Check::bad(NAME, Finding::Warning, format!("only few tasks fit at once ({error})"), limit),
                Err(_) => Check::bad(NAME, Finding::Broken, error, limit),
            }
        }
    }
}

fn map_count(mappings: Mappings) -> Check {
    const NAME: &str = "memory mappings (vm.max_map_count)";
    let (Some(allowed), Some(room)) = (mappings.allowed, mappings.cells_max()) else {
        return Check::bad(NAME, Finding::Warning, "not known here", "nothing to do unless many tasks run at once");
    };
    let says = format!("{allowed}, enough for {room} cells at once ({} mappings each)", Mappings::PER_CELL);
    if mappings.suffice() {
        return Check::ok(NAME, says);
    }
    let (cells, needed) = (mappings.cells, mappings.needed());
    let raised = needed.max(MAP_COUNT_USUAL);
    Check::bad(
        NAME,
        Finding::Warning,
        format!("{says}; {cells} need {needed}"),
        format!(
            "`sysctl -w vm.max_map_count={raised}` as root raises it, a file in /etc/sysctl.d keeps it so; \
             or let fewer tasks run at once (`HostBuilder::running_max`)"
        ),
    )
}

fn open_files() -> Check {
    const NAME: &str = "open files (ulimit -n)";
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(count) if count < OPEN_FILES_MIN => Check::bad(
            NAME,
            Finding::Warning,
            count.to_string(),
            format!("`ulimit -n {OPEN_FILES_MIN}` raises it; each granted folder takes one"),
        ),
        Some(count) => Check::ok(NAME, count.to_string()),
        None => Check::ok(NAME, "unlimited"),
    }
}

fn openat2() -> Check {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
    const NAME: &str = "openat2";
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat2(CWD, ".", flags, Mode::empty(), ResolveFlags::BENEATH) {
        Ok(_) => Check::ok(NAME, "the kernel keeps tasks inside their folders"),
        Err(error) => Check::bad(
            NAME,
            Finding::Warning,
            format!("not to be had ({error}); paths are checked step by step instead"),
            "slower and just as safe; a newer kernel, or a container that allows openat2, is faster",
        ),
    }
}

fn temp_dir() -> Check {
    const NAME: &str = "temporary files";
    let dir = environment::temp_dir();
    let place = dir.display();
    if let Err(error) = files::probe(&dir) {
        let says = format!("{place} cannot be written: {error}");
        return Check::bad(NAME, Finding::Broken, says, "name another folder in TMPDIR");
    }
    match rustix::fs::statvfs(&dir).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)) {
        Ok(free) if free < TEMP_FREE_MIN => Check::bad(
            NAME,
            Finding::Warning,
            format!("{place} has only {} left", text::bytes(free)),
            "make room, or name another folder in TMPDIR",
        ),
        Ok(free) => Check::ok(NAME, format!("{place}, {} free", text::bytes(free))),
        Err(_) => Check::ok(NAME, place.to_string()),
    }
}

fn cache_dir() -> Check {
    const NAME: &str = "cache of compiled plugins";
    const ADVICE: &str = "name another folder in TASKCELL_CACHE_DIR; until then plugins are compiled anew each time";
    let Some(dir) = environment::cache_dir() else {
        return Check::bad(NAME, Finding::Warning, "there is no place for it", ADVICE);
    };
    if let Err(error) = ArtifactCache::open(&dir) {
        return Check::bad(NAME, Finding::Warning, sentence(&error.into()), ADVICE);
    }
    match files::probe(&dir) {
        Ok(()) => Check::ok(NAME, format!("{}, private", dir.display())),
        Err(error) => {
            Check::bad(NAME, Finding::Warning, format!("{} cannot be written: {error}", dir.display()), ADVICE)
        }
    }
}

fn toolchain() -> Check {
    const NAME: &str = "compiler for plugins";
    let found = match Options::from_env(environment::variable) {
        Ok(options) => Toolchain::find(&options),
        Err(error) => return Check::bad(NAME, Finding::Warning, error.to_string(), "needed only for building plugins"),
    };
    match found {
        Some(toolchain) => Check::ok(NAME, toolchain.describe()),
        None => Check::bad(
            NAME,
            Finding::Warning,
            "none is ready",
            "needed only for building plugins; `taskcell build` gets one, or run `rustup target add wasm32-wasip2`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_held_against_the_number_of_cells() {
        let fine = map_count(Mappings { cells: 1000, allowed: Some(65_530) });
        assert_eq!(
            (fine.finding, fine.says.as_str()),
            (Finding::Ok, "65530, enough for 10588 cells at once (6 mappings each)")
        );
        assert_eq!(map_count(Mappings { cells: 8000, allowed: Some(50_000) }).finding, Finding::Ok);
        let few = map_count(Mappings { cells: 8000, allowed: Some(49_999) });
        assert_eq!(few.finding, Finding::Warning);
        assert!(few.says.ends_with("enough for 7999 cells at once (6 mappings each); 8000 need 50000"), "{}", few.says);
        assert!(few.advice.unwrap().starts_with("`sysctl -w vm.max_map_count=65530`"));
        assert_eq!(map_count(Mappings { cells: 1, allowed: Some(100) }).finding, Finding::Warning);
        assert_eq!(map_count(Mappings { cells: 1, allowed: None }).finding, Finding::Warning);
    }

    #[test]
    fn a_finding_is_a_word_and_not_only_a_mark() {
        assert_eq!(Check::ok("x", "fine").lines(), ["✓ ok       x: fine"]);
        let broken = Check::bad("x", Finding::Broken, "gone", "bring it back").lines();
        assert_eq!(broken, ["✗ broken   x: gone", "            bring it back"]);
        assert_eq!(serde_json::to_value(Check::ok("x", "fine")).unwrap()["finding"], "ok");
    }
}
