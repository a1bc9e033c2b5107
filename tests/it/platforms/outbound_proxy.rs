//! The way to the platforms through a proxy: who gets it, and whose fault it is when a call does
//! not come through.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may fail")]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use hufu::sandbox::SandboxSettings;
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional,
};
use tokio::net::{TcpListener, TcpStream};

use crate::helpers::{
    Certificates, Gateway, GatewayBuilder, Sandbox, echo_upstream, route, sandbox,
    servers::refusing as refusing_address, tls::plain_acceptor, until_blocking,
};

/// An HTTP proxy that wants a login, and writes down what it was asked.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(refuses: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (
            listener.local_addr().unwrap(),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let noted = asked.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, noted.clone(), refuses));
            }
        });
        Self { address, asked }
    }

    /// What was asked so far.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn serve(socket: TcpStream, asked: Arc<Mutex<Vec<String>>>, refuses: bool) -> Option<()> {
    let mut client = BufReader::new(socket);
    let mut head: Vec<String> = Vec::new();
    while head.last().is_none_or(|line| !line.is_empty()) {
        let mut line = String::new();
        client
            .read_line(&mut line)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        head.push(line.trim_end().to_owned());
    }
    asked
        .lock()
        .unwrap()
        .push(head[0].split('?').next().unwrap().to_owned());
    let login = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode("hufu:ti@er")
    );
    let known = head.iter().any(|line| {
        line.to_ascii_lowercase()
            .starts_with("proxy-authorization:")
            && line.ends_with(&login)
    });
    let refusal = if refuses {
        Some("403 Forbidden")
    } else {
        (!known).then_some("407 Proxy Authentication Required")
    };
    if let Some(status) = refusal {
        let answer = format!(
            "HTTP/1.1 {status}\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        return client.write_all(answer.as_bytes()).await.ok();
    }
    let target = head[0].split(' ').nth(1)?.to_owned();
    if head[0].starts_with("CONNECT ") {
        let mut server = TcpStream::connect(target).await.ok()?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
        copy_bidirectional(&mut client, &mut server).await.ok()?;
    } else {
        let (host, path) = target.strip_prefix("http://")?.split_once('/')?;
        let mut server = TcpStream::connect(host).await.ok()?;
        server
            .write_all(
                format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await
            .ok()?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await.ok()?;
        client.write_all(&answer).await.ok()?;
    }
    Some(())
}

/// The sandbox behind TLS.
async fn encrypted(wechat: &Sandbox, certificates: &Certificates) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, acceptor) = (listener.local_addr().unwrap(), plain_acceptor(certificates));
    let behind = wechat
        .server
        .url
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(socket).await.ok()?;
                let mut server = TcpStream::connect(behind).await.ok()?;
                copy_bidirectional(&mut client, &mut server).await.ok()
            });
        }
    });
    address
}

/// What `hufu COMMAND` says with these variables.
fn said(command: &[&str], config: &str, base: &str, variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hufu.toml");
    let setup = GatewayBuilder::new().config(format!(
        "{config}\n{}",
        route("/", "http://127.0.0.1:1", "none")
    ));
    std::fs::write(&path, setup.text(base)).unwrap();
    let mut hufu = Command::new(env!("CARGO_BIN_EXE_hufu"));
    for name in [
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "https_proxy",
        "http_proxy",
        "all_proxy",
        "no_proxy",
    ] {
        hufu.env_remove(name);
    }
    let output = hufu
        .args(command)
        .arg("--config")
        .arg(&path)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !text.contains("ti@er") && !text.contains("ti%40er") && !text.contains("wrong-word"),
        "{text}"
    );
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_a_platform_over_tls_go_through_the_proxy_and_say_whose_fault_it_is() {
    let (wechat, certificates) = (sandbox(SandboxSettings::default()), Certificates::new());
    let base = format!("https://{}", encrypted(&wechat, &certificates).await);
    let (proxy, refusing) = (Proxy::start(false).await, Proxy::start(true).await);
    let ca = certificates.path("ca.pem").display().to_string();
    let trusts = ("SSL_CERT_FILE", &*ca);
    let (at, connect) = (
        proxy.address.to_string(),
        format!("CONNECT {} HTTP/1.1", base.trim_start_matches("https://")),
    );
    let url = format!("http://hufu:${{WORD}}@{at}");
    let config = format!("platforms.proxy = \"{url}\"");
    let word = ("WORD", "ti%40er");
    // A machine that stalls may let the time of a call pass: then it says so, and is asked again.
    let doctor = |config: &str, variables: &[(&str, &str)]| {
        until_blocking("a doctor that is answered in time", || {
            proxy.asked();
            let text = said(&["doctor"], config, &base, variables);
            let is_late = text.contains("timed out") || text.contains("has not answered");
            (!is_late).then_some(text)
        })
    };
    let asked = || {
        let mut asked = proxy.asked();
        // Asked again where the first connection took too long.
        asked.dedup();
        asked
    };

    let through = doctor(&config, &[trusts, word]);
    assert!(
        through.contains("takes the secret of")
            && through.contains(&format!("through the proxy {at})")),
        "{through}"
    );
    assert_eq!(asked(), [&*connect]);
    // Nobody has said so: not through it, whatever the environment says.
    let environment = format!("http://hufu:ti%40er@{at}");
    for (config, variables) in [
        (
            "",
            vec![
                trusts,
                ("HTTPS_PROXY", &*environment),
                ("ALL_PROXY", &environment),
            ],
        ),
        (
            &*format!("{config}\nplatforms.no_proxy = [\"127.0.0.0/8\"]"),
            vec![trusts, word],
        ),
        (
            "platforms.proxy = \"env\"",
            vec![
                trusts,
                ("HTTPS_PROXY", &environment),
                ("NO_PROXY", "example.test, 127.0.0.1"),
            ],
        ),
    ] {
        let direct = doctor(config, &variables);
        assert!(
            direct.contains("takes the secret of")
                && direct.contains(", directly)")
                && proxy.asked().is_empty(),
            "{config}: {direct}"
        );
    }
    let from_environment = doctor(
        "platforms.proxy = \"env\"",
        &[trusts, ("https_proxy", &environment)],
    );
    assert!(
        from_environment.contains(&format!("through the proxy {at})")),
        "{from_environment}"
    );
    assert_eq!(asked(), [&*connect]);

    // Whose fault it is.
    let (gone, _held) = refusing_address();
    let gone = gone.trim_start_matches("http://");
    for (config, variables, words) in [
        (
            &*config,
            vec![trusts, ("WORD", "wrong-word")],
            format!("the proxy {at} wants a login, or another one (407): see platforms.proxy"),
        ),
        (
            &format!("platforms.proxy = \"http://{at}\""),
            vec![trusts],
            format!("the proxy {at} wants a login"),
        ),
        (
            &format!("platforms.proxy = \"http://{}\"", refusing.address),
            vec![trusts],
            format!("the proxy {} has refused the way there", refusing.address),
        ),
        (
            &format!("platforms.proxy = \"http://{gone}\""),
            vec![trusts],
            format!("the proxy {gone} cannot be reached: Connection refused"),
        ),
        (
            &format!("platforms.proxy = \"http://hufu:ti%40er@{at}\""),
            vec![],
            format!("through the proxy {at}: its certificate is not trusted"),
        ),
    ] {
        let failed = doctor(config, &variables);
        assert!(failed.contains(&words), "{words}: {failed}");
    }
}

