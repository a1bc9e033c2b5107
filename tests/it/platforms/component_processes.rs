//! A third-party platform in real processes: logins of its authorizers' users, what operators see and
//! change, and `kill -9` in the middle of a refresh.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hufu::clock::{Clock as _, SystemClock};
use hufu::crypto::keyring::{Keyring, NamingKey, generate_key, parse_key};
use hufu::crypto::random;
use hufu::identity::ComponentStore;
use hufu::metrics::Metrics;
use hufu::sandbox::SandboxSettings;
use hufu::secret::Secret;
use hufu::store;
use serde_json::{Value, json};

use super::{PATIENT, patient};
use crate::helpers::{
    APPID, Gateway, GatewayBuilder, HttpAnswer, RedisServer, Sandbox, Slots, echo_upstream, http,
    live_sandbox, sandbox, tls_provider, until,
};
use crate::operations::doctor::doctor;
use crate::sessions::leaks::{assert_absent, stored};

const COMPONENT: &str = "wxc0123456789abcde";
const SECRET: &str = "component-secret-that-nobody-may-see";
const PUSH_TOKEN: &str = "t0ken-of-the-events-that-nobody-may-see";
const AES_KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
const ADMIN_TOKEN: &str = "admin-token-that-nobody-may-see";
const AUTHORIZERS: &str = "/admin/api/apps/open/authorizers";

/// A store with its keys, and a WeChat.
struct Scene {
    redis: RedisServer,
    wechat: Arc<Sandbox>,
    keys: [String; 2],
    /// Of a call of the platform.
    timeout: &'static str,
}

impl Scene {
    fn new(wechat: Sandbox) -> Self {
        Self {
            redis: RedisServer::start(&[]),
            wechat: Arc::new(wechat),
            keys: [generate_key(), generate_key()],
            timeout: "15s",
        }
    }

    /// The configuration of a gateway, with these routes.
    fn config(&self, routes: &str) -> String {
        let [key, naming] = &self.keys;
        format!(
            "admin.token = \"{ADMIN_TOKEN}\"\nsecrets.keys = [\"{key}\"]\nsecrets.naming_key = \"{naming}\"\n\
             [apps.open]\nprovider = \"wechat-component\"\nappid = \"{COMPONENT}\"\nsecret = \"{SECRET}\"\n\
             base_url = \"{}\"\ntimeout = \"{}\"\n\
             push = {{ token = \"{PUSH_TOKEN}\", aes_key = \"{AES_KEY}\" }}\n{routes}",
            self.wechat.server.url, self.timeout
        )
    }

    fn gateway(&self, routes: &str) -> Gateway {
        GatewayBuilder::new()
            .store(self.redis.url(""))
            .config(PATIENT)
            .config(self.config(routes))
            .start_with(self.wechat.clone())
    }

    /// The store as a gateway has it.
    fn store(&self) -> Arc<dyn ComponentStore> {
        tls_provider();
        let [key, naming] = self.keys.each_ref().map(|key| parse_key(key).unwrap());
        let keys = Arc::new(Keyring::new(&[key]).unwrap());
        let naming = Arc::new(NamingKey::new(&naming));
        let settings = patient(&self.redis.url(""));
        let handle = store::open(&settings, keys, naming, Arc::new(Metrics::new())).unwrap();
        handle.process().component
    }

    async fn last_ticket(&self) -> String {
        let found = self.store().ticket(COMPONENT).await.unwrap();
        found.unwrap().expose().clone()
    }

    /// What the platform pushes every ten minutes.
    async fn ticket(&self) {
        let ticket = Secret::new(self.wechat.platform.ticket(COMPONENT));
        let now = SystemClock.unix_now();
        let kept = self.store().keep_ticket(COMPONENT, &ticket, now).await;
        let _ = kept.unwrap();
    }
}

fn login(user: &str, wechat: &Sandbox, authorizer: &str) -> Value {
    let code = wechat.platform.login_code(authorizer, user);
    json!({ "app": "open", "authorizer_appid": authorizer, "code": code })
}

async fn asked(gateway: &Gateway, path: &str) -> HttpAnswer {
    gateway.admin_get(path).bearer_auth(ADMIN_TOKEN).await
}

