//! A client that notes what it was told, and what it cannot know because the answer did not come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::helpers::{
    APPID, Dice, Gateway, Sandbox, Slots, client::Client as HttpClient, http, subject,
};

/// What a client knows of one of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Lives,
    Ended,
    /// An answer that would have told was cut off.
    Unsure,
}

/// A session with every token that it was handed under, the newest last.
#[derive(Debug)]
struct Device {
    tokens: Vec<String>,
    /// Its name; `None` after a rotation whose answer was cut off.
    session_id: Option<String>,
    state: State,
}

/// A client of one user.
pub(super) struct Client {
    pub(super) user: String,
    /// Nobody else is this user, so that what lives must be found living.
    own: bool,
    dice: Dice,
    slots: Arc<Slots>,
    wechat: Arc<Sandbox>,
    http: HttpClient,
    devices: Vec<Device>,
    /// Requests that were answered, and those that were not.
    pub(super) done: usize,
    pub(super) lost: usize,
}

impl Client {
    pub(super) fn new(
        user: String,
        own: bool,
        dice: Dice,
        slots: Arc<Slots>,
        wechat: Arc<Sandbox>,
    ) -> Self {
        Self {
            user,
            own,
            dice,
            slots,
            wechat,
            http: http(),
            devices: Vec::new(),
            done: 0,
            lost: 0,
        }
    }

    /// Goes on until it is stopped.
    pub(super) async fn work(mut self, stop: &AtomicBool) -> Self {
        while !stop.load(Ordering::Relaxed) {
            let usable: Vec<usize> = (0..self.devices.len())
                .filter(|at| self.devices[*at].state != State::Ended)
                .collect();
            let drawn = self.dice.below(20);
            if usable.is_empty() || drawn < 6 && usable.len() < 6 {
                self.login().await;
                continue;
            }
            let device = usable[usize::try_from(self.dice.below(usable.len() as u64)).unwrap()];
            match drawn {
                0..10 => self.rotate(device).await,
                10..14 => self.logout(device).await,
                14..16 => self.logout_all(device).await,
                16..18 => self.sign_out_another(device).await,
                _ => self.look(device).await,
            }
        }
        self
    }

