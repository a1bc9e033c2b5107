//! Certificates that clients refuse: what `check`, `doctor` and `serve` say of them.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

use std::path::Path;
use std::process::{Command, Output};

use crate::helpers::{
    Certificates, Gateway, GatewayBuilder, echo_upstream, openssl, sandbox, until,
};

/// What `openssl ca` needs to sign with any dates.
const CA: &str = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nrand_serial=yes\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n\
                  unique_subject=no\n[p]\ncommonName=supplied\n";
const AIA: &str = "authorityInfoAccess=caIssuers;URI:http://authority.test/issuer.der";

/// A folder with an authority, an intermediate one, and what they sign.
struct Authority(Certificates);

impl Authority {
    fn new() -> Self {
        let made = Self(Certificates::new());
        std::fs::write(made.0.path("ca.cnf"), CA).unwrap();
        std::fs::write(made.0.path("index"), "").unwrap();
        made.sign(
            "between",
            "ca",
            "basicConstraints=critical,CA:TRUE",
            "20250101000000Z",
            "20990101000000Z",
        );
        made
    }

    /// `who.pem` and `who.key`, signed by `issuer`, with these extensions and dates.
    fn sign(&self, who: &str, issuer: &str, extensions: &str, from: &str, to: &str) {
        let at = self.0.path("");
        std::fs::write(at.join("extensions"), extensions.replace(" & ", "\n")).unwrap();
        openssl(
            &at,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={who} -keyout {who}.key -out {who}.csr"
            ),
        );
        let dates = format!("-startdate {from} -enddate {to}");
        openssl(
            &at,
            &format!(
                "ca -batch -notext -config ca.cnf -in {who}.csr -cert {issuer}.pem -keyfile {issuer}.key -extfile extensions {dates} -out {who}.pem"
            ),
        );
    }

    /// The certificates of all of them in one file, the first one's key beside it.
    fn bundle(&self, name: &str, all: &[&str]) {
        let content: Vec<u8> = all
            .iter()
            .flat_map(|who| self.0.read(&format!("{who}.pem")))
            .collect();
        std::fs::write(self.0.path(&format!("{name}.pem")), content).unwrap();
        std::fs::copy(
            self.0.path(&format!("{}.key", all[0])),
            self.0.path(&format!("{name}.key")),
        )
        .unwrap();
    }

    /// A configuration with this certificate and routes for these hosts.
    fn config(&self, who: &str, hosts: &[&str], backend: &str) -> String {
        let (cert, key) = (
            self.0.path(&format!("{who}.pem")),
            self.0.path(&format!("{who}.key")),
        );
        let routes: String = hosts.iter().map(|host| format!("[[routes]]\npath = \"/\"\nupstream = \"u\"\nauth = \"none\"\nhost = \"{host}\"\n")).collect();
        format!(
            "server.tls = [{{ cert = {cert:?}, key = {key:?} }}]\n[upstreams.u]\nendpoints = [\"{backend}\"]\n{routes}"
        )
    }

    /// What a command says of it.
    fn told(
        &self,
        command: &str,
        who: &str,
        hosts: &[&str],
        backend: &str,
        more: &[(&str, &Path)],
    ) -> Output {
        let wechat = sandbox(hufu::sandbox::SandboxSettings::default());
        let setup = GatewayBuilder::new().config(self.config(who, hosts, backend));
        let path = self.0.path("hufu.toml");
        std::fs::write(&path, setup.text(&wechat.server.url)).unwrap();
        Command::new(env!("CARGO_BIN_EXE_hufu"))
            .args([command, "--config"])
            .arg(&path)
            .envs(more.iter().copied())
            .output()
            .unwrap()
    }
}

