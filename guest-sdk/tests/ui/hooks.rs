//! Plugins whose hooks are wrong.

use taskcell_guest::{CancelledTask, HookCtx, TaskCtl, TaskError, task};

#[task]
fn good(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

fn fine(_ctx: &HookCtx) -> Result<(), String> {
    Ok(())
}

fn about_a_task(_ctx: &HookCtx, _task: &CancelledTask) -> Result<(), TaskError> {
    Ok(())
}

fn returns_nothing(_ctx: &HookCtx) {}

mod none {
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [super::good], hooks: {} }
}

mod unknown {
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [super::good], hooks: { on_start: super::fine } }
}

mod twice {
    taskcell_guest::plugin! {
        name: "a",
        version: "1",
        tasks: [super::good],
        hooks: { init: super::fine, init: super::fine },
    }
}

mod no_list {
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [super::good], hooks: [super::fine] }
}

mod of_another_kind {
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [super::good], hooks: { on_cancel: super::fine } }
}

mod of_the_wrong_end {
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [super::good], hooks: { on_terminal: super::about_a_task } }
}

mod without_a_result {
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [super::good], hooks: { init: super::returns_nothing } }
}

fn main() {}
