//! The image: what the Dockerfile copies, and .dockerignore lets through, is all that the build
//! needs.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// What the first stage takes from the folder, with its place in the image: `COPY FROM… TO`.
fn copied() -> Vec<(String, String)> {
    let text = read("Dockerfile");
    let stage = text.split("\nFROM ").nth(1).expect("the stage that builds");
    let lines = stage
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--from"));
    lines
        .flat_map(|line| {
            let words: Vec<_> = line
                .split_whitespace()
                .filter(|word| !word.starts_with("--"))
                .collect();
            let (to, from) = words.split_last().unwrap();
            from.iter()
                .map(|from| ((*from).to_owned(), (*to).to_owned()))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What .dockerignore lets through: everything is left out, but for its lines with `!`.
fn let_through() -> BTreeSet<String> {
    let text = read(".dockerignore");
    let mut lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(
        lines.next(),
        Some("*"),
        ".dockerignore leaves everything out first"
    );
    lines
        .map(|line| {
            line.strip_prefix('!')
                .unwrap_or_else(|| panic!("{line}: this test reads lines with ! only"))
                .to_owned()
        })
        .collect()
}

/// Copies files and folders, and gives what it has copied.
fn copy(from: &Path, to: &Path, files: &mut BTreeSet<PathBuf>) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name), files);
        }
        return;
    }
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    // A file that is the same keeps its time, so that what was built of it counts.
    let content = fs::read(from).unwrap();
    if fs::read(to).ok().as_ref() != Some(&content) {
        fs::write(to, content).unwrap();
    }
    files.insert(to.to_owned());
}

/// Removes what an earlier run has left and this one has not copied.
fn remove_others(folder: &Path, files: &BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        match entry.is_dir() {
            true => remove_others(&entry, files),
            false if files.contains(&entry) => {}
            false => fs::remove_file(entry).unwrap(),
        }
    }
}

#[test]
fn the_image_builds_of_what_it_copies() {
    let (copied, through) = (copied(), let_through());
    assert!(copied.len() >= 5, "{copied:?}");
    let named: BTreeSet<_> = copied.iter().map(|(from, _)| from.clone()).collect();
    assert_eq!(
        named, through,
        "the Dockerfile copies something else than .dockerignore lets through"
    );
    // In a place that stays, so that a second run finds what the first has built.
    let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image");
    let mut files = BTreeSet::new();
    for (from, to) in &copied {
        let to = if to.ends_with('/') {
            image.join(to).join(from)
        } else {
            image.join(to)
        };
        assert!(root().join(from).exists(), "{from} is not there");
        copy(&root().join(from), &to, &mut files);
    }
    // An empty test has the dependencies built as for the tests here, so none is built once more.
    // Everything else must do without it.
    let placeholder = image.join("tests/it/main.rs");
    if !placeholder.exists() {
        fs::create_dir_all(placeholder.parent().unwrap()).unwrap();
        fs::write(&placeholder, "fn main() {}\n").unwrap();
    }
    files.insert(placeholder);
    remove_others(&image, &files);
    let target = Path::new(env!("CARGO_BIN_EXE_hufu"))
        .parent()
        .and_then(Path::parent)
        .unwrap();
    let mut check = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    check
        .current_dir(&image)
        .args([
            "check",
            "--locked",
            "--offline",
            "--quiet",
            "--bin",
            "hufu",
            "--test",
            "it",
            "--target-dir",
        ])
        .arg(target);
    // What the outer cargo tells a test of its package would count as a change: build scripts that
    // ask for it would run again, here and then in the outer one, and with them everything that
    // depends on theirs.
    let told = |name: &str| {
        let words = [
            "CARGO",
            "CARGO_CRATE_NAME",
            "CARGO_MAKEFLAGS",
            "CARGO_PRIMARY_PACKAGE",
            "CARGO_TARGET_TMPDIR",
            "LD_LIBRARY_PATH",
            "OUT_DIR",
        ];
        words.contains(&name)
            || ["CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_PKG_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        check.env_remove(name);
    }
    let checked = check.output().unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn the_package_has_what_the_image_embeds() {
    // The other list of what a build needs: Cargo.toml's, for crates.io.
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let included: Vec<_> = manifest["package"]["include"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(toml::Value::as_str)
        .map(str::to_owned)
        .collect();
    let needed = copied()
        .into_iter()
        .map(|(from, _)| from)
        .filter(|from| !["Cargo.toml", "Cargo.lock", "src", "bench"].contains(&from.as_str()));
    for file in needed {
        assert!(
            included.contains(&file),
            "{file} is not in package.include of Cargo.toml"
        );
    }
}
