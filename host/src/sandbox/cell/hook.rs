//! One hook in a cell of its own: no task, no files, no grants beyond what belongs to its plugin.

use wasmtime::component::ComponentExportIndex;

use crate::model::outcome::{Failure, FailureKind};
use crate::model::text;
use crate::ports::hooks::HookWork;
use crate::sandbox::trap::{Departure, is_too_large_result};
use crate::sandbox::wasi;

use super::{Around, Info, Linked, Of, departed, exited, host_failure, is_too_large, store, too_large};

/// Runs one hook from a fresh instance to its end.
pub(in crate::sandbox) async fn run(
    around: Around,
    plugin: &Linked,
    function: &ComponentExportIndex,
    work: &HookWork,
) -> Result<(), Failure> {
    let Linked::TaskPlugin(pre) = plugin else {
        return Err(Failure::new(FailureKind::Host, "a command has no hooks"));
    };
    let limits = work.limits;
    let wasi = wasi::nothing(&limits, &around.link.output);
    around.link.gauges.set_fuel_budget(limits.fuel);
    let info = Info { of: Of::Hook(work.hook.word()), ..Info::without_task(&limits) };
    let mut store = store(around, Some(wasi), info).map_err(|error| host_failure(&error))?;
    let called = match pre.instance_pre().instantiate_async(&mut store).await {
        Err(error) if is_too_large(&error, &store) => return Err(too_large(&store)),
        Err(error) => Err(error),
        Ok(instance) => match instance.get_typed_func::<(&str,), (Result<(), String>,)>(&mut store, function) {
            Err(error) => Err(error),
            Ok(hook) => {
                let context = work.context.to_string();
                hook.call_async(&mut store, (&context,)).await
            }
        },
    };
    match called {
        Ok((Ok(()),)) => Ok(()),
        Ok((Err(said),)) => Err(Failure::new(FailureKind::Guest, said)),
        Err(error) if is_too_large_result(&error) => {
            let message = "what it returned is larger than an error may be".to_owned();
            Err(Failure::at_limit(FailureKind::OutputLimit, "result_bytes", message))
        }
        Err(error) => Err(match departed(&error, &store) {
            Departure::Exit(code) => Failure { exit_code: Some(code), ..exited_early(code) },
            Departure::Failed(failure) if failure.kind == FailureKind::OutOfFuel => {
                let fuel = text::fuel(limits.fuel);
                Failure { message: format!("it used up the {fuel} units of fuel that a hook has"), ..failure }
            }
            Departure::Failed(failure) => failure,
        }),
    }
}

/// A hook returns: an exit is none, whatever its code says.
fn exited_early(code: i32) -> Failure {
    Failure { message: format!("it exited with code {code} instead of returning"), ..exited(code) }
}
