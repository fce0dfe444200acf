//! A guest's calls of the host's functions: granted, checked, bounded in time, and ended with the task.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::model::command::Command;
use crate::model::grants::touch::Touch;
use crate::model::json::{self, VALUES_MAX};
use crate::model::limits::Limits;
use crate::model::machine::{Refusal, RefusalKind};
use crate::model::schema::Schema;
use crate::model::text;
use crate::ports::clock::Clock;
use crate::ports::functions::{HostCall, HostCallError, Provided};
#[cfg(feature = "wit-extension")]
use crate::ports::functions::{TypedCall, WitCaller};
use crate::ports::runner::{CancelNotice, Reply};
use crate::ports::watched::Watched;

use super::actor::{Actor, Ended, Finding};
use super::calls::done;
use super::guard::guarded;

impl From<Refusal> for HostCallError {
    fn from(refusal: Refusal) -> Self {
        Self::of(refusal.kind, refusal.message)
    }
}

impl Actor {
    /// Calls a function for the guest. The call is a job of the actor's, and dropped with it.
    pub(super) async fn call_host(
        &mut self,
        name: String,
        input: Value,
        reply: Reply<Result<Value, HostCallError>>,
    ) -> Result<(), Ended> {
        let granted = self.granted(&name).await?;
        let function = match granted.and_then(|function| {
            check(&function.input, &input, RefusalKind::InvalidArgument, "the input")?;
            Ok(function)
        }) {
            Ok(function) => function,
            Err(error) => {
                let _ = reply.send(Err(error));
                return Ok(());
            }
        };
        if let Err(refusal) = done(self.decide(Command::CallHost { name: name.clone() }).await?) {
            let _ = reply.send(Err(refusal.into()));
            return Ok(());
        }
        let call = HostCall { id: self.shared.id, task: self.shared.task_ref(), input };
        let limits = Arc::clone(&self.shared.state().limits);
        let bounds = Bounds { timeout: function.timeout, interruptible: true };
        self.work(name, bounds, reply, async move {
            let result = function.call(call).await;
            result.and_then(|result| checked(&function, result, &limits))
        });
        Ok(())
    }

    /// Calls a function of a WIT interface for the guest, by the same rules.
    #[cfg(feature = "wit-extension")]
    pub(super) async fn call_typed(
        &mut self,
        call: TypedCall,
        reply: Reply<Result<(), HostCallError>>,
    ) -> Result<(), Ended> {
        if let Err(error) = self.may_call(&call.interface, "the host's interface").await? {
            let _ = reply.send(Err(error));
            return Ok(());
        }
        let name = call.function.to_string();
        if let Err(refusal) = done(self.decide(Command::CallHost { name: name.clone() }).await?) {
            let _ = reply.send(Err(refusal.into()));
            return Ok(());
        }
        let bounds = Bounds { timeout: call.timeout, interruptible: call.interruptible };
        let caller = WitCaller { id: self.shared.id, task: self.shared.task_ref() };
        self.work(name, bounds, reply, async move {
            (call.body)(caller).await;
            Ok(())
        });
        Ok(())
    }

    /// Makes a call a job of the actor's, which answers the guest.
    fn work<T: Send + 'static>(
        &mut self,
        name: String,
        bounds: Bounds,
        reply: Reply<Result<T, HostCallError>>,
        called: impl Future<Output = Result<T, HostCallError>> + Send + 'static,
    ) {
        let clock = self.shared.around.clock.clone();
        let cancelled = Arc::clone(&self.cancel);
        self.jobs.spawn(async move {
            match answer(called, bounds, &*clock, cancelled).await {
                Ok(answer) => {
                    let _ = reply.send(answer);
                    None
                }
                // What it said may be the host's own secret: the guest is told nothing of it.
                Err(Panic(panic)) => Some(Finding::Panicked {
                    message: format!("the host's function {name:?} panicked: {panic}"),
                    call: Box::new(reply),
                }),
            }
        });
    }

    async fn granted(&mut self, name: &str) -> Result<Result<Provided, HostCallError>, Ended> {
        if let Err(error) = self.may_call(name, "the host's function").await? {
            return Ok(Err(error));
        }
        let missing = || HostCallError::of(RefusalKind::NotFound, format!("this host has no function {name:?}"));
        Ok(self.functions.get(name).cloned().ok_or_else(missing))
    }

    async fn may_call(&mut self, name: &str, what: &str) -> Result<Result<(), HostCallError>, Ended> {
        let may = self.may(&Touch::Function(name.to_owned())).await?;
        Ok(may.map_err(|refusal| {
            HostCallError::of(
                refusal.kind,
                format!("{what} {name:?} needs the capability `host:{name}`: {}", refusal.message),
            )
        }))
    }
}

/// What holds for one call.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    timeout: Duration,
    /// Whether the guest can be told that its task shall stop.
    interruptible: bool,
}

/// A function panicked, with this text.
struct Panic(String);

/// Waits for the function, for the end of its time, or until the task shall stop.
async fn answer<T>(
    called: impl Future<Output = Result<T, HostCallError>>,
    bounds: Bounds,
    clock: &dyn Clock,
    cancelled: Arc<Watched<Option<CancelNotice>>>,
) -> Result<Result<T, HostCallError>, Panic> {
    let over = clock.steady().checked_add(bounds.timeout);
    let timeout = async {
        match over {
            Some(over) => clock.sleep_until(over).await,
            None => std::future::pending().await,
        }
    };
    let called = pin!(called);
    Ok(tokio::select! {
        biased;
        result = guarded(called) => result.map_err(Panic)?,
        () = cancelled.until(Option::is_some), if bounds.interruptible => {
            Err(HostCallError::of(RefusalKind::Cancelled, "the task was asked to stop"))
        }
        () = timeout => {
            let time = text::duration(bounds.timeout);
            Err(HostCallError::of(RefusalKind::TimedOut, format!("the function took longer than its {time}")))
        }
    })
}

/// Holds a result against the function's own schema, and against the limits.
fn checked(function: &Provided, result: Value, limits: &Limits) -> Result<Value, HostCallError> {
    if json::has_too_many(&result) {
        let message = format!("the function's result has more than {VALUES_MAX} values");
        return Err(HostCallError::of(RefusalKind::TooLarge, message));
    }
    check(&function.output, &result, RefusalKind::Host, "the function's result")?;
    let size = json::length(&result);
    if size > limits.call_bytes {
        let message =
            format!("the function's result has {size} bytes, and a call carries at most {}", limits.call_bytes);
        return Err(HostCallError::of(RefusalKind::TooLarge, message));
    }
    Ok(result)
}

fn check(schema: &Schema, value: &Value, kind: RefusalKind, what: &str) -> Result<(), HostCallError> {
    schema.check(value).map_err(|faults| {
        let message = format!("{what} does not match the function's schema: {}", faults.join("; "));
        HostCallError::of(kind, message)
    })
}
