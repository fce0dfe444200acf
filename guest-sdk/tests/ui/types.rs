//! Types that cannot cross the border.

use taskcell_guest::{TaskCtl, TaskError, task};

struct Opaque;

#[task]
fn input(_ctl: &TaskCtl, _input: Opaque) -> Result<(), TaskError> {
    Ok(())
}

#[task]
fn output(_ctl: &TaskCtl, _input: ()) -> Result<Opaque, TaskError> {
    Ok(Opaque)
}

#[task]
fn no_result(_ctl: &TaskCtl, _input: ()) -> u8 {
    1
}

#[task]
fn other_ctl(_ctl: &u8, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

fn main() {}
