//! The fuzz targets without a fuzzer: their properties hold for the seeds and for mutations of
//! them. `make fuzz` looks further.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed, TestRunner};

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a library to the fuzzers")]
mod targets;

use targets::TARGETS;

/// A byte written over, put in or taken away, or a part that is repeated.
#[derive(Debug, Clone)]
enum Edit {
    Write(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Repeat(Index, Index),
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names(folder: &str) -> BTreeSet<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry
            .unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    fs::read_dir(fuzz().join(folder))
        .unwrap()
        .map(name)
        .collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(fuzz().join("seeds").join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // A run draws the same inputs everywhere.
    paths.sort();
    let seeds: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(seeds.len() > 2, "{target} has {} seeds", seeds.len());
    seeds
}

fn edits() -> impl Strategy<Value = Edit> {
    // Mostly what separates and escapes: other bytes seldom change a reading.
    let byte = prop_oneof![3 => prop::sample::select(b"\r\n\t :;,=&?#%/\\.\"'0129aAfF-_\0\x7f\xc3\xff".to_vec()), 1 => any::<u8>()];
    let index = any::<Index>;
    prop_oneof![
        (index(), byte.clone()).prop_map(|(at, byte)| Edit::Write(at, byte)),
        (index(), byte).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        index().prop_map(Edit::Remove),
        (index(), index()).prop_map(|(from, to)| Edit::Repeat(from, to)),
    ]
}

fn apply(data: &mut Vec<u8>, edit: &Edit) {
    let len = data.len();
    match edit {
        Edit::Insert(index, byte) => data.insert(index.index(len + 1), *byte),
        _ if len == 0 => {}
        Edit::Write(index, byte) => data[index.index(len)] = *byte,
        Edit::Remove(index) => drop(data.remove(index.index(len))),
        Edit::Repeat(from, to) => {
            let (one, other) = (from.index(len), to.index(len));
            let part = data[one.min(other)..one.max(other)].to_vec();
            data.splice(one..one, part);
        }
    }
}

/// The same mutations each time, so that nobody's change fails on what chance has found. Another seed
/// stands in `PROPTEST_RNG_SEED`.
fn seed() -> RngSeed {
    match Config::default().rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed => fixed,
    }
}

#[test]
fn every_target_has_a_harness_and_seeds() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("seeds"), targets);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in targets {
        assert!(
            manifest.contains(&format!("name = \"{target}\"")),
            "{target} is not in the manifest"
        );
    }
}

#[test]
fn the_properties_hold_for_the_seeds_and_what_is_near_them() {
    for (name, check) in TARGETS {
        let seeds = seeds(name);
        seeds.iter().for_each(|seed| check(seed));
        let mut runner = TestRunner::new(Config {
            cases: 1000,
            failure_persistence: None,
            rng_seed: seed(),
            ..Config::default()
        });
        let inputs = (
            prop::sample::select(seeds),
            prop::collection::vec(edits(), 1..8),
        );
        let result = runner.run(&inputs, |(mut data, edits)| {
            edits.iter().for_each(|edit| apply(&mut data, edit));
            check(&data);
            Ok(())
        });
        assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
    }
}
