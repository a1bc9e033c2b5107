//! Whose a request is, and by which way it has come.

use std::sync::Arc;

use super::client_apps::{ClientApp, NoApp};
use super::clients::{Client, Clients};
use super::gateway_token::{self, UncheckedToken};
use super::settings::CallableApp;
use crate::clock::UnixMillis;
use crate::crypto::encoding;
use crate::http::head::Value;
use crate::http::token::bearer_token;
use crate::http::{ErrorCode, GatewayError, Headers, RequestHead};

const APP_HEADER: &str = "x-hufu-app";

/// How a client calls, which decides what errors look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As an SDK, with a token in the query.
    Sdk,
    /// With its secret in `Authorization`.
    Bearer,
    /// With the gateway as its HTTP proxy.
    Proxy,
}

/// Who calls, and for which app.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) client: Arc<Client>,
    pub(super) app: ClientApp,
}

/// What a request shows of itself in its head.
pub(super) struct Credentials<'a> {
    bearer: Option<&'a str>,
    proxy: Option<ProxyLogin>,
    app: Option<&'a str>,
    host: &'a str,
    /// The scheme and the host of the target, where the gateway is used as a proxy.
    origin: Option<&'a str>,
}

struct ProxyLogin {
    client: String,
    secret: String,
}

impl<'a> Credentials<'a> {
    /// Reads the head; each credential at most once.
    pub(super) fn of(head: &'a RequestHead) -> Result<Self, GatewayError> {
        let headers = head.headers();
        let bearer = match once(headers, "authorization")? {
            Some(line) => Some(bearer_token(line).ok_or_else(not_bearer)?),
            None => None,
        };
        let proxy = match once(headers, "proxy-authorization")? {
            Some(line) => Some(proxy_login(line).ok_or_else(not_basic)?),
            None => None,
        };
        if bearer.is_some() && proxy.is_some() {
            return Err(two_credentials());
        }
        Ok(Self {
            bearer,
            proxy,
            app: once(headers, APP_HEADER)?,
            host: once(headers, "host")?.unwrap_or_default(),
            origin: head.origin(),
        })
    }

    /// Whose the request is that has no token in its query.
    pub(super) fn caller(&self, clients: &Clients) -> Result<Caller, GatewayError> {
        if let Some(login) = &self.proxy {
            return self.caller_of(login.client(clients)?);
        }
        match self.bearer {
            Some(secret) => {
                let (client, _) = clients.with_secret(secret).ok_or_else(wrong_secret)?;
                self.caller_of(client)
            }
            None if clients.is_platform(self.host) => Err(GatewayError::new(
                ErrorCode::ProxyLoginRequired,
                "Give the proxy's URL a login: http://CLIENT:SECRET@HOST:PORT.",
            )),
            None => Err(GatewayError::new(
                ErrorCode::ClientSecretInvalid,
                "Send the secret of a client of platform_api as \"Authorization: Bearer …\", or a token of the gateway's as access_token.",
            )),
        }
    }

    /// Whose the request is that has this token in its query.
    pub(super) fn caller_of_token(
        &self,
        token: &str,
        clients: &Clients,
        now: UnixMillis,
    ) -> Result<Caller, GatewayError> {
        self.has_none()?;
        if !token.starts_with(gateway_token::PREFIX) {
            // As "expired" it would have an SDK fetch the same again, without end.
            return Err(GatewayError::new(
                ErrorCode::ApiNotAllowed,
                "this access_token is not one of the gateway's; have the SDK fetch its token from the gateway",
            ));
        }
        let dead = || {
            GatewayError::new(
                ErrorCode::GatewayTokenExpired,
                "fetch another token from the gateway",
            )
        };
        let token = UncheckedToken::parse(token).ok_or_else(dead)?;
        let client = clients.named(&token.client).ok_or_else(dead)?;
        if !client.takes(&token, now) {
            return Err(dead());
        }
        let app = client.apps.named(&token.app).map_err(no_app)?;
        let names = [
            app.app.name.to_string(),
            CallableApp::of(&app.app).to_string(),
        ];
        if self
            .app
            .is_some_and(|named| !names.iter().any(|name| name == named))
        {
            return Err(GatewayError::new(
                ErrorCode::TokenAmbiguous,
                "X-Hufu-App and the token name two apps.",
            ));
        }
        self.leads_to(&app)?;
        Ok(Caller {
            client: client.clone(),
            app,
        })
    }

    /// Whether there is no credential in the head beside one elsewhere.
    pub(super) fn has_none(&self) -> Result<(), GatewayError> {
        if self.bearer.is_some() || self.proxy.is_some() {
            return Err(two_credentials());
        }
        Ok(())
    }

