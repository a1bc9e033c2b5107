//! The endpoints as one scope of actix-web's application, and what each of their requests passes: its
//! log, CORS, the shape of errors.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage, HttpResponse, web};

use crate::endpoints::component_event::ComponentEvents;
use crate::endpoints::context::EndpointContext;
use crate::endpoints::jwks::PublishedKeys;
use crate::endpoints::push;
use crate::endpoints::session::VisibleClaims;
use crate::endpoints::table::ENDPOINTS;
use crate::http::answer::{self, app_data};
use crate::http::authenticate::Authenticator;
use crate::http::endpoint::register;
use crate::http::request_log::LoggedBody;
use crate::http::{
    EndpointCounters, ErrorCode, FailureShape, GatewayError, Inbound, RequestHead, RequestLog,
};
use crate::identity::{LoginFlow, OpenDataFlow};
use crate::limit::LoginLimits;
use crate::push::PushReceiver;

/// What the endpoints answer with under one configuration.
pub struct Endpoints {
    pub dispatcher: EndpointDispatcher,
    pub login: LoginFlow,
    pub open_data: OpenDataFlow,
    pub pushes: PushReceiver,
    pub components: ComponentEvents,
    pub limits: LoginLimits,
    pub auth: Authenticator,
    pub visible_claims: VisibleClaims,
    pub published_keys: PublishedKeys,
}

/// What each request to an endpoint passes through.
pub struct EndpointDispatcher {
    pub context: EndpointContext,
    pub counters: Arc<EndpointCounters>,
    /// What their errors look like.
    pub failure: Arc<FailureShape>,
    pub prefix: String,
}

impl Endpoints {
    /// Registers them under the prefix.
    pub fn configure(self, cfg: &mut web::ServiceConfig) {
        let scope = web::scope(&self.dispatcher.prefix)
            .configure(|cfg| register(cfg, &ENDPOINTS))
            .default_service(web::to(no_endpoint))
            .wrap(from_fn(logged));
        // Each handler takes what it uses.
        let context = &self.dispatcher.context;
        cfg.app_data(web::Data::from(context.cors.clone()))
            .app_data(web::Data::new(context.drain.clone()))
            .app_data(web::Data::new(self.login))
            .app_data(web::Data::new(self.open_data))
            .app_data(web::Data::new(self.pushes))
            .app_data(web::Data::new(self.components))
            .app_data(web::Data::new(self.limits))
            .app_data(web::Data::new(self.auth))
            .app_data(web::Data::new(self.visible_claims))
            .app_data(web::Data::new(self.published_keys))
            .app_data(web::Data::new(self.dispatcher))
            .service(scope);
    }
}

async fn no_endpoint() -> Result<HttpResponse, GatewayError> {
    Err(GatewayError::no_endpoint())
}

/// The log of every request: opened before the handler, closed with the last byte of its answer.
async fn logged(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<LoggedBody<BoxBody>>, Error> {
    let dispatcher = app_data::<EndpointDispatcher>(&req)?;
    let context = &dispatcher.context;
    let head = RequestHead::of(req.request());
    let inbound = Inbound::of(&head, &context.trusted, context.reports.traces.as_deref());
    let mut request_log = RequestLog::new(
        context.reports.clone(),
        inbound.clone(),
        req.method().as_str(),
        req.path(),
        dispatcher.counters.of(dispatcher.below(req.path())).clone(),
    );
    request_log.connection = Some(head.connection.clone());
    req.extensions_mut().insert(inbound);
    // The request must not be cloned before it is routed: actix-web writes what it matched into it.
    let response = match context.cors.preflight(&head) {
        Some(response) => req.into_response(response),
        None => tokio::select! {
            biased;
            response = next.call(req) => response?.map_into_boxed_body(),
            () = context.drain.cutting() => return Err(cut(&mut request_log).into()),
        },
    };
    Ok(dispatcher
        .finished(response, &head, &mut request_log)
        .map_body(|_, body| LoggedBody::new(body, request_log)))
}

/// The process ends, and the request has had its time.
fn cut(request_log: &mut RequestLog) -> GatewayError {
    let error = GatewayError::new(
        ErrorCode::ShuttingDown,
        "The gateway is shutting down, and the request was not over in time.",
    )
    .closing();
    request_log.error = Some(error.code);
    request_log.set_status(StatusCode::SERVICE_UNAVAILABLE);
    error
}

impl EndpointDispatcher {
    fn below<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(self.prefix.as_str())
            .unwrap_or_default()
            .trim_start_matches('/')
    }

    fn finished(
        &self,
        response: ServiceResponse<BoxBody>,
        head: &RequestHead,
        request_log: &mut RequestLog,
    ) -> ServiceResponse<BoxBody> {
        // A platform reads nothing but the status: a template's 200 would acknowledge a message.
        let shape = if push::is_below(self.below(head.path())) {
            &FailureShape::Problem
        } else {
            &*self.failure
        };
        let mut response = answer::finished(response, request_log, shape);
        if self.context.drain.is_on() {
            response
                .response_mut()
                .head_mut()
                .set_connection_type(ConnectionType::Close);
        }
        self.context
            .cors
            .decorate_own(head.headers(), response.response_mut());
        response
    }
}
