//! From the verb to its code.

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;

use super::args::Verb;
use super::{
    approve, audit, cancel, controls, events, gc, list, output, plugin, revoke, schedule, show, start, stop_all, wait,
};

/// Does what a verb says.
pub(in crate::cli) async fn run(verb: Verb) -> Result<Exit, Fault> {
    match verb {
        Verb::Start(arguments) => start::start(*arguments).await,
        Verb::List(arguments) => list::list(&arguments).await,
        Verb::Show(arguments) => show::show(&arguments).await,
        Verb::Wait(arguments) => wait::wait(&arguments).await,
        Verb::Output(arguments) => output::output(&arguments).await,
        Verb::Events(arguments) => events::events(&arguments).await,
        Verb::Cancel(arguments) => cancel::cancel(&arguments).await,
        Verb::StopAll(arguments) => stop_all::stop_all(&arguments).await,
        Verb::Pause(arguments) => controls::pause(&arguments).await,
        Verb::Resume(arguments) => controls::resume(&arguments).await,
        Verb::Notify(arguments) => controls::notify(&arguments).await,
        Verb::Instruct(arguments) => controls::instruct(&arguments).await,
        Verb::Approve(arguments) => approve::approve(&arguments).await,
        Verb::Deny(arguments) => approve::deny(&arguments).await,
        Verb::Revoke(arguments) => revoke::revoke(&arguments).await,
        Verb::Audit(arguments) => audit::audit(&arguments).await,
        Verb::Fuel(arguments) => controls::fuel(&arguments).await,
        Verb::Plugin(verb) => plugin::run(&verb).await,
        Verb::Schedule(verb) => schedule::run(verb).await,
        Verb::Gc(arguments) => gc::gc(&arguments).await,
    }
}