    /// Whether the target is the platform's, where the gateway is used as a proxy, and by http: in
    /// https there would be nothing to add the token to.
    pub(super) fn leads_to(&self, app: &ClientApp) -> Result<(), GatewayError> {
        if self.is_proxied() && !(self.is_http() && app.calls.goes_to(self.host)) {
            return Err(leads_elsewhere());
        }
        Ok(())
    }

    /// Whether an absolute target is some platform's. It is asked before whose the request is: what
    /// leads elsewhere is no call, whatever its credential.
    pub(super) fn lead_to_a_platform(&self, clients: &Clients) -> Result<(), GatewayError> {
        if self.origin.is_some() && !(self.is_http() && clients.is_platform(self.host)) {
            return Err(leads_elsewhere());
        }
        Ok(())
    }

    fn is_proxied(&self) -> bool {
        self.origin.is_some() || self.proxy.is_some()
    }

    fn is_http(&self) -> bool {
        let scheme = self.origin.and_then(|origin| origin.split_once("://"));
        scheme.is_none_or(|(scheme, _)| scheme.eq_ignore_ascii_case("http"))
    }

    pub(super) fn way(&self, has_token: bool) -> Way {
        match (has_token, &self.proxy) {
            (true, _) => Way::Sdk,
            (false, Some(_)) => Way::Proxy,
            (false, None) => Way::Bearer,
        }
    }

    fn caller_of(&self, client: &Arc<Client>) -> Result<Caller, GatewayError> {
        let app = match self.app {
            Some(name) => client.apps.named(name),
            None => client.apps.only(),
        };
        let app = app.map_err(no_app)?;
        self.leads_to(&app)?;
        Ok(Caller {
            client: client.clone(),
            app,
        })
    }
}

impl ProxyLogin {
    fn client<'c>(&self, clients: &'c Clients) -> Result<&'c Arc<Client>, GatewayError> {
        let client = clients.named(&self.client);
        client
            .filter(|client| client.has_secret(&self.secret))
            .ok_or_else(wrong_secret)
    }
}

/// The value of a header that may occur once.
fn once<'a>(headers: Headers<'a>, name: &str) -> Result<Option<&'a str>, GatewayError> {
    let mut values = headers.get_all(name);
    let first = values.next();
    match (first, values.next()) {
        (_, Some(_)) => Err(two_credentials()),
        (None, None) => Ok(None),
        (Some(value), None) => Value::text(value).map(Some).ok_or_else(|| {
            GatewayError::new(ErrorCode::RequestInvalid, "A header is not plain text.")
        }),
    }
}

fn proxy_login(line: &str) -> Option<ProxyLogin> {
    let (scheme, rest) = line.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(encoding::from_base64(rest.trim())?).ok()?;
    let (client, secret) = text.split_once(':')?;
    Some(ProxyLogin {
        client: client.to_owned(),
        secret: secret.to_owned(),
    })
}

pub(super) fn wrong_secret() -> GatewayError {
    GatewayError::new(
        ErrorCode::ClientSecretInvalid,
        "no client of platform_api has this secret",
    )
}

fn no_app(why: NoApp) -> GatewayError {
    match why {
        NoApp::NotAllowed => GatewayError::new(
            ErrorCode::ApiNotAllowed,
            "this client may not call for this app; see platform_api.clients.NAME.apps",
        ),
        NoApp::Several => GatewayError::new(
            ErrorCode::AppRequired,
            "This client has several apps; name one in the header X-Hufu-App.",
        ),
        NoApp::NoAuthorizer => GatewayError::new(
            ErrorCode::AuthorizerRequired,
            "This app acts for the apps of others; name one as \"X-Hufu-App: NAME/APPID\".",
        ),
    }
}

fn leads_elsewhere() -> GatewayError {
    GatewayError::new(
        ErrorCode::ApiNotAllowed,
        "as a proxy the gateway leads to the platform's API alone, by http",
    )
}

pub(super) fn two_credentials() -> GatewayError {
    GatewayError::new(
        ErrorCode::TokenAmbiguous,
        "The request has more than one credential; send one.",
    )
}

fn not_bearer() -> GatewayError {
    GatewayError::new(
        ErrorCode::ClientSecretInvalid,
        "Send the secret as \"Authorization: Bearer …\".",
    )
}

fn not_basic() -> GatewayError {
    GatewayError::new(
        ErrorCode::ProxyLoginRequired,
        "Send the proxy's login as \"Proxy-Authorization: Basic …\".",
    )
}
