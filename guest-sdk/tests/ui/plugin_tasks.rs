//! Plugins whose tasks are wrong.

use taskcell_guest::{TaskCtl, TaskError, task};

#[task]
fn good(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

#[task(name = "good")]
fn namesake(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

fn plain(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

mod listed_twice {
    use super::good;
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [good, good] }
}

mod same_name {
    use super::{good, namesake};
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [good, namesake] }
}

mod not_a_task {
    use super::plain;
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [plain] }
}

mod missing {
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [nowhere] }
}

fn main() {}