    /// Sends a request to a gateway that lives; `None`: no answer came, or one that leaves it open
    /// whether anything happened.
    async fn send(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Option<(u16, Value)> {
        let Some(at) = self.slots.any(&mut self.dice) else {
            // Nobody lives just now, and the load is not to spin.
            tokio::time::sleep(Duration::from_millis(2)).await;
            return None;
        };
        let mut request = self.http.request(method, format!("http://{at}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = async {
            let answer = request.try_send().await.ok()?;
            Some((answer.status(), answer.text()))
        };
        let Some((status, text)) = answer.await else {
            self.lost += 1;
            return None;
        };
        self.done += 1;
        self.slots.answered();
        (status != 503).then(|| (status, serde_json::from_str(&text).unwrap_or_default()))
    }

    fn token(&self, device: usize) -> String {
        self.devices[device].tokens.last().unwrap().clone()
    }

    async fn login(&mut self) {
        let code = self.wechat.platform.login_code(APPID, &self.user);
        // Coming again with a code that a dead gateway has reserved takes a while, so not everybody
        // does.
        let tries = if self.dice.below(8) == 0 { 2 } else { 1 };
        for _ in 0..tries {
            let Some((status, answer)) = self
                .send("POST", "/auth/login", None, Some(json!({ "code": code })))
                .await
            else {
                continue;
            };
            match (status, answer["code"].as_str()) {
                (200, None) => self.devices.push(Device {
                    tokens: vec![text(&answer["token"])],
                    session_id: Some(text(&answer["session_id"])),
                    state: if self.own {
                        State::Lives
                    } else {
                        State::Unsure
                    },
                }),
                (400, Some("code_used")) => {}
                other => panic!("login: {other:?}"),
            }
            return;
        }
    }

    async fn rotate(&mut self, device: usize) {
        let answer = self
            .send("POST", "/auth/rotate", Some(&self.token(device)), None)
            .await;
        let known = &mut self.devices[device];
        match answer {
            // The old token still opens it, and gives the same answer once more.
            None => known.session_id = None,
            Some((200, answer)) => {
                known.tokens.push(text(&answer["token"]));
                known.session_id = Some(text(&answer["session_id"]));
            }
            Some(answer) => known.refused(&answer),
        }
    }

    async fn logout(&mut self, device: usize) {
        let answer = self
            .send("POST", "/auth/logout", Some(&self.token(device)), None)
            .await;
        self.devices[device].state = match answer {
            None => State::Unsure,
            Some((204, _)) => State::Ended,
            Some(other) => panic!("logout: {other:?}"),
        };
    }

    async fn logout_all(&mut self, device: usize) {
        let answer = self
            .send("POST", "/auth/logout/all", Some(&self.token(device)), None)
            .await;
        match answer {
            None => self.not_known(|_| true),
            Some((200, _)) => self
                .devices
                .iter_mut()
                .for_each(|device| device.state = State::Ended),
            Some(answer) => self.devices[device].refused(&answer),
        }
    }

    /// Signs out some session of the user's list.
    async fn sign_out_another(&mut self, device: usize) {
        let Some((200, answer)) = self
            .send("GET", "/auth/sessions", Some(&self.token(device)), None)
            .await
        else {
            return;
        };
        let listed: Vec<String> = answer["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|session| text(&session["session_id"]))
            .collect();
        let Some(id) =
            listed.get(usize::try_from(self.dice.below(listed.len().max(1) as u64)).unwrap())
        else {
            return;
        };
        match self
            .send(
                "DELETE",
                &format!("/auth/sessions/{id}"),
                Some(&self.token(device)),
                None,
            )
            .await
        {
            Some((204, _))
                if self
                    .devices
                    .iter()
                    .any(|device| device.session_id.as_ref() == Some(id)) =>
            {
                self.devices
                    .iter_mut()
                    .filter(|device| device.session_id.as_ref() == Some(id))
                    .for_each(|device| device.state = State::Ended);
            }
            // One of those whose present name is not known, or one that nobody was handed.
            Some((204, _)) => self.not_known(|device| device.session_id.is_none()),
            None => self.not_known(|device| {
                device.session_id.is_none() || device.session_id.as_ref() == Some(id)
            }),
            // It was ended by somebody else, or the one that asked was.
            Some((401 | 404, _)) => {}
            Some(other) => panic!("DELETE: {other:?}"),
        }
    }

    async fn look(&mut self, device: usize) {
        if let Some((status, answer)) = self
            .send("GET", "/auth/session", Some(&self.token(device)), None)
            .await
            && status != 200
        {
            self.devices[device].refused(&(status, answer));
        }
    }

    fn not_known(&mut self, which: impl Fn(&Device) -> bool) {
        for device in self
            .devices
            .iter_mut()
            .filter(|device| device.state == State::Lives && which(device))
        {
            device.state = State::Unsure;
        }
    }

    /// Holds what this client knows against a gateway.
    pub(super) async fn compare(&self, gateway: &Gateway) {
        let own = hufu::sandbox::openid(APPID, &self.user);
        for device in &self.devices {
            for (age, token) in device.tokens.iter().rev().enumerate() {
                let answer = self.http.get(gateway.at("/api/x")).bearer_auth(token).await;
                let status = answer.status();
                assert!(matches!(status, 200 | 401), "{status}");
                assert!(
                    status == 401 || subject(&answer.text()).as_deref() == Some(&own),
                    "a token opens its own user's session"
                );
                match device.state {
                    State::Ended => {
                        assert_eq!(status, 401, "a session that was signed out: {device:?}");
                    }
                    State::Lives if age == 0 => assert_eq!(
                        status, 200,
                        "a session that nobody has signed out: {device:?}"
                    ),
                    _ => {}
                }
            }
        }
    }

    /// No token that was ever handed to this client opens anything.
    pub(super) async fn all_ended(&self, gateway: &Gateway) {
        for token in self.devices.iter().flat_map(|device| &device.tokens) {
            let answer = self
                .http
                .get(gateway.at("/auth/session"))
                .bearer_auth(token)
                .await;
            assert_eq!(answer.status(), 401, "after all sessions were ended");
        }
    }
}

impl Device {
    /// A 401 is no surprise where an answer was cut off before.
    fn refused(&mut self, (status, answer): &(u16, Value)) {
        assert_eq!(
            (*status, answer["code"].as_str()),
            (401, Some("session_expired")),
            "{answer}"
        );
        assert_ne!(
            self.state,
            State::Lives,
            "nobody has signed it out: {self:?}"
        );
        self.state = State::Ended;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
