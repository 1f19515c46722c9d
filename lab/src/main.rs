//! The `demarc-lab` binary.
fn main() {}
