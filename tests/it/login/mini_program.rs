//! The code for the mini program in both READMEs, run by node with a `wx` of the test's own against
//! a real gateway.

use std::process::Command;

use serde_json::{Value, json};

use super::hook::asking;
use crate::helpers::{Gateway, echo_upstream, programs::program};

/// What WeChat gives a mini program: requests with callbacks and header names in any case, a
/// storage, and codes one after the other.
const WX: &str = r"
const storage = {}, logins = []
let requests = []
// A wait of the mini program's takes a hundredth of it here.
const soon = (done, ms) => setTimeout(done, ms / 100)
globalThis.wx = {
  getStorageSync: key => storage[key] ?? '',
  setStorage: ({ key, data }) => { storage[key] = data },
  removeStorage: ({ key }) => { delete storage[key] },
  login: ({ success }) => { const code = codes.shift(); logins.push(code); success({ code }) },
  request: ({ url, method = 'GET', data, header = {}, success, fail }) => {
    const body = data === undefined ? undefined : JSON.stringify(data)
    fetch(url, { method, body, headers: { 'content-type': 'application/json', ...header } }).then(async answer => {
      const names = [...answer.headers].map(([name, value]) => [name.replace(/(^|-)[a-z]/g, letter => letter.toUpperCase()), value])
      const text = await answer.text()
      requests.push(answer.status)
      success({ statusCode: answer.status, header: Object.fromEntries(names), data: text && JSON.parse(text) })
    }).catch(fail)
  }
}
const said = { }
const note = name => { said[name] = { logins: logins.splice(0), requests: requests.splice(0), stored: Boolean(storage.token) } }
";

/// A gateway, and what the snippet does there; `codes` are what wx.login gives.
fn run(snippet: &str, gateway: &Gateway, codes: &[&str], script: &str) -> Value {
    let node = program("node").unwrap();
    let snippet = snippet
        .replace("https://api.example.com", &gateway.at(""))
        .replace("setTimeout(", "soon(");
    let text = format!(
        "const codes = {}\n{WX}\n{snippet}\n;(async () => {{ {script} }})().then(() => console.log(JSON.stringify(said)), lost => {{ \
         console.error(lost); process.exit(1) }})\n",
        json!(codes)
    );
    let output = Command::new(node).args(["-e", &text]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn snippet(page: &str) -> String {
    let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page))
        .unwrap();
    text.split_once("```js\n")
        .unwrap()
        .1
        .split_once("\n```")
        .unwrap()
        .0
        .to_owned()
}

#[test]
fn both_readmes_have_the_same_code() {
    let code = |page: &str| {
        snippet(page)
            .lines()
            .filter_map(|line| {
                line.split("//")
                    .next()
                    .map(|code| code.trim_end().to_owned())
            })
            .collect::<Vec<_>>()
    };
    let url = |lines: Vec<String>| {
        lines
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
    };
    assert_eq!(url(code("README.md")), url(code("README.zh-CN.md")));
    assert!(code("README.md").len() > 40);
}

#[tokio::test]
async fn the_code_for_the_mini_program_keeps_its_promises() {
    if program("node").is_none() {
        return;
    }
    let (snippet, backend) = (snippet("README.md"), echo_upstream());
    let gateway = Gateway::start(&backend.route("/api", "required"));
    let order = json!({ "api": "jscode2session", "times": 3, "body": { "errcode": -1, "errmsg": "system error" } });

    // Three requests at once log in once; a session that has ended is replaced by one login, and
    // the POST is sent once more.
    let said = run(
        &snippet,
        &gateway,
        &["first", "second", "third"],
        "const { request, logout } = module.exports
         await Promise.all([1, 2, 3].map(n => request({ url: '/api/' + n }))); note('three')
         const ended = token; await logout(); note('out'); token = ended
         const answers = await Promise.all([1, 2].map(n => request({ url: '/api/' + n, method: 'POST', data: { n } })))
         said.bodies = answers.map(answer => answer.data.body); note('again')
         await logout(); await logout(); note('twice out')
         await request({ url: '/api/x' }); note('in')",
    );
    assert_eq!(
        said["three"],
        json!({ "logins": ["first"], "requests": [200, 200, 200, 200], "stored": true })
    );
    assert_eq!(
        said["out"],
        json!({ "logins": [], "requests": [204], "stored": false })
    );
    assert_eq!(
        (&said["again"]["logins"], &said["bodies"]),
        (&json!(["second"]), &json!(["{\"n\":1}", "{\"n\":2}"])),
        "{said}"
    );
    assert_eq!(
        said["twice out"],
        json!({ "logins": [], "requests": [204], "stored": false })
    );
    assert_eq!(
        said["in"],
        json!({ "logins": ["third"], "requests": [200, 200], "stored": true })
    );

    // A platform that is busy is asked again with the same code.
    gateway.fault(order).await;
    let said = run(
        &snippet,
        &gateway,
        &["busy"],
        "await module.exports.request({ url: '/api/x' }); note('busy')",
    );
    assert_eq!(
        said["busy"],
        json!({ "logins": ["busy"], "requests": [503, 200, 200], "stored": true })
    );

    // A code that was used is replaced once, and not for ever.
    let used = "const { request } = module.exports
         await request({ url: '/api/x' }).then(() => note('used'), answer => { said.status = answer.statusCode; note('used') })";
    for code in ["used", "used-too"] {
        let token: Value = gateway.login_with(json!({ "code": code })).await.json();
        let out = gateway
            .post("/auth/logout")
            .bearer_auth(token["token"].as_str().unwrap())
            .await;
        assert_eq!(out.status(), 204);
    }
    let said = run(&snippet, &gateway, &["used", "fresh"], used);
    assert_eq!(
        said["used"],
        json!({ "logins": ["used", "fresh"], "requests": [400, 200, 200], "stored": true })
    );
    let said = run(&snippet, &gateway, &["used", "used-too", "never"], used);
    assert_eq!(
        (&said["used"]["logins"], &said["status"]),
        (&json!(["used", "used-too"]), &json!(400))
    );
}

#[tokio::test]
async fn a_long_wait_is_the_callers() {
    if program("node").is_none() {
        return;
    }
    let config = "login.rate_limit = { per_ip = \"1/1h\", per_user = \"off\" }\n";
    let gateway = Gateway::start(config);
    gateway.login("somebody").await;
    let script = "await module.exports.request({ url: '/api/x' }).catch(answer => { said.status = answer.statusCode }); note('limited')";
    let said = run(&snippet("README.zh-CN.md"), &gateway, &["limited"], script);
    assert_eq!(
        (&said["status"], &said["limited"]["requests"]),
        (&json!(429), &json!([429])),
        "{said}"
    );
}

/// The code is used up where the team's backend is down: one fresh one, and no more.
#[tokio::test]
async fn a_login_hook_that_fails_costs_one_more_code() {
    if program("node").is_none() {
        return;
    }
    let gateway = Gateway::start(&asking("http://127.0.0.1:9", ""));
    let said = run(
        &snippet("README.md"),
        &gateway,
        &["one", "two", "three"],
        "const { request } = module.exports
         try { await request({ url: '/api/x' }) } catch (answer) { said.error = answer.data.code }
         note('down')",
    );
    assert_eq!(said["error"], "login_hook_failed");
    assert_eq!(
        said["down"],
        json!({ "logins": ["one", "two"], "requests": [503, 503], "stored": false })
    );
}
