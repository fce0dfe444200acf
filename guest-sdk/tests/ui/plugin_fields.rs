//! Plugins whose fields are wrong.

use taskcell_guest::{TaskCtl, TaskError, plugin, task};

#[task]
fn good(_ctl: &TaskCtl, _input: ()) -> Result<(), TaskError> {
    Ok(())
}

mod no_version {
    taskcell_guest::plugin! { name: "a", tasks: [super::good] }
}

mod no_tasks {
    taskcell_guest::plugin! { name: "a", version: "1", tasks: [] }
}

mod bad_name {
    taskcell_guest::plugin! { name: "A plugin", version: "1", tasks: [super::good] }
}

mod unknown_field {
    taskcell_guest::plugin! { name: "a", version: "1", license: "MIT", tasks: [super::good] }
}

mod twice {
    taskcell_guest::plugin! { name: "a", name: "b", version: "1", tasks: [super::good] }
}

mod no_reason {
    taskcell_guest::plugin! { name: "a", version: "1", requests: ["signal"], tasks: [super::good] }
}

mod asks_twice {
    taskcell_guest::plugin! {
        name: "a",
        version: "1",
        requests: ["signal" => "to tell", "signal" => "to tell again"],
        tasks: [super::good],
    }
}

plugin! {
    name: "a",
    version: "",
    tasks: [good],
}

fn main() {}
