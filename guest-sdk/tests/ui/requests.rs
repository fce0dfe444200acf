//! Requests whose scope means nothing.

use taskcell_guest::{TaskCtl, TaskError, task};

#[task(requests = ["fs" { hosts = ["a.example.com"] } => "why"])]
fn of_another(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(requests = ["http" { host = ["a.example.com"] } => "why"])]
fn unknown(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(requests = ["http" { methods = ["get"] } => "why"])]
fn lower_case(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(requests = ["fs" { access = "write" } => "why"])]
fn access(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(requests = ["env" { names = [] } => "why"])]
fn empty(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(requests = ["tasks" { plugins = ["digest"] }])]
fn no_reason(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

fn main() {}
