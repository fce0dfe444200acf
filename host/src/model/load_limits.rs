//! What a plugin may take to be loaded. The host's operator sets it; a plugin has no say in it.

use std::time::Duration;

/// How large a plugin may be, and what its `describe` may use. [`LoadLimits::default`] suits plugins of any language.
///
/// ```
/// use taskcell::LoadLimits;
///
/// let small = LoadLimits::default().file_bytes(4 << 20);
/// # let _ = taskcell::Host::builder().load_limits(small);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadLimits {
    /// Bytes of a plugin's file. Default 32 MiB: a Python plugin has 18. Protects the host's memory and the compiler.
    pub file_bytes: u64,
    /// Time that compiling it may take in a child process. Default 60 s. Protects the machine; see
    /// [`Compiler`](crate::Compiler).
    pub compile_timeout: Duration,
    /// Bytes of memory that the child process may take which compiles it, for each 512 KiB of the file that have begun, up
    /// to 16 times. Default 1 GiB, and never less than 64 MiB; two children compile at once. Protects the machine's memory
    /// from a file that makes the compiler ask for much.
    pub compile_memory_bytes: u64,
    /// Bytes of its compiled code that a child process may answer with. Default 256 MiB. Protects the host's memory.
    pub code_bytes: u64,
    /// Core instances of a component. Default 64: Python's runtime needs about twenty. Protects the pool.
    pub instances: u32,
    /// Memories of a component. Default 32. Protects the pool.
    pub memories: u32,
    /// Tables of a component. Default 64. Protects the pool.
    pub tables: u32,
    /// Bytes of stack that a guest's code may use, of the 2 MiB that its fiber has; at most half of them. Default 512 KiB.
    /// Protects the host's stack from recursion.
    pub stack_bytes: u64,
    /// Units of fuel for `describe`. Default 50 million, about 10 ms. Protects the host from a plugin that never answers.
    pub describe_fuel: u64,
    /// Wall time for `describe`, which may sleep instead of burning fuel. Default 10 s.
    pub describe_timeout: Duration,
    /// Bytes of the manifest. Default 1 MiB. Protects the host from a hostile `describe`.
    pub manifest_bytes: u64,
    /// Task types of a plugin. Default 256, and never more.
    pub task_types: u32,
    /// How deep its JSON Schemas may be nested; JSON itself ends at 128. Default 32. Protects the host's stack.
    pub schema_depth: u32,
}

impl LoadLimits {
    /// Bytes of a plugin's file. Default 32 MiB: a Python plugin has 18. Protects the host's memory and the compiler.
    #[must_use]
    pub fn file_bytes(mut self, file_bytes: u64) -> Self {
        self.file_bytes = file_bytes;
        self
    }

    /// Time that compiling it may take in a child process. Default 60 s. Protects the machine; see
    /// [`Compiler`](crate::Compiler).
    #[must_use]
    pub fn compile_timeout(mut self, compile_timeout: Duration) -> Self {
        self.compile_timeout = compile_timeout;
        self
    }

    /// Bytes of memory that the child process may take which compiles it, for each 512 KiB of the file that have begun, up
    /// to 16 times. Default 1 GiB, and never less than 64 MiB; two children compile at once. Protects the machine's memory
    /// from a file that makes the compiler ask for much.
    #[must_use]
    pub fn compile_memory_bytes(mut self, compile_memory_bytes: u64) -> Self {
        self.compile_memory_bytes = compile_memory_bytes;
        self
    }

    /// Bytes of its compiled code that a child process may answer with. Default 256 MiB. Protects the host's memory.
    #[must_use]
    pub fn code_bytes(mut self, code_bytes: u64) -> Self {
        self.code_bytes = code_bytes;
        self
    }

    /// How deep its JSON Schemas may be nested; JSON itself ends at 128. Default 32. Protects the host's stack.
    #[must_use]
    pub fn schema_depth(mut self, schema_depth: u32) -> Self {
        self.schema_depth = schema_depth;
        self
    }

    /// Core instances of a component. Default 64: Python's runtime needs about twenty. Protects the pool.
    #[must_use]
    pub fn instances(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// Memories of a component. Default 32. Protects the pool.
    #[must_use]
    pub fn memories(mut self, memories: u32) -> Self {
        self.memories = memories;
        self
    }

    /// Tables of a component. Default 64. Protects the pool.
    #[must_use]
    pub fn tables(mut self, tables: u32) -> Self {
        self.tables = tables;
        self
    }

    /// Bytes of stack that a guest's code may use, of the 2 MiB that its fiber has; at most half of them. Default 512 KiB.
    /// Protects the host's stack from recursion.
    #[must_use]
    pub fn stack_bytes(mut self, stack_bytes: u64) -> Self {
        self.stack_bytes = stack_bytes;
        self
    }

    /// Units of fuel for `describe`. Default 50 million, about 10 ms. Protects the host from a plugin that never answers.
    #[must_use]
    pub fn describe_fuel(mut self, describe_fuel: u64) -> Self {
        self.describe_fuel = describe_fuel;
        self
    }

    /// Wall time for `describe`, which may sleep instead of burning fuel. Default 10 s.
    #[must_use]
    pub fn describe_timeout(mut self, describe_timeout: Duration) -> Self {
        self.describe_timeout = describe_timeout;
        self
    }

    /// Bytes of the manifest. Default 1 MiB. Protects the host from a hostile `describe`.
    #[must_use]
    pub fn manifest_bytes(mut self, manifest_bytes: u64) -> Self {
        self.manifest_bytes = manifest_bytes;
        self
    }

    /// Task types of a plugin. Default 256, and never more.
    #[must_use]
    pub fn task_types(mut self, task_types: u32) -> Self {
        self.task_types = task_types;
        self
    }
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self {
            file_bytes: 32 << 20,
            compile_timeout: Duration::from_mins(1),
            compile_memory_bytes: 1 << 30,
            code_bytes: 256 << 20,
            instances: 64,
            memories: 32,
            tables: 64,
            stack_bytes: 512 << 10,
            describe_fuel: 50_000_000,
            describe_timeout: Duration::from_secs(10),
            manifest_bytes: 1 << 20,
            task_types: 256,
            schema_depth: 32,
        }
    }
}
