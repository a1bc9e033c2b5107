//! A platform's name stands in its own file, in the list of kinds and in its simulator, and nowhere
//! else in the code: what differs between platforms stands in their rows.

use std::path::{Path, PathBuf};

/// The words of each platform.
const WORDS: [&str; 8] = [
    "wechat", "weixin", "微信", "wx.login", "douyin", "toutiao", "抖音", "tt.login",
];

/// Where they may stand.
const HOMES: [&str; 8] = [
    // What the platforms do, and the lists that name them.
    "provider/wechat/",
    "provider/douyin.rs",
    "provider/mod.rs",
    "provider/registry.rs",
    "session/user.rs",
    "sandbox/",
    // What the command says of itself, and the demo, which plays a WeChat phone.
    "cli/mod.rs",
    "cli/demo",
];

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn a_platform_is_named_at_home_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let (mut strays, mut at_home) = (Vec::new(), 0);
    for file in files {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let named: Vec<String> = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .filter(|line| WORDS.iter().any(|word| line.to_lowercase().contains(word)))
            .map(|line| format!("{name}: {}", line.trim()))
            .collect();
        if HOMES.iter().any(|home| name.starts_with(home)) {
            at_home += named.len();
        } else {
            strays.extend(named);
        }
    }
    assert!(at_home > 20, "{at_home} lines found where they belong");
    assert_eq!(strays, Vec::<String>::new());
}
