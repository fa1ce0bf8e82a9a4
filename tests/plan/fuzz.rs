//! Random worlds, beyond the written scenarios. In every world, the plan must keep the safety rules.

use crate::{made_up, targets};
use proptest::prelude::*;
use std::path::Path;

/// The number of random worlds. `PROPTEST_CASES=100000` tries more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1500)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_world_makes_a_plan_that_must_not_be(bytes in proptest::collection::vec(any::<u8>(), 0..45)) {
        targets::told(&made_up::scenario(&bytes));
    }
}

/// What `scripts/fuzz` found, and where it begins.
#[test]
fn the_corpus_is_harmless() {
    for (name, target) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
        let mut count = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let file = entry.unwrap().path();
            println!("{}", file.display());
            target(&std::fs::read(file).unwrap());
            count += 1;
        }
        assert!(count > 1, "{} has only {count} files", folder.display());
    }
}