#[tokio::test]
async fn a_gateway_signs_in_through_the_proxy_and_a_reload_takes_another() {
    let (echo, proxy, other) = (
        echo_upstream(),
        Proxy::start(false).await,
        Proxy::start(false).await,
    );
    let config = |proxy: &Proxy| {
        format!(
            "platforms.proxy = \"http://hufu:ti%40er@{}\"\n{}",
            proxy.address,
            echo.route("/", "required")
        )
    };
    let gateway = Gateway::start(&config(&proxy));
    gateway.login("a").await;
    let asked = proxy.asked();
    assert!(
        asked.len() == 1
            && asked[0].starts_with("GET http://127.0.0.1:")
            && asked[0].ends_with("/sns/jscode2session"),
        "{asked:?}"
    );
    gateway.reload(&config(&other), "applied").await;
    gateway.login("b").await;
    assert_eq!((proxy.asked().len(), other.asked().len()), (0, 1));
    gateway
        .reload(&echo.route("/", "required"), "applied")
        .await;
    gateway.login("c").await;
    assert_eq!((proxy.asked().len(), other.asked().len()), (0, 0));
    // A proxy that wants another login is not the platform.
    gateway
        .reload(&config(&proxy).replace("ti%40er", "wrong-word"), "applied")
        .await;
    let code = gateway.code("d");
    assert_eq!(
        gateway
            .login_with(serde_json::json!({ "code": code }))
            .await
            .status(),
        503
    );
    let log = gateway.stderr();
    assert!(
        log.contains("wants a login, or another one (407)") && !log.contains("wrong-word"),
        "{log}"
    );
}

#[test]
fn a_proxy_that_cannot_be_is_a_mistake_and_none_is_shown_with_its_login() {
    let base = "https://127.0.0.1:1";
    for (value, words) in [
        (
            "socks5://hufu:ti%40er@p:1080",
            "platforms.proxy: names a SOCKS proxy; only HTTP proxies are supported",
        ),
        (
            "hufu:ti%40er@p:3128",
            "platforms.proxy: does not begin with http:// or https://",
        ),
        (
            "http://hufu:ti%40er@p:3128/x",
            "platforms.proxy: has more than a host and a port",
        ),
        (
            "${NOT_THERE}",
            "platforms.proxy: the variable NOT_THERE is not set",
        ),
    ] {
        let told = said(
            &["check"],
            &format!("platforms.proxy = \"{value}\""),
            base,
            &[],
        );
        assert!(told.contains(words), "{value}: {told}");
    }
    let wrong = said(
        &["check"],
        "platforms.no_proxy = [\"https://a.test\"]",
        base,
        &[],
    );
    assert!(
        wrong.contains("platforms.no_proxy") && wrong.contains("is neither a host nor a network"),
        "{wrong}"
    );
    let shown = said(
        &["check", "--print"],
        "platforms.proxy = \"http://hufu:ti%40er@p:3128\"\nplatforms.no_proxy = [\".a.test\"]",
        base,
        &[],
    );
    assert!(
        shown.contains("proxy = \"http://[hidden]@p:3128\"")
            && shown.contains("no_proxy = [\".a.test\"]"),
        "{shown}"
    );
    let unset = said(&["check"], "platforms.proxy = \"env\"", base, &[]);
    assert!(
        unset.contains("neither HTTPS_PROXY nor ALL_PROXY is set"),
        "{unset}"
    );
    let broken = said(
        &["check"],
        "platforms.proxy = \"env\"",
        base,
        &[("ALL_PROXY", "socks5://hufu:ti%40er@p")],
    );
    assert!(
        broken.contains("the variable ALL_PROXY names a SOCKS proxy"),
        "{broken}"
    );
}
