//! From a checked plugin to native code: out of the cache, or compiled where the operator wants it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use taskcell_artifact::{Answer, ArtifactCache, Bounds, ChildError, Code, Job, Source};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use wasmtime::component::Component;
use wasmtime::{Engine, OutOfMemory};

use crate::model::ids::PluginDigest;
use crate::model::load_limits::LoadLimits;
use crate::ports::clock::Clock;

use super::componentize::{componentize, componentize_program};
use super::engine::Profile;
use super::load::LoadError;

/// Children that compile at once; more plugins wait for their turn. Protects the host's machine: each may take the whole
/// memory limit.
const CHILDREN_MAX: usize = 2;
/// Bytes of a file that one share of memory is for: with inlining the compiler needs about a kilobyte for each byte of a
/// plugin, measured with guests in Rust.
const PART_BYTES: u64 = 512 << 10;
/// Shares of memory that the largest file gets. Protects the machine.
const PARTS_MAX: u64 = 16;
/// Bytes of memory that the child needs for itself and its threads.
const MEMORY_MIN: u64 = 64 << 20;
/// This very program, also when its file was replaced or removed since it started.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Where plugins are compiled. See [`HostBuilder::compiler`](crate::HostBuilder::compiler).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compiler {
    /// In a child process under [`LoadLimits`], which is this program once more: its `main` has to begin with
    /// [`compile_child`](crate::compile_child()).
    ThisProgram,
    /// In a child process under [`LoadLimits`], which is another program that can do the same: `taskcell`, of this very
    /// version. Its path, from the working directory of the moment when it is relative; it is trusted like the host
    /// itself.
    Helper(PathBuf),
    /// In this process, by whatever memory and time it takes: for plugins of people you know.
    InProcess,
}

/// What a plugin's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Component,
    /// A core module with the contract in it.
    Module,
    /// A core module that is a program.
    Program,
}

/// What a child makes of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recipe {
    pub(super) form: Form,
    pub(super) profile: Profile,
}

impl Recipe {
    /// What stands for it in a request.
    fn to_byte(self) -> u8 {
        let form = match self.form {
            Form::Component => 0,
            Form::Module => 1,
            Form::Program => 2,
        };
        match self.profile {
            Profile::Fast => form,
            Profile::Dense => form | 0x80,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        let forms = [Form::Component, Form::Module, Form::Program];
        let all = [Profile::Fast, Profile::Dense].map(|profile| forms.map(|form| Self { form, profile }));
        all.into_iter().flatten().find(|recipe| recipe.to_byte() == byte)
    }
}

impl Form {
    fn source(self, digest: PluginDigest) -> Source<'static> {
        // A component that is made of a module depends on the program that makes it.
        let maker = match self {
            Self::Component => "",
            Self::Module => concat!("taskcell ", env!("CARGO_PKG_VERSION")),
            Self::Program => concat!("taskcell ", env!("CARGO_PKG_VERSION"), " command"),
        };
        Source { maker, digest: digest.to_bytes() }
    }
}

/// Compiles plugins for one host.
#[derive(Debug)]
pub(super) struct Compilers {
    compiler: Compiler,
    profile: Profile,
    cache: Option<ArtifactCache>,
    limits: LoadLimits,
    children: Semaphore,
}

/// What a compilation takes place in.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) engine: &'a Engine,
    /// A runtime that outlives the compilation, and is another than the caller's.
    pub(super) system: Handle,
    pub(super) clock: &'a dyn Clock,
    /// Closed when nobody wants the plugin any more.
    pub(super) wanted: oneshot::Receiver<Infallible>,
}

/// Why a child was stopped.
enum Stop {
    Late,
    Unwanted,
}

impl Compilers {
    pub(super) fn new(compiler: Compiler, profile: Profile, cache: Option<ArtifactCache>, limits: LoadLimits) -> Self {
        let limits = LoadLimits { compile_memory_bytes: limits.compile_memory_bytes.max(MEMORY_MIN), ..limits };
        Self { compiler, profile, cache, limits, children: Semaphore::new(CHILDREN_MAX) }
    }

    /// The component of a plugin that was compiled before with these settings, ready to be linked.
    pub(super) fn find(&self, engine: &Engine, form: Form, digest: PluginDigest) -> Option<Component> {
        self.cache.as_ref()?.find(engine, form.source(digest))
    }

