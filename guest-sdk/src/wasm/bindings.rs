//! The contract as wit-bindgen writes it down.

wit_bindgen::generate!({
    path: "../wit",
    world: "task-plugin",
    // `plugin!` exports from the plugin's crate.
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "taskcell_guest::__private::bindings",
});
