//! How a command starts: constructors, `main`, destructors, and the exit code.
//!
//! Debian's `crt1-command.o` is of 2022. Linked with it, every export, `cabi_realloc` among them, runs the constructors
//! again, and a command traps as soon as the host hands it its arguments. With a start that calls the constructors by
//! itself, the linker leaves the exports alone.
#![no_std]

unsafe extern "C" {
    fn __wasm_call_ctors();
    fn __main_void() -> i32;
    fn __wasm_call_dtors();
    fn __wasi_proc_exit(code: i32) -> !;
}

/// The command's entry point, called once by the host.
#[unsafe(no_mangle)]
pub extern "C" fn _start() {
    // SAFETY: the linker and libc define all four, with these types; this runs first, once, and on the only thread.
    unsafe {
        __wasm_call_ctors();
        let code = __main_void();
        __wasm_call_dtors();
        // Returning is how a command says that all is well.
        if code != 0 {
            __wasi_proc_exit(code);
        }
    }
}