/// A moment so many days from now, as openssl writes it.
fn days_from_now(days: i64) -> String {
    let output = Command::new("date")
        .args(["-u", "-d", &format!("{days} days"), "+%Y%m%d%H%M%SZ"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(super) fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn what_phones_refuse_is_said_with_what_mends_it() {
    let (all, echo) = (Authority::new(), echo_upstream());
    let (yesterday, later) = (days_from_now(-1), days_from_now(60));
    let san = |name: &str| format!("subjectAltName=DNS:{name} & {AIA}");
    all.sign("leaf", "between", &san("a.test"), &yesterday, &later);
    all.sign(
        "bare",
        "between",
        "subjectAltName=DNS:a.test",
        &yesterday,
        &later,
    );
    all.sign("direct", "ca", &san("a.test"), &yesterday, &later);
    all.sign(
        "expired",
        "between",
        &san("a.test"),
        &days_from_now(-9),
        &yesterday,
    );
    all.sign(
        "future",
        "between",
        &san("a.test"),
        &days_from_now(2),
        &later,
    );
    all.sign(
        "soon",
        "between",
        &san("a.test"),
        &yesterday,
        &days_from_now(13),
    );
    all.sign("nameless", "between", AIA, &yesterday, &later);
    all.sign(
        "wild",
        "between",
        "subjectAltName=DNS:*.b.test,DNS:c.test",
        &yesterday,
        &later,
    );
    openssl(
        &all.0.path(""),
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=own -addext subjectAltName=DNS:a.test -keyout own.key -out own.pem",
    );
    all.sign(
        "stale",
        "ca",
        "basicConstraints=critical,CA:TRUE",
        &days_from_now(-9),
        &days_from_now(-2),
    );
    all.sign("of-stale", "stale", &san("a.test"), &yesterday, &later);
    for (bundle, of) in [
        ("whole", &["leaf", "between", "ca"][..]),
        ("expired-whole", &["expired", "between", "ca"]),
        ("future-whole", &["future", "between", "ca"]),
        ("soon-whole", &["soon", "between", "ca"]),
        ("nameless-whole", &["nameless", "between", "ca"]),
        ("wild-whole", &["wild", "between", "ca"]),
        ("stale-whole", &["of-stale", "stale", "ca"]),
        ("crossed", &["leaf", "ca", "between"]),
    ] {
        all.bundle(bundle, of);
    }
    let file = |name: &str| all.0.path(name).display().to_string();
    let whole = (
        "ok",
        "issuer",
        vec!["3 certificates, up to CN=ca".to_owned()],
    );
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let add = format!(
        "curl -sS http://authority.test/issuer.der | openssl x509 -inform DER >> {}",
        file("leaf.pem")
    );
    let root = all.0.path("ca.pem");
    let known = [("SSL_CERT_FILE", &*root)];
    for (who, hosts, expected) in [
        (
            "whole",
            &["a.test"][..],
            vec![
                whole.clone(),
                ("ok", "validity", words(&["holds for "])),
                ("ok", "names", words(&["a.test"])),
            ],
        ),
        (
            "leaf",
            &["a.test"],
            vec![(
                "warn",
                "issuer",
                vec![
                    "it was signed by CN=between, which is neither in the file".to_owned(),
                    add,
                ],
            )],
        ),
        (
            "bare",
            &["a.test"],
            vec![(
                "warn",
                "issuer",
                vec![format!("cat INTERMEDIATE.pem >> {}", file("bare.pem"))],
            )],
        ),
        (
            "own",
            &["a.test"],
            vec![(
                "warn",
                "issuer",
                words(&["it is self-signed", "certbot certonly"]),
            )],
        ),
        (
            "crossed",
            &["a.test"],
            vec![(
                "warn",
                "issuer",
                words(&[
                    "CN=leaf was signed by CN=between, and behind it stands CN=ca",
                    "openssl storeutl",
                ]),
            )],
        ),
        (
            "expired-whole",
            &["a.test"],
            vec![
                (
                    "FAIL",
                    "validity",
                    words(&["it ended on 20", "certbot renew"]),
                ),
                whole.clone(),
            ],
        ),
        (
            "future-whole",
            &["a.test"],
            vec![
                (
                    "FAIL",
                    "validity",
                    words(&["it does not hold before 20", "`date`"]),
                ),
                whole.clone(),
            ],
        ),
        (
            "soon-whole",
            &["a.test"],
            vec![
                (
                    "warn",
                    "validity",
                    words(&["it ends in 1", " days, on 20", "certbot renew"]),
                ),
                whole.clone(),
            ],
        ),
        (
            "stale-whole",
            &["a.test"],
            vec![
                (
                    "FAIL",
                    "validity",
                    words(&["CN=stale, which is behind it, ended on 20", "issued anew"]),
                ),
                whole.clone(),
            ],
        ),
        (
            "nameless-whole",
            &["a.test"],
            vec![
                (
                    "FAIL",
                    "names",
                    words(&["names no host", "certbot certonly -d HOST"]),
                ),
                ("warn", "names", words(&["no certificate has a.test"])),
            ],
        ),
        (
            "whole",
            &["b.test"],
            vec![
                (
                    "warn",
                    "names",
                    words(&[
                        "it is for a.test, and no route is for any of these hosts",
                        "certbot certonly -d HOST",
                    ]),
                ),
                (
                    "warn",
                    "names",
                    words(&["no certificate has b.test", "certbot certonly -d b.test"]),
                ),
            ],
        ),
        (
            "wild-whole",
            &["x.b.test", "*.b.test"],
            vec![(
                "note",
                "names",
                words(&["*.b.test; no route is for c.test"]),
            )],
        ),
        (
            "wild-whole",
            &["x.y.b.test", "c.test"],
            vec![("warn", "names", words(&["no certificate has x.y.b.test"]))],
        ),
    ] {
        // Of "ca" this machine knows.
        let (doctor, check) = (
            all.told("doctor", who, hosts, &echo.url, &known),
            all.told("check", who, hosts, &echo.url, &known),
        );
        let (lines, checked) = (said(&doctor), said(&check));
        assert_eq!(
            (doctor.status.code(), check.status.code()),
            (Some(i32::from(lines.contains("FAIL"))), Some(0)),
            "{who}: {lines}{checked}"
        );
        for (verdict, about, words) in &expected {
            let fits = |line: &&str| {
                line.starts_with(verdict)
                    && line.contains(about)
                    && words.iter().all(|word| line.contains(word))
            };
            assert!(
                lines.lines().any(|line| fits(&line)),
                "{who} {hosts:?}: {verdict} {about} {words:?}\n{lines}"
            );
            let is_warning = matches!(*verdict, "warn" | "FAIL");
            assert_eq!(
                words.iter().all(|word| checked.contains(word)),
                is_warning,
                "{who}: {words:?}\n{checked}"
            );
        }
        let troubles = lines
            .lines()
            .filter(|line| {
                line.contains("certificate ")
                    && (line.starts_with("warn") || line.starts_with("FAIL"))
            })
            .count();
        assert_eq!(
            troubles,
            expected
                .iter()
                .filter(|(verdict, ..)| matches!(*verdict, "warn" | "FAIL"))
                .count(),
            "{who}: {lines}"
        );
        assert_eq!(
            checked
                .matches("warning: ")
                .filter(|_| checked.contains("server.tls: "))
                .count(),
            troubles,
            "{who}: {checked}"
        );
    }
    // An authority of the company's own, which this machine knows and the phones may know too.
    let own = all.told("doctor", "direct", &["a.test"], &echo.url, &known);
    assert!(said(&own).contains("leads to CN=ca"), "{}", said(&own));
    // And one that it does not know: to put that one into the file helps nobody.
    let known = all.0.path("own.pem");
    for command in ["doctor", "check"] {
        let private = said(&all.told(
            command,
            "whole",
            &["a.test"],
            &echo.url,
            &[("SSL_CERT_FILE", &known)],
        ));
        for words in [
            "3 certificates, up to CN=ca, which is self-signed and not among this machine's authorities",
            "must be installed on every client",
        ] {
            assert!(private.contains(words), "{command}: {private}");
        }
    }
    // What certbot writes beside it.
    all.bundle("fullchain", &["leaf", "between"]);
    let beside = all.told("check", "leaf", &["a.test"], &echo.url, &[]);
    assert!(
        said(&beside).contains(&format!("write cert = {:?}", file("fullchain.pem"))),
        "{}",
        said(&beside)
    );
}

#[tokio::test]
async fn a_gateway_says_it_and_shows_until_when_they_hold() {
    let (all, echo) = (Authority::new(), echo_upstream());
    all.sign(
        "one",
        "ca",
        "subjectAltName=DNS:a.test,DNS:*.a.test",
        "20250101000000Z",
        "20990101000000Z",
    );
    all.bundle("shown", &["one", "ca"]);
    let gateway = Gateway::start(&all.config("shown", &["a.test"], &echo.url));
    let ends = async |name: &str| {
        gateway
            .counted(&format!(
                "hufu_tls_certificate_not_after_seconds{{listener=\"server\",name=\"{name}\"}}"
            ))
            .await
    };
    until("the time of the first one", async || {
        ends("a.test").await == 4_070_908_800
    })
    .await;
    assert_eq!(
        (ends("*.a.test").await, ends("b.test").await),
        (4_070_908_800, 0)
    );
    gateway.assert_not_logged("it ended on");
    all.sign(
        "two",
        "ca",
        "subjectAltName=DNS:b.test",
        "20250101000000Z",
        "20260101000000Z",
    );
    all.bundle("shown", &["two", "ca"]);
    until("the new one", async || {
        ends("b.test").await == 1_767_225_600
    })
    .await;
    assert_eq!(ends("a.test").await, 0);
    gateway
        .logs("it ended on 2026-01-01 00:00:00 UTC: every client refuses it")
        .await;
    gateway.logs("no route is for any of these hosts").await;
    let another = Gateway::start(&all.config("shown", &["a.test"], &echo.url));
    another.logs("it ended on 2026-01-01").await;
}
