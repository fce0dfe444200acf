//! Functions that the program around the host provides to its guests.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::model::ids::{TaskId, TaskRef};
use crate::model::machine::RefusalKind;
use crate::model::policy::mandate::Denied;
use crate::model::schema::{Schema, SchemaError};

use super::clock::BoxFuture;

/// How long a function may take unless it says otherwise: half a minute, as for a slow service.
pub(crate) const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// A function for guests: its name, what it takes and gives, and how long it may take.
///
/// A guest calls it by its name, if it was granted (`host:` and the name).
#[derive(Debug, Clone, PartialEq)]
pub struct HostFunction {
    name: String,
    input: Value,
    output: Value,
    timeout: Duration,
}

impl HostFunction {
    /// A function that takes and gives any JSON, within 30 seconds.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), input: Value::Bool(true), output: Value::Bool(true), timeout: TIMEOUT_DEFAULT }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// With this JSON Schema of its input. What does not match never reaches the function.
    #[must_use]
    pub fn input(mut self, schema: Value) -> Self {
        self.input = schema;
        self
    }

    /// With this JSON Schema of its result. What does not match is the function's fault, and the guest is told so.
    #[must_use]
    pub fn output(mut self, schema: Value) -> Self {
        self.output = schema;
        self
    }

    /// With this much time for one call.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// One call of a function.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HostCall {
    /// The task that calls.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// What it gave, checked against the function's schema.
    pub input: Value,
}

/// Why a call of a host's function has no result.
#[derive(Debug, Clone, PartialEq)]
pub struct HostCallError {
    kind: RefusalKind,
    message: String,
    details: Option<Value>,
}

impl HostCallError {
    /// The function could not do it; the guest gets the sentence and goes on.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::of(RefusalKind::Failed, message)
    }

    /// With details for a program.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub(crate) fn of(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: None }
    }

    pub(crate) fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// A sentence for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Details for a program.
    pub fn details(&self) -> Option<&Value> {
        self.details.as_ref()
    }
}

/// The sentence alone, for a WIT function whose error is a `string`.
impl From<Denied> for HostCallError {
    fn from(denied: Denied) -> Self {
        Self::of(RefusalKind::Denied, denied.to_string())
    }
}

impl From<HostCallError> for String {
    fn from(error: HostCallError) -> Self {
        error.message
    }
}

/// Who calls a function of a WIT interface.
#[cfg(feature = "wit-extension")]
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WitCaller {
    /// The task that calls.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
}

/// One call of a function of a WIT interface. What goes in and comes out is inside `body`.
#[cfg(feature = "wit-extension")]
pub(crate) struct TypedCall {
    /// What has to be granted.
    pub(crate) interface: Arc<str>,
    /// What is written down.
    pub(crate) function: Arc<str>,
    pub(crate) timeout: Duration,
    /// Whether the guest can be told that its task shall stop.
    pub(crate) interruptible: bool,
    pub(crate) body: Box<dyn FnOnce(WitCaller) -> BoxFuture<'static, ()> + Send>,
}

#[cfg(feature = "wit-extension")]
impl fmt::Debug for TypedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedCall").field("function", &self.function).finish_non_exhaustive()
    }
}

/// What a function does.
pub(crate) type FunctionBody = Arc<dyn Fn(HostCall) -> BoxFuture<'static, Result<Value, HostCallError>> + Send + Sync>;

/// A function, ready to be called.
#[derive(Clone)]
pub(crate) struct Provided {
    pub(crate) input: Schema,
    pub(crate) output: Schema,
    pub(crate) timeout: Duration,
    body: FunctionBody,
}

impl fmt::Debug for Provided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provided").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Provided {
    pub(crate) fn call(&self, call: HostCall) -> BoxFuture<'static, Result<Value, HostCallError>> {
        (self.body)(call)
    }
}

/// All functions of a host, by name.
#[derive(Debug, Default)]
pub(crate) struct Functions(BTreeMap<String, Provided>);

impl Functions {
    /// Adds a function. One of the same name is replaced.
    pub(crate) fn provide(
        &mut self,
        function: HostFunction,
        body: FunctionBody,
        depth: u32,
    ) -> Result<(), SchemaError> {
        let HostFunction { name, input, output, timeout } = function;
        let (input, output) = (Schema::new(&input, depth)?, Schema::new(&output, depth)?);
        self.0.insert(name, Provided { input, output, timeout, body });
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Provided> {
        self.0.get(name)
    }
}
