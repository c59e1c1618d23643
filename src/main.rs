//! argv → settings → personality → exit code.

fn main() {}