    /// Compiles a plugin that was checked, and keeps its code. Blocks for as long as it takes.
    pub(super) fn make(
        &self,
        form: Form,
        plugin: &[u8],
        digest: PluginDigest,
        around: Surroundings<'_>,
    ) -> Result<Component, LoadError> {
        let engine = around.engine;
        let answer = match &self.compiler {
            Compiler::InProcess => compile(engine, form, plugin),
            Compiler::ThisProgram => self.in_child(Path::new(THIS_PROGRAM), form, plugin, around)?,
            Compiler::Helper(program) => self.in_child(program, form, plugin, around)?,
        };
        let code = Self::code_of(answer, self.memory_for(plugin))?;
        let component = code.load(engine).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        // Only what this engine has taken is worth keeping.
        if let Some(cache) = &self.cache {
            cache.keep(engine, form.source(digest), &code);
        }
        Ok(component)
    }

    /// The memory for a file of this size.
    fn memory_for(&self, plugin: &[u8]) -> u64 {
        let parts = (plugin.len() as u64).div_ceil(PART_BYTES).clamp(1, PARTS_MAX);
        self.limits.compile_memory_bytes.saturating_mul(parts)
    }

    fn code_of(answer: Answer, memory: u64) -> Result<Code, LoadError> {
        match answer {
            Answer::Code(code) => Ok(code),
            Answer::NoComponent(text) => Err(LoadError::Componentize(text)),
            Answer::Refused(text) => Err(LoadError::Compile(text)),
            Answer::NoMemory(said) => Err(LoadError::CompileMemory { max: memory, said }),
        }
    }

    fn in_child(
        &self,
        program: &Path,
        form: Form,
        plugin: &[u8],
        around: Surroundings<'_>,
    ) -> Result<Answer, LoadError> {
        let max = self.limits.compile_timeout;
        let bounds = Bounds {
            memory_bytes: self.memory_for(plugin),
            code_bytes: self.limits.code_bytes,
            seconds: max.as_secs().saturating_add(u64::from(max.subsec_nanos() > 0)),
        };
        let Surroundings { system, clock, mut wanted, .. } = around;
        let compiled = system.block_on(async {
            let _turn = tokio::select! {
                turn = self.children.acquire() => turn,
                _ = &mut wanted => return Err(ChildError::Stopped(Stop::Unwanted)),
            };
            // The time begins with its turn: a host with much to load is not the plugin's fault.
            let late = clock.sleep_until(clock.steady().saturating_add(max));
            let stop = async {
                tokio::select! {
                    () = late => Stop::Late,
                    _ = wanted => Stop::Unwanted,
                }
            };
            let kind = Recipe { form, profile: self.profile }.to_byte();
            taskcell_artifact::compile(Job { program, kind, plugin, bounds }, stop).await
        });
        compiled.map_err(|error| self.error(program, max, self.memory_for(plugin), error))
    }

    fn error(&self, program: &Path, max: Duration, memory: u64, error: ChildError<Stop>) -> LoadError {
        use rustix::process::Signal;
        let unusable = |what: String| LoadError::NoCompiler { program: program.to_owned(), what };
        match error {
            ChildError::Stopped(Stop::Late) => LoadError::CompileTimeout { max },
            ChildError::Stopped(Stop::Unwanted) => LoadError::ShuttingDown,
            // Rust's answer to an allocation that fails, and to a stack that is full.
            ChildError::Signal(signal, said) if signal == Signal::ABORT.as_raw() => {
                LoadError::CompileMemory { max: memory, said }
            }
            ChildError::Signal(signal, _) if signal == Signal::XCPU.as_raw() => LoadError::CompileTimeout { max },
            ChildError::Signal(signal, said) => LoadError::CompilerDied { signal, said },
            ChildError::TooMuch => LoadError::CodeTooLarge { max: self.limits.code_bytes },
            ChildError::Start(error) => unusable(format!("it cannot be started: {error}")),
            ChildError::Failed(code, said) => unusable(format!("it ended with code {code}: {said:?}")),
            ChildError::Rubbish => unusable("it answers with something else than code".to_owned()),
            ChildError::Io(error) => unusable(format!("it cannot be talked to: {error}")),
        }
    }
}

/// Compiles in this process, whichever that is.
pub(super) fn compile(engine: &Engine, form: Form, plugin: &[u8]) -> Answer {
    let made = match form {
        Form::Component => None,
        Form::Module => Some(componentize(plugin)),
        Form::Program => Some(componentize_program(plugin)),
    };
    let component = match &made {
        None => plugin,
        Some(Ok(component)) => component,
        Some(Err(text)) => return Answer::NoComponent(text.clone()),
    };
    match Code::compile(engine, component) {
        Ok(code) => Answer::Code(code),
        Err(error) if error.is::<OutOfMemory>() => Answer::NoMemory(format!("{error:#}")),
        Err(error) => Answer::Refused(format!("{error:#}")),
    }
}
