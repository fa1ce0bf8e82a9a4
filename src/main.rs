//! rsctl

fn main() {}
