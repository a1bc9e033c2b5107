//! Rings: no two modules and no two files beside each other name each other in a circle. A child
//! may name its parent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources;
use super::tree::{Place, Tree};

/// The rings that there still are: the module, and those in it that name each other. Whoever opens
/// one takes it from this list.
const KNOWN: [&str; 0] = [];

/// Within one module: which of its children names which, and where.
type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

fn arrows(tree: &Tree) -> BTreeMap<Place, Arrows> {
    let mut arrows: BTreeMap<Place, Arrows> = BTreeMap::new();
    for from in tree.places() {
        for to in tree.named_by(from) {
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            // One of the two is around the other.
            let (Some(child), Some(other)) = (from.get(common), to.get(common)) else {
                continue;
            };
            arrows
                .entry(from[..common].to_vec())
                .or_default()
                .entry((child.clone(), other.clone()))
                .or_default()
                .insert(format!("{} names {}", from.join("::"), to.join("::")));
        }
    }
    arrows
}

/// The children that reach each other, with what they say.
fn rings(arrows: &Arrows) -> Vec<(BTreeSet<String>, BTreeSet<String>)> {
    let mut rings: Vec<(BTreeSet<String>, BTreeSet<String>)> = Vec::new();
    for start in arrows.keys().map(|(from, _)| from) {
        let ring: BTreeSet<String> = reached(arrows, start)
            .into_iter()
            .filter(|other| reached(arrows, other).contains(start))
            .collect();
        if !ring.is_empty() && rings.iter().all(|(known, _)| *known != ring) {
            let said = arrows
                .iter()
                .filter(|((from, to), _)| ring.contains(from) && ring.contains(to))
                .flat_map(|(_, said)| said.clone());
            rings.push((ring.clone(), said.collect()));
        }
    }
    rings
}

fn reached(arrows: &Arrows, start: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut ahead = vec![start.to_owned()];
    while let Some(at) = ahead.pop() {
        for (_, to) in arrows.keys().filter(|(from, _)| *from == at) {
            if reached.insert(to.clone()) {
                ahead.push(to.clone());
            }
        }
    }
    reached
}

fn all_rings(tree: &Tree) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for (place, arrows) in arrows(tree) {
        let place = if place.is_empty() {
            "crate".to_owned()
        } else {
            place.join("::")
        };
        for (ring, said) in rings(&arrows) {
            let names: Vec<_> = ring.into_iter().collect();
            all.insert(format!("{place}: {}", names.join(", ")), said);
        }
    }
    all
}

#[test]
fn no_files_beside_each_other_name_each_other_in_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&src, &mut paths);
    let files: Vec<(String, String)> = paths
        .iter()
        .map(|path| {
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap();
            (name.to_owned(), std::fs::read_to_string(path).unwrap())
        })
        .collect();
    let tree = Tree::new(files.iter().map(|(name, text)| (&**name, &**text)));
    let count: usize = arrows(&tree).values().map(BTreeMap::len).sum();
    assert!(count > 300, "only {count} arrows between files are seen");
    let found = all_rings(&tree);
    let known: BTreeSet<String> = KNOWN.map(str::to_owned).into();
    let new: Vec<String> = found
        .iter()
        .filter(|(ring, _)| !known.contains(*ring))
        .map(|(ring, said)| {
            let said: Vec<_> = said.iter().map(|line| format!("    {line}")).collect();
            format!("a ring in {ring}\n{}", said.join("\n"))
        })
        .collect();
    assert!(new.is_empty(), "{}", new.join("\n"));
    let gone: Vec<_> = known
        .iter()
        .filter(|ring| !found.contains_key(*ring))
        .collect();
    assert!(gone.is_empty(), "not a ring any more: {gone:?}");
}

#[test]
fn a_ring_is_seen_however_it_is_written() {
    let ring = |a: &str, b: &str| -> Vec<String> {
        let files = [
            ("lib.rs", "mod m;"),
            (
                "m/mod.rs",
                "mod a; mod b; pub use b::B as Shown; use self::a::*;",
            ),
            ("m/a.rs", a),
            ("m/b.rs", b),
            ("m/a/inner.rs", "use super::super::b::deep;"),
        ];
        all_rings(&Tree::new(files)).into_keys().collect()
    };
    let a = "mod inner; pub struct A;";
    for b in [
        "use super::a::A;",
        "use super::{a::A, c};",
        "use super::{self, a};",
        "use crate::m::{x, a as other};",
        "fn f(_: crate::m::a::A) {}",
        "fn f() { super::a::A::new(\"//\"); }",
        "use super::A;",
        "use crate::m; fn f(_: m::a::A) {}",
        "use crate::m as around; fn f(_: around::A) {}",
    ] {
        assert_eq!(ring(a, b), ["m: a, b"], "{b}");
    }
    for b in [
        "// use super::a::A;",
        "const TEXT: &str = \"crate::m::a::A\"; use std::a::A;",
        "use super::c;",
        "#[cfg(test)]\nmod tests { use super::super::a::A; }",
    ] {
        assert_eq!(ring(a, b), [""; 0], "{b}");
    }
    // Through the name under which the parent shows it.
    assert_eq!(ring("use super::Shown;", "use super::a;"), ["m: a, b"]);
}
