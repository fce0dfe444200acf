//! What Rust's standard library expects of libc on WASI and Debian's wasi-libc of 2022 does not have.
//!
//! Every function says "not supported", as far as its signature allows. All are weak: a libc that has the function
//! itself wins. Without them any guest that so much as mentions a thread or a socket fails to link.
#![no_std]
#![feature(linkage, thread_local)]

use core::{
    ffi::{c_char, c_int, c_void},
    ptr::null_mut,
};

/// WASI's number for "not supported".
const ENOTSUP: c_int = 58;

/// "Look at `errno`", in answers of `getaddrinfo`.
const EAI_SYSTEM: c_int = -11;

unsafe extern "C" {
    #[thread_local]
    static mut errno: c_int;
}

fn unsupported() -> c_int {
    // SAFETY: `errno` is this thread's own, and libc defines it as an int.
    unsafe { errno = ENOTSUP };
    -1
}

macro_rules! answering {
    ($answer:expr, $type:ty: $($name:ident($($argument:ty),*);)*) => { $(
        #[linkage = "weak"]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($(_: $argument),*) -> $type {
            $answer
        }
    )* };
}

// Files: WASI knows no permissions and no absolute paths. Sockets: a guest has none.
answering! { unsupported(), c_int:
    chmod(*const c_char, u32);
    fchmod(c_int, u32);
    socket(c_int, c_int, c_int);
    bind(c_int, *const c_void, u32);
    connect(c_int, *const c_void, u32);
    listen(c_int, c_int);
    getpeername(c_int, *mut c_void, *mut u32);
    getsockname(c_int, *mut c_void, *mut u32);
    setsockopt(c_int, c_int, c_int, *const c_void, u32);
    recvfrom(c_int, *mut c_void, usize, c_int, *mut c_void, *mut u32);
    sendto(c_int, *const c_void, usize, c_int, *const c_void, u32);
}

answering! { { unsupported(); null_mut() }, *mut c_char:
    realpath(*const c_char, *mut c_char);
}

answering! { { unsupported(); EAI_SYSTEM }, c_int:
    getaddrinfo(*const c_char, *const c_char, *const c_void, *mut *mut c_void);
}

answering! { (), ():
    freeaddrinfo(*mut c_void);
}

answering! { c"name resolution is not supported".as_ptr(), *const c_char:
    gai_strerror(c_int);
}

// Threads: their attributes can be set, but none can be created.
answering! { 0, c_int:
    pthread_attr_init(*mut c_void);
    pthread_attr_destroy(*mut c_void);
    pthread_attr_setstacksize(*mut c_void, usize);
}

answering! { ENOTSUP, c_int:
    pthread_create(*mut c_void, *const c_void, *mut c_void, *mut c_void);
    pthread_join(*mut c_void, *mut *mut c_void);
    pthread_detach(*mut c_void);
}
