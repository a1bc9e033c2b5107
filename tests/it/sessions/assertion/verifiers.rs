//! The verifiers of docs/backends.md, as they stand there, against a real gateway.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use hufu::crypto::hash::hmac_sha256;
use hufu::crypto::keyring::generate_key;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{
    URL_SAFE_NO_PAD, asserted, claims, orders, part, published, signed_by, token as signed,
};
use base64::Engine as _;

use crate::helpers::programs::{node_with, python_with};
use crate::helpers::{Gateway, Upstream};

/// Reads a list of assertions, and says of each whose it is, or null. The library's clock stands
/// still at the given time, so the outcome does not depend on how long the machine takes.
const PYTHON: &str = "
import datetime, json, sys
import jwt.api_jwt
asked = json.load(sys.stdin)
class StoppedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(asked['now'], tz)
jwt.api_jwt.datetime = StoppedClock
said = []
for assertion in asked['assertions']:
    try:
        said.append(identity(assertion)['sub'])
    except jwt.PyJWTError:
        said.append(None)
print(json.dumps(said))
";
const NODE: &str = "
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { now, assertions } = JSON.parse(Buffer.concat(chunks));
const Clock = Date;
globalThis.Date = class extends Clock {
  constructor(...time) { super(...(time.length ? time : [now * 1000])); }
  static now() { return now * 1000; }
};
const said = [];
for (const assertion of assertions) {
  said.push(await identity(assertion).then((payload) => payload.sub, () => null));
}
console.log(JSON.stringify(said));
";

/// The example of the page in this language, with the address of this gateway.
fn example(language: &str, gateway: &Gateway) -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/backends.md"));
    let page = page.unwrap();
    let (_, block) = page.split_once(&format!("```{language}\n")).unwrap();
    let (code, _) = block.split_once("```").unwrap();
    let address = "http://127.0.0.1:8080";
    assert_eq!(code.matches(address).count(), 1);
    code.replace(address, gateway.at("").trim_end_matches('/'))
}

struct Verifier {
    name: &'static str,
    program: PathBuf,
    script: PathBuf,
    _folder: TempDir,
}

impl Verifier {
    fn new(name: &'static str, program: PathBuf, file: &str, code: String) -> Self {
        // Node looks for packages in the folders above a script.
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/node");
        std::fs::create_dir_all(&tools).unwrap();
        let folder = tempfile::tempdir_in(tools).unwrap();
        let script = folder.path().join(file);
        std::fs::write(&script, code).unwrap();
        Self {
            name,
            program,
            script,
            _folder: folder,
        }
    }

    async fn says(&self, assertions: &[String], now: &Value) -> Vec<Option<String>> {
        let mut child = Command::new(&self.program)
            .arg(&self.script)
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let asked = json!({ "now": now, "assertions": assertions }).to_string();
        stdin.write_all(asked.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            let errors = String::from_utf8_lossy(&output.stderr);
            panic!("{}: {errors}", self.name)
        })
    }
}

fn verifiers(gateway: &Gateway) -> Vec<Verifier> {
    let python = python_with("jwt").map(|program| {
        let code = example("python", gateway) + PYTHON;
        Verifier::new("PyJWT", program, "verifier.py", code)
    });
    let node = node_with("jose").map(|program| {
        let code = example("js", gateway) + NODE;
        Verifier::new("jose", program, "verifier.mjs", code)
    });
    python.into_iter().chain(node).collect()
}

/// The claims with another value.
fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

fn without(claims: &Value, name: &str) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// What another clock says of the times.
fn moved(claims: &Value, secs: i64) -> Value {
    let at = |name: &str| json!(claims[name].as_i64().unwrap() + secs);
    with(&with(claims, "iat", at("iat")), "exp", at("exp"))
}

fn with_hmac(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", text(header), text(claims));
    let mac = URL_SAFE_NO_PAD.encode(hmac_sha256(secret, signed.as_bytes()));
    format!("{signed}.{mac}")
}

#[tokio::test]
async fn the_verifiers_of_the_page_take_the_gateway_at_its_word_and_nobody_else() {
    let upstream = Upstream::ok();
    let (key, foreign) = (generate_key(), generate_key());
    let gateway = Gateway::start(&(signed_by(&[&key, &generate_key()]) + &orders(&upstream)));
    let session = gateway.token("alice").await;
    let real = asserted(&gateway, &upstream, "/orders", &session).await;
    let (header, claims) = (part(&real, 0), claims(&real));
    let key_set = published(&gateway).await;
    let public = key_set["keys"][0]["x"].as_str().unwrap();
    let right = [
        real.clone(),
        signed(&key, &header, &claims),
        // A verifier whose clock is a minute behind, one that is a minute ahead, and both at the
        // end of what one assertion serves.
        signed(&key, &header, &moved(&claims, 58)),
        signed(&key, &header, &moved(&claims, -60)),
        signed(&key, &header, &moved(&claims, -90)),
    ];
    let hs256 = with(&header, "alg", json!("HS256"));
    let none = with(&header, "alg", json!("none"));
    let unsigned = |header: &Value| {
        let signed = signed(&key, header, &claims);
        signed.rsplit_once('.').unwrap().0.to_owned() + "."
    };
    let other_key = &key_set["keys"][1]["kid"];
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": public });
    let (head, rest) = real.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let changed = URL_SAFE_NO_PAD.encode(with(&claims, "sub", json!("evil")).to_string());
    let wrong = [
        unsigned(&none),
        unsigned(&header),
        signed(&key, &none, &claims),
        signed(&key, &with(&header, "alg", json!("NONE")), &claims),
        with_hmac(&hs256, &claims, public.as_bytes()),
        with_hmac(&hs256, &claims, &URL_SAFE_NO_PAD.decode(public).unwrap()),
        with_hmac(&hs256, &claims, jwk.to_string().as_bytes()),
        with_hmac(&hs256, &claims, b""),
        signed(&key, &with(&header, "kid", json!("another")), &claims),
        signed(&key, &with(&header, "kid", other_key.clone()), &claims),
        signed(&key, &without(&header, "kid"), &claims),
        signed(&foreign, &header, &claims),
        signed(&foreign, &with(&header, "jwk", jwk), &claims),
        signed(&key, &header, &with(&claims, "aud", json!("users"))),
        signed(&key, &header, &without(&claims, "aud")),
        signed(
            &key,
            &header,
            &with(&claims, "iss", json!("https://test.example.com")),
        ),
        signed(&key, &header, &without(&claims, "iss")),
        signed(&key, &header, &without(&claims, "exp")),
        signed(&key, &header, &without(&claims, "iat")),
        signed(&key, &header, &without(&claims, "sub")),
        signed(&key, &header, &moved(&claims, -125)),
        format!("{head}.{changed}.{signature}"),
        format!("{head}.{body}.{}", signature.replace(|_: char| true, "A")),
        format!("{head}.{body}"),
        String::new(),
        "a.b.c".to_owned(),
        session.clone(),
    ];
    let all: Vec<String> = right.iter().chain(&wrong).cloned().collect();
    for verifier in verifiers(&gateway) {
        let said = verifier.says(&all, &claims["iat"]).await;
        assert_eq!(said.len(), all.len());
        for (at, (said, assertion)) in said.iter().zip(&all).enumerate() {
            let expected = (at < right.len()).then(|| claims["sub"].as_str().unwrap());
            assert_eq!(
                said.as_deref(),
                expected,
                "{}, {at}: {assertion}",
                verifier.name
            );
        }
    }
}
