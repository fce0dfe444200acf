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

#[task(timeout_ms = 5000)]
fn as_in_the_manifest(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(scratch_bytes = 1_000_000)]
fn no_unit(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(memory = "1KiB")]
fn less_than_a_page(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(handles = 4_294_967_296)]
fn too_many(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(progress_per_second = 0)]
fn too_few(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(artifacts = "7")]
fn not_a_number(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task]
fn _hidden(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

fn main() {}
