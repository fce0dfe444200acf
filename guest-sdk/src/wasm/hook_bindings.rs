//! The interfaces of hooks as wit-bindgen writes them down: a world for each, so that a component exports only what its
//! plugin has.

pub mod plugin {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package taskcell:sdk;
            world plugin-hooks { export taskcell:plugin/plugin-hooks@0.1.2; }",
        world: "taskcell:sdk/plugin-hooks",
        with: { "taskcell:plugin/types@0.1.2": crate::wasm::bindings::taskcell::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_plugin_hooks",
        default_bindings_module: "taskcell_guest::__private::hook_bindings::plugin",
    });
}

pub mod task {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package taskcell:sdk;
            world task-hooks { export taskcell:plugin/task-hooks@0.1.2; }",
        world: "taskcell:sdk/task-hooks",
        with: { "taskcell:plugin/types@0.1.2": crate::wasm::bindings::taskcell::plugin::types },
        pub_export_macro: true,
        export_macro_name: "export_task_hooks",
        default_bindings_module: "taskcell_guest::__private::hook_bindings::task",
    });
}
