//! The schema that editors get, held by a validator of others against what the reader takes and
//! refuses.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::helpers::programs::program;

fn schema() -> Value {
    let printed = Command::new(env!("CARGO_BIN_EXE_hufu"))
        .arg("schema")
        .output()
        .unwrap();
    assert!(printed.status.success());
    serde_json::from_slice(&printed.stdout).unwrap()
}

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/configs")
        .join(kind);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "toml"));
    files
}

/// What the validator says of each of these configurations; nothing of a good one. `None`: it
/// cannot be had here.
fn complaints(texts: &[String]) -> Option<Vec<String>> {
    let python = program("jsonschema")?.with_file_name("python");
    let folder = tempfile::tempdir().unwrap();
    let documents: Vec<Value> = texts
        .iter()
        .map(|text| serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap())
        .collect();
    fs::write(folder.path().join("schema"), schema().to_string()).unwrap();
    fs::write(
        folder.path().join("documents"),
        Value::from(documents).to_string(),
    )
    .unwrap();
    let script = "import json, jsonschema\n\
                  schema = json.load(open('schema'))\n\
                  jsonschema.Draft7Validator.check_schema(schema)\n\
                  validator = jsonschema.Draft7Validator(schema)\n\
                  print(json.dumps(['; '.join(e.json_path + ' ' + e.message for e in validator.iter_errors(d)) for d in json.load(open('documents'))]))\n";
    let output = Command::new(python)
        .args(["-c", script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said.len(), texts.len());
    Some(said)
}

#[test]
fn every_good_configuration_is_one_for_the_schema() {
    let mut texts: Vec<_> = fixtures("valid")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(texts.len() >= 6);
    texts.extend([
        hufu::config::manual::complete(),
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/hufu.toml")).unwrap(),
    ]);
    for (text, said) in texts.iter().zip(complaints(&texts).unwrap_or_default()) {
        assert_eq!(said, "", "{text}");
    }
}

#[test]
fn what_the_schema_refuses_the_reader_refuses_too() {
    let good = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs/valid/least.toml"),
    )
    .unwrap();
    // A line, the table that it stands in, and a word of what is wrong with it.
    let slips = [
        ("[server]", "wrokers = 1", "wrokers"),
        ("[server]", "workers = \"1\"", "workers"),
        ("[server]", "workers = 5000", "workers"),
        ("[server]", "proxy_protocol = \"true\"", "proxy_protocol"),
        (
            "[server]",
            "forwarding_header = \"X-Real-IP\"",
            "forwarding_header",
        ),
        ("[server]", "tls = [{ cert = \"a\", kee = \"b\" }]", "kee"),
        ("[log]", "format = \"xml\"", "format"),
        ("[session.near_cache]", "push = \"on\"", "push"),
        ("[apps.game]", "secret = \"x\"", "appid"),
        (
            "[apps.game]",
            "appid = \"wx0123456789abcdef\"\nsecret = \"x\"\nsecrets = \"x\"",
            "secrets",
        ),
        ("[upstreams.b]", "balance = \"least_request\"", "endpoints"),
        (
            "[upstreams.b]",
            "endpoints = [{ url = \"http://h\", wieght = 2 }]",
            "endpoints",
        ),
        (
            "[upstreams.b]",
            "endpoints = \"http://h\"\nretries = { attempts = 99 }",
            "attempts",
        ),
        ("[[routes]]", "path = \"/x\"", "upstream"),
        (
            "[[routes]]",
            "path = \"/x\"\nupstream = \"api\"\nauth = \"maybe\"",
            "auth",
        ),
        (
            "[[routes]]",
            "path = \"/x\"\nupstream = \"api\"\nresponse_headers = { sett = {} }",
            "response_headers",
        ),
        (
            "[[routes]]",
            "path = \"/x\"\nupstream = \"api\"\nfailure = 1",
            "failure",
        ),
        ("[nobody]", "knows = 1", "nobody"),
    ];
    let texts: Vec<_> = slips
        .iter()
        .map(|(table, line, _)| format!("{good}\n{table}\n{line}\n"))
        .collect();
    let variables = hufu::config::Variables::only([
        ("HUFU_KEY", "k"),
        ("HUFU_NAMING_KEY", "k"),
        ("HUFU_REDIS_PASSWORD", "k"),
        ("WX_SECRET", "k"),
    ]);
    for (text, (.., word)) in texts.iter().zip(&slips) {
        let error = hufu::config::Settings::parse("f", text, Path::new(""), &variables)
            .map(|_| ())
            .unwrap_err();
        assert!(error.to_string().contains(word), "{text}\n{error}");
    }
    for ((text, said), (.., word)) in texts
        .iter()
        .zip(complaints(&texts).unwrap_or_default())
        .zip(&slips)
    {
        assert!(said.contains(word), "{text}\n{said:?}");
    }
}

#[test]
fn a_variable_may_stand_for_any_word() {
    let good = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs/valid/least.toml"),
    )
    .unwrap();
    if let Some(said) = complaints(&[format!("{good}\n[log]\nlevel = \"${{LEVEL}}\"\n")]) {
        assert_eq!(said, [""]);
    }
}

#[test]
fn an_editor_shows_what_a_key_is_for_and_its_default() {
    let schema = schema();
    let idle = &schema["properties"]["session"]["properties"]["idle_timeout"];
    assert_eq!(
        (idle["default"].as_str(), idle["description"].as_str()),
        (Some("24h"), Some("An unused session ends after this time."))
    );
    let route = &schema["properties"]["routes"]["items"];
    assert_eq!(route["required"], serde_json::json!(["path", "upstream"]));
    assert!(
        route["properties"]["auth"]["description"]
            .as_str()
            .unwrap()
            .starts_with("\"required\": without a session, 401.")
    );
}

#[test]
fn shells_and_man_know_every_command_and_option() {
    let hufu = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_hufu"))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let text = hufu(&["completions", shell]);
        for word in ["serve", "doctor", "completions", "redis-user", "token-env"] {
            assert!(text.contains(word), "{shell} lacks {word}");
        }
    }
    // Bash reads it, and completes.
    let script = "source /dev/stdin && COMP_WORDS=(hufu doc) COMP_CWORD=1 && _hufu hufu doc hufu && echo \"${COMPREPLY[*]}\"";
    let mut bash = Command::new("bash")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(
        &mut bash.stdin.take().unwrap(),
        hufu(&["completions", "bash"]).as_bytes(),
    )
    .unwrap();
    let completed = bash.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(completed.stdout).unwrap(), "doctor\n");
    let (page, of_init) = (hufu(&["man"]), hufu(&["man", "init"]));
    assert!(
        page.starts_with(".ie") && page.contains(".TH hufu 1") && page.contains("hufu\\-serve(1)"),
        "{page}"
    );
    assert!(
        of_init.contains(".TH hufu\\-init 1") || of_init.contains(".TH hufu-init 1"),
        "{of_init}"
    );
    assert!(of_init.contains("redis\\-user"), "{of_init}");
}
