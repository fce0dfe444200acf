//! Options that a task does not have.

use taskcell_guest::{TaskCtl, TaskError, task};

#[task(colour = "red")]
fn unknown(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(name = "Not A Name")]
fn name(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(timeout = "5 minutes")]
fn timeout(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(memory = "64MB")]
fn memory(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(fuel = 0)]
fn fuel(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(fuel = 1, fuel = 2)]
fn twice(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task]
fn _hidden(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

fn main() {}
