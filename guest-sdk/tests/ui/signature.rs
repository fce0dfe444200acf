//! Functions that cannot be tasks.

use taskcell_guest::{TaskCtl, TaskError, task};

#[task]
async fn waits(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task]
fn alone() -> Result<(), TaskError> {
    Ok(())
}

#[task]
fn three(_ctl: &TaskCtl, _one: u8, _two: u8) -> Result<(), TaskError> {
    Ok(())
}

#[task]
fn owned(_ctl: TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task]
fn generic<T>(_ctl: &TaskCtl, _input: T) -> Result<(), TaskError> {
    Ok(())
}

#[task]
fn silent(_ctl: &TaskCtl, _input: ()) {}

#[task]
struct NotAFunction;

fn main() {}
