//! The `demarc` binary.
fn main() {}