#[tokio::test]
async fn a_user_of_an_authorizer_reaches_the_backend_by_name() {
    let scene = Scene::new(sandbox(SandboxSettings::default()));
    let upstream = echo_upstream();
    let gateway = scene.gateway(&upstream.route("/api", "required"));
    let early = gateway
        .login_with(login("alice", &scene.wechat, APPID))
        .await;
    assert_eq!(
        (early.status(), early.code()),
        (503, Some("platform_unavailable"))
    );
    gateway.logs("component_verify_ticket").await;
    scene.ticket().await;

    let mut other = "wx".to_owned();
    other.push_str("0000000000000001");
    for authorizer in [APPID, &other] {
        scene.wechat.platform.authorize(COMPONENT, authorizer);
    }
    let sibling = gateway.sibling();
    let body = login("alice", &scene.wechat, APPID);
    let answer = sibling.login_with(body.clone()).await.json();
    let token = answer["token"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"));
    let again = sibling.login_with(body).await.json();
    assert_eq!(again["token"], token, "the same code, the same answer");
    let seen: Value = gateway.get("/api/x").bearer_auth(token).await.json();
    let headers: Vec<(String, String)> = serde_json::from_value(seen["headers"].clone()).unwrap();
    let openid = hufu::sandbox::openid(APPID, "alice");
    for (name, value) in [
        ("x-wx-openid", &*openid),
        ("x-wx-appid", APPID),
        ("x-hufu-app", "open"),
        ("x-hufu-provider", "wechat-component"),
    ] {
        let expected = (name.to_owned(), value.to_owned());
        assert!(headers.contains(&expected), "{expected:?} in {headers:?}");
    }
    let own: Value = gateway.get("/auth/session").bearer_auth(token).await.json();
    assert_eq!(own["authorizer_appid"], APPID);

    // The same name with another authorizer is another user.
    let elsewhere = gateway
        .login_with(login("alice", &scene.wechat, &other))
        .await;
    assert_eq!(elsewhere.status(), 200);
    let sessions = |query: String| {
        let path = format!("/admin/api/sessions?app=open&{query}");
        let request = gateway.admin_get(&path).bearer_auth(ADMIN_TOKEN);
        async move { request.await.json() }
    };
    let found = sessions(format!("authorizer_appid={APPID}&user={openid}")).await;
    assert_eq!(found["sessions"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["sessions"][0]["authorizer_appid"], APPID);
    let none = sessions(format!("authorizer_appid={other}&user={openid}")).await;
    assert_eq!(none["sessions"], json!([]));
    let unnamed = sessions(format!("user={openid}")).await;
    assert_eq!(unnamed["code"], "authorizer_required");
    assert_eq!(scene.wechat.platform.calls("api_component_token"), 1);
}

/// Asks the sandbox as a person at WeChat's end.
async fn control(gateway: &Gateway, path: &str, body: Value) -> Value {
    let url = gateway.wechat.server.at(&format!("/sandbox/{path}"));
    let answer = http().post(url).json(&body).await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()
}

/// All that the platform pushes, as it comes: the ticket, an authorization and its end.
#[tokio::test]
async fn what_the_platform_pushes_is_all_that_it_takes() {
    let scene = Scene::new(live_sandbox(SandboxSettings::default()));
    let gateway = scene.gateway("");
    let url = gateway.at("/auth/push/open");
    let console = json!({ "app": COMPONENT, "url": url, "token": PUSH_TOKEN, "aes_key": AES_KEY });
    control(&gateway, "push-settings", console).await;
    let success = |answer: &Value| {
        assert_eq!(answer["pushed"]["status"], 200, "{answer}");
        assert_eq!(answer["pushed"]["answer"], "success", "{answer}");
    };
    success(&control(&gateway, "ticket", json!({ "app": COMPONENT })).await);
    let pair = json!({ "component": COMPONENT, "app": APPID });
    // While the platform does not say what an authorization gives, it is to come again.
    gateway
        .fault(json!({ "api": "api_query_auth", "times": 1, "status": 503 }))
        .await;
    let refused = control(&gateway, "authorize", pair.clone()).await;
    assert_eq!(refused["pushed"]["status"], 503, "{refused}");
    assert_eq!(
        asked(&gateway, AUTHORIZERS).await.json(),
        json!({ "authorizers": [] })
    );
    success(&control(&gateway, "authorize", pair.clone()).await);
    let listed = asked(&gateway, AUTHORIZERS).await.json();
    assert_eq!(listed["authorizers"][0]["appid"], APPID);
    let answer = gateway
        .login_with(login("alice", &scene.wechat, APPID))
        .await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(scene.wechat.platform.calls("api_get_authorizer_info"), 0);
    success(&control(&gateway, "withdraw", pair).await);
    assert_eq!(
        asked(&gateway, AUTHORIZERS).await.json(),
        json!({ "authorizers": [] })
    );
    let answer = gateway
        .login_with(login("alice", &scene.wechat, APPID))
        .await;
    assert_eq!(answer.code(), Some("app_not_authorized"));

    // Forged, plain and foreign messages change nothing.
    let forged = "<xml><InfoType>component_verify_ticket</InfoType><CreateTime>9999999999</CreateTime><ComponentVerifyTicket>forged</ComponentVerifyTicket></xml>";
    for (fault, status) in [
        ("signature", 403),
        ("plain", 400),
        ("appid", 400),
        ("doctype", 400),
    ] {
        let body = json!({ "app": COMPONENT, "message": forged, "tries": 1, "fault": fault });
        let tried = control(&gateway, "push", body).await;
        assert_eq!(tried["tries"][0]["status"], status, "{fault}: {tried}");
    }
    assert_ne!(scene.last_ticket().await, "forged");
    // An event that says nothing here is taken, so that it does not come again.
    let other = "<xml><InfoType>notify_third_fasteregister</InfoType></xml>";
    let body = json!({ "app": COMPONENT, "message": other, "tries": 1 });
    let tried = control(&gateway, "push", body).await;
    assert_eq!(tried["tries"][0]["answer"], "success", "{tried}");
    assert_eq!(
        gateway
            .counted(r#"hufu_pushes_total{app="open",outcome="undelivered"}"#)
            .await,
        1
    );
}

/// A platform that has stopped pushing, or that nobody has waited for yet.
#[tokio::test]
async fn a_gateway_without_a_ticket_asks_for_one() {
    let (scene, gateway) = until(
        "a URL that is entered before the gateway asks",
        async || {
            let scene = Scene::new(live_sandbox(SandboxSettings::default()));
            let gateway = scene.gateway("");
            let url = gateway.at("/auth/push/open");
            let console =
                json!({ "app": COMPONENT, "url": url, "token": PUSH_TOKEN, "aes_key": AES_KEY });
            control(&gateway, "push-settings", console).await;
            let is_early = scene.wechat.platform.calls("api_start_push_ticket") == 0;
            is_early.then_some((scene, gateway))
        },
    )
    .await;
    scene.wechat.platform.authorize(COMPONENT, APPID);
    until("a login, once the ticket has come", async || {
        let body = login("alice", &scene.wechat, APPID);
        gateway.login_with(body).await.status() == 200
    })
    .await;
    gateway.assert_logged("the platform was asked to push one");
    let platform = &scene.wechat.platform;
    assert_eq!(platform.calls("api_start_push_ticket"), 1);
    // One that finds a ticket asks for none.
    let sibling = gateway.sibling();
    let body = login("bob", &scene.wechat, APPID);
    assert_eq!(sibling.login_with(body).await.status(), 200);
    assert_eq!(platform.calls("api_start_push_ticket"), 1);
}

#[tokio::test]
async fn a_login_says_which_authorizer_is_wrong() {
    let scene = Scene::new(sandbox(SandboxSettings::default()));
    let gateway = scene.gateway("");
    scene.ticket().await;
    let code = scene.wechat.platform.login_code(APPID, "alice");
    for (body, status, word) in [
        (json!({ "app": "open" }), 400, "authorizer_required"),
        (
            json!({ "app": "open", "authorizer_appid": "wx/1}" }),
            400,
            "authorizer_invalid",
        ),
        (
            json!({ "app": "shop", "authorizer_appid": APPID }),
            400,
            "authorizer_invalid",
        ),
        (
            json!({ "app": "open", "authorizer_appid": APPID }),
            403,
            "app_not_authorized",
        ),
    ] {
        let mut body = body;
        body["code"] = code.clone().into();
        let answer = gateway.login_with(body).await;
        assert_eq!((answer.status(), answer.code()), (status, Some(word)));
    }
    // The refusals have not used the code up, and are nobody's trouble but the authorizer's.
    scene.wechat.platform.authorize(COMPONENT, APPID);
    let body = json!({ "app": "open", "authorizer_appid": APPID, "code": code });
    assert_eq!(gateway.login_with(body).await.status(), 200);
    assert_eq!(gateway.part("platforms").await["state"], "up");
    // A token that the platform does not take costs the client nothing.
    let api = "component/jscode2session";
    let refused = json!({ "errcode": 42001, "errmsg": "access_token expired" });
    gateway
        .fault(json!({ "api": api, "times": 1, "body": refused }))
        .await;
    let answer = gateway.login_with(login("bob", &scene.wechat, APPID)).await;
    // The token rests: it was fetched a moment ago.
    assert!([200, 503].contains(&answer.status()), "{}", answer.text());
}

#[tokio::test]
async fn operators_list_import_and_remove_authorizers() {
    let scene = Scene::new(sandbox(SandboxSettings::default()));
    let gateway = scene.gateway("");
    scene.ticket().await;
    assert_eq!(gateway.admin_get(AUTHORIZERS).await.status(), 401);
    let none = asked(&gateway, AUTHORIZERS).await;
    assert_eq!(none.json(), json!({ "authorizers": [] }));
    let of_shop = asked(&gateway, "/admin/api/apps/shop/authorizers").await;
    assert_eq!(
        (of_shop.status(), of_shop.code()),
        (400, Some("authorizer_invalid"))
    );

    let one = format!("{AUTHORIZERS}/{APPID}");
    let put = async |body: Value| {
        let request = http().put(gateway.admin_at(&one)).bearer_auth(ADMIN_TOKEN);
        request.json(&body).await
    };
    let refused = put(json!({})).await;
    assert_eq!(
        (refused.status(), refused.code()),
        (403, Some("app_not_authorized"))
    );
    let odd = put(json!({ "refresh_token": "a b" })).await;
    assert_eq!((odd.status(), odd.code()), (400, Some("request_invalid")));
    scene.wechat.platform.authorize(COMPONENT, APPID);
    assert_eq!(put(json!({})).await.status(), 204);
    let token = asked(&gateway, &format!("{one}/access-token")).await;
    assert_eq!(token.status(), 200, "{}", token.text());
    let token = token.json()["access_token"].as_str().unwrap().to_owned();
    assert!(scene.wechat.platform.knows_token(&token));
    assert!(
        put(json!({ "refresh_token": "refreshtoken@@@x" }))
            .await
            .status()
            == 204
    );
    let listed = asked(&gateway, AUTHORIZERS).await.json();
    let listed = &listed["authorizers"];
    assert_eq!(
        (&listed[0]["appid"], &listed[0]["sealed_with"]),
        (&json!(APPID), &json!("first_key"))
    );
    let said = doctor(&scene.redis.url(""), &scene.config(""));
    said.has("ok", "authorizers", &["1, all under the first sealing key"]);
    said.has("ok", "ticket", &["there is one"]);
    said.has(
        "ok",
        "secret",
        &[&format!("nothing against the secret of {COMPONENT}")],
    );

    let delete = http()
        .request("DELETE", gateway.admin_at(&one))
        .bearer_auth(ADMIN_TOKEN);
    assert_eq!(delete.await.status(), 204);
    let none = asked(&gateway, AUTHORIZERS).await;
    assert_eq!(none.json(), json!({ "authorizers": [] }));
    let log = gateway.stderr();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let audited: Vec<_> = lines
        .filter(|line| line["appid"] == APPID && line["by"] == "admin")
        .map(|line| format!("{} {}", line["audit"], line["outcome"]))
        .collect();
    assert_eq!(
        audited,
        [
            r#""authorizer_import" "failed""#,
            r#""authorizer_import" "done""#,
            r#""access_token" "done""#,
            r#""authorizer_import" "done""#,
            r#""authorizer_removal" "done""#
        ],
        "{log}"
    );
}

/// What operators are given by name aside, nothing that WeChat gives comes out anywhere.
#[tokio::test]
async fn nothing_secret_of_a_component_comes_out() {
    let scene = Scene::new(sandbox(SandboxSettings::default()));
    let upstream = echo_upstream();
    let gateway = GatewayBuilder::new()
        .store(scene.redis.url(""))
        .config(PATIENT)
        .config("log.level = \"trace\"\n")
        .config(scene.config(&upstream.route("/api", "required")))
        .start_with(scene.wechat.clone());
    let platform = &scene.wechat.platform;
    scene.ticket().await;
    platform.authorize(COMPONENT, APPID);
    let one = format!("{AUTHORIZERS}/{APPID}");
    let own = asked(&gateway, "/admin/api/apps/open/access-token")
        .await
        .json();
    let own = own["access_token"].as_str().unwrap().to_owned();
    let of = asked(&gateway, &format!("{one}/access-token")).await.json();
    let of = of["access_token"].as_str().unwrap().to_owned();
    let url = scene.wechat.server.at(&format!(
        "/cgi-bin/component/api_get_authorizer_info?component_access_token={own}"
    ));
    let about = json!({ "component_appid": COMPONENT, "authorizer_appid": APPID });
    let info = http().post(url).json(&about).await.json();
    let refresh = &info["authorization_info"]["authorizer_refresh_token"];
    let refresh = refresh.as_str().unwrap().to_owned();

    // A platform that repeats what it was sent.
    for (api, sent) in [
        ("component/jscode2session", &own),
        ("api_get_authorizer_info", &own),
        ("api_authorizer_token", &refresh),
    ] {
        let said = json!({ "errcode": 61004, "errmsg": format!("refused {sent} {SECRET}") });
        gateway
            .fault(json!({ "api": api, "times": 1, "body": said }))
            .await;
    }
    let key = format!("hufu:t:{{{COMPONENT}}}:{APPID}/access");
    scene.redis.ask::<()>(&["DEL", &key]).unwrap();
    let other = gateway.sibling();
    let refused = asked(&other, &format!("{one}/access-token")).await;
    assert_eq!(refused.code(), Some("misconfigured"), "{}", refused.text());
    let mut emitted = refused.text();
    for _ in 0..2 {
        let put = http().put(gateway.admin_at(&one)).bearer_auth(ADMIN_TOKEN);
        emitted += &put.json(&json!({})).await.text();
        emitted += &gateway
            .login_with(login("alice", &scene.wechat, ""))
            .await
            .text();
        emitted += &gateway
            .login_with(login("alice", &scene.wechat, APPID))
            .await
            .text();
    }
    let answer = gateway
        .login_with(login("bob", &scene.wechat, APPID))
        .await
        .json();
    let token = answer["token"].as_str().unwrap();
    emitted += &gateway.get("/api/x").bearer_auth(token).await.text();
    emitted += &gateway.get("/auth/session").bearer_auth(token).await.text();
    emitted += &asked(&gateway, AUTHORIZERS).await.text();
    emitted += &gateway.admin_get("/metrics").await.text();
    emitted += &gateway.admin_get("/readyz").await.text();
    let secrets = [
        ("component's token", own),
        ("authorizer's token", of),
        ("refresh token", refresh),
        ("ticket", scene.last_ticket().await),
        ("secret", SECRET.to_owned()),
        ("push token", PUSH_TOKEN.to_owned()),
        ("push key", AES_KEY.to_owned()),
        (
            "session_key",
            platform.session_key(APPID, "bob").expose().clone(),
        ),
    ];
    assert_absent(&secrets, "an answer", emitted.as_bytes());
    assert_absent(&secrets, "the access log", gateway.stdout().as_bytes());
    assert_absent(&secrets, "the log", gateway.stderr().as_bytes());
    assert_absent(&secrets, "the other log", other.stderr().as_bytes());
    let (keys, dump) = stored(&scene.redis);
    assert!(keys >= 5, "{keys}");
    assert_absent(&secrets, "Redis", &dump);
}

/// Kills of each of two gateways.
const KILLS: usize = 50;

/// Tokens of three seconds, so that a refresh is under way most of the time, and each ends the refresh
/// token before. Whatever was cut off in the middle: nobody has to authorise again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_the_middle_of_refreshes_lose_no_authorization() {
    let seed = u64::from_be_bytes(random::bytes());
    println!("seed {seed}");
    let mut scene = Scene::new(live_sandbox(SandboxSettings {
        token_life: Duration::from_secs(3),
        ..SandboxSettings::default()
    }));
    // The lease of one that is killed ends soon.
    scene.timeout = "1s";
    scene.ticket().await;
    scene.wechat.platform.authorize(COMPONENT, APPID);
    let path = format!("{AUTHORIZERS}/{APPID}/access-token");
    let first = scene.gateway("");
    let gateways = [first.sibling(), first];
    let given = AtomicUsize::new(0);
    let client = http();
    let ask = async |at| {
        let request = client.get(format!("http://{at}{path}"));
        let Ok(answer) = request.bearer_auth(ADMIN_TOKEN).try_send().await else {
            return false;
        };
        let body = answer.json();
        for fatal in ["misconfigured", "app_not_authorized"] {
            assert_ne!(body["code"], fatal, "{body}");
        }
        if let Some(token) = body["access_token"].as_str() {
            let is_good = scene.wechat.platform.knows_token(token);
            given.fetch_add(usize::from(is_good), Ordering::Relaxed);
        }
        true
    };
    let survivors =
        Slots::ask_under_kills(gateways, KILLS, seed, |gateway| gateway.admin, ask).await;
    assert!(given.load(Ordering::Relaxed) > KILLS);
    for survivor in survivors {
        // One that looked for a token while another gateway died waits for the lease to end.
        until("a token", async || {
            asked(&survivor, &path).await.status() == 200
        })
        .await;
    }
    let platform = &scene.wechat.platform;
    println!(
        "{} refreshes, {} refresh tokens recovered",
        platform.calls("api_authorizer_token"),
        platform.calls("api_get_authorizer_info")
    );
}
