//! Sends a request to the fast path, or as actix-web's request to the application.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::{Method, Request, Uri, Version};
use actix_service::Service;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use futures_util::future::LocalBoxFuture;

use crate::edge::h1::connection::Handler;
use crate::http::{Answer, ErrorCode, GatewayError, RequestHead};

/// Answers some requests without the application.
pub trait FastPath {
    /// The body of its answers.
    type Body: MessageBody + Unpin + 'static;

    /// The answer, or the payload back where the application has the say.
    fn answer(
        &self,
        head: &Rc<RequestHead>,
        payload: Payload,
    ) -> Result<LocalBoxFuture<'static, Answer<Self::Body>>, Payload>;
}

/// Sends every request to the application.
#[derive(Debug, Clone, Copy)]
pub struct NoFastPath;

impl FastPath for NoFastPath {
    type Body = actix_web::body::BoxBody;

    fn answer(
        &self,
        _: &Rc<RequestHead>,
        payload: Payload,
    ) -> Result<LocalBoxFuture<'static, Answer<Self::Body>>, Payload> {
        Err(payload)
    }
}

/// The fast path and the application.
#[derive(Debug)]
pub struct Dispatcher<D, A> {
    /// Gets each request first.
    pub fast_path: D,
    pub application: A,
}

impl<D, A, B> Handler for Dispatcher<D, Rc<A>>
where
    D: FastPath,
    A: Service<Request, Response = ServiceResponse<B>> + 'static,
    A::Error: Into<actix_web::Error>,
    B: MessageBody + Unpin + 'static,
{
    type Body = EitherBody<D::Body, EitherBody<B>>;
    type Answering = Answering<D::Body, EitherBody<B>>;

    fn answer(&self, head: Rc<RequestHead>, payload: Payload) -> Self::Answering {
        match self.fast_path.answer(&head, payload) {
            Ok(answer) => Answering::Fast(answer),
            Err(payload) => {
                let application = self.application.clone();
                Answering::Application(Box::pin(async move {
                    call_application(&*application, &head, payload).await
                }))
            }
        }
    }
}

/// An answer on its way from the fast path or from the application.
pub enum Answering<D, A> {
    /// Past the application.
    Fast(LocalBoxFuture<'static, Answer<D>>),
    /// Through it.
    Application(LocalBoxFuture<'static, Answer<A>>),
}

impl<D, A> Future for Answering<D, A> {
    type Output = Answer<EitherBody<D, A>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Fast(answer) => answer
                .as_mut()
                .poll(cx)
                .map(|answer| answer.map_body(EitherBody::left)),
            Self::Application(answer) => answer
                .as_mut()
                .poll(cx)
                .map(|answer| answer.map_body(EitherBody::right)),
        }
    }
}

async fn call_application<A, B>(
    application: &A,
    head: &Rc<RequestHead>,
    payload: Payload,
) -> Answer<EitherBody<B>>
where
    A: Service<Request, Response = ServiceResponse<B>>,
    A::Error: Into<actix_web::Error>,
    B: MessageBody,
{
    let Some(request) = application_request(head, payload) else {
        let error = GatewayError::new(ErrorCode::RequestInvalid, "The request cannot be read.");
        return Answer::from(
            error
                .response("")
                .map_body(|_, body| EitherBody::right(body)),
        );
    };
    let result = match poll_fn(|cx| application.poll_ready(cx)).await {
        Ok(()) => application.call(request).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(response) => Answer::from(response.into_parts().1).map_body(EitherBody::left),
        Err(error) => {
            let error = error.into();
            let response = error
                .as_error::<GatewayError>()
                .map_or_else(|| error.error_response(), |error| error.response(""));
            Answer::from(response.map_body(|_, body| EitherBody::right(body)))
        }
    }
}

/// The request as the application takes it; `None`: its server knows no such method or name.
fn application_request(head: &Rc<RequestHead>, payload: Payload) -> Option<Request> {
    let mut request = Request::with_payload(payload);
    let out = request.head_mut();
    out.method = Method::from_bytes(head.method().as_bytes()).ok()?;
    let target = head.query().map_or_else(
        || head.path().to_owned(),
        |query| format!("{}?{query}", head.path()),
    );
    out.uri = Uri::try_from(target).ok()?;
    out.version = if head.is_http_11 {
        Version::HTTP_11
    } else {
        Version::HTTP_10
    };
    for (name, value) in head.headers().iter() {
        out.headers.append(
            HeaderName::from_bytes(name).ok()?,
            HeaderValue::from_bytes(value.bytes()).ok()?,
        );
    }
    actix_web::HttpMessage::extensions_mut(&request).insert(head.clone());
    Some(request)
}
