//! Safe doors to the kernel. `libc` and `nix` are used here (and for nothing that a door here offers elsewhere).

pub mod futex;
pub mod net;
