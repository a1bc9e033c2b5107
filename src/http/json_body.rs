//! Bodies that are JSON objects.

use std::fmt;
use std::future::ready;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::JsonPayloadError;
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest, web};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

use crate::http::error::{ErrorCode, GatewayError};
use crate::http::head::RequestHead;

/// Longest JSON body of an endpoint that says nothing else; a login needs a few hundred bytes.
pub const JSON_LIMIT: usize = 16 * 1024;

/// A body that is an object. Left to itself serde also takes an array for a struct, its elements
/// for the fields in their order, so that a new field would change what such a body means.
#[derive(Debug)]
pub struct Object<T>(pub T);

/// A body that some endpoint takes.
pub trait Example {
    /// What one looks like, for who sent something else.
    const EXAMPLE: &'static str;
    /// The media types that [`TypedObject`] takes it in.
    const TYPES: &'static [&'static str] = &["application/json"];
}

/// An [`Object`] that comes in one of its media types alone. Other JSON types, such as a JSON patch,
/// mean something else by the same members.
#[derive(Debug)]
pub struct TypedObject<T>(pub T);

impl<T: DeserializeOwned + Example + 'static> FromRequest for TypedObject<T> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let sent = req.content_type();
        if !T::TYPES
            .iter()
            .any(|known| sent.eq_ignore_ascii_case(known))
        {
            let types = T::TYPES.join("\" or \"");
            let error = GatewayError::new(
                ErrorCode::UnsupportedMediaType,
                format!("Send the body with \"Content-Type: {types}\"."),
            );
            return Box::pin(ready(Err(error.into())));
        }
        let body = web::Json::<Object<T>>::from_request(req, payload);
        Box::pin(async move {
            let web::Json(Object(body)) = body.await?;
            Ok(Self(body))
        })
    }
}

/// How handlers read such a body of at most so many bytes, and what is answered where they cannot.
pub fn json_config(limit: usize) -> web::JsonConfig {
    web::JsonConfig::default()
        .limit(limit)
        .error_handler(move |error, req| {
            RequestHead::of(req)
                .connection
                .blamed(json_error(&error, limit))
                .into()
        })
}

fn json_error(error: &JsonPayloadError, limit: usize) -> GatewayError {
    match error {
        JsonPayloadError::ContentType => GatewayError::new(
            ErrorCode::UnsupportedMediaType,
            "Send a JSON body with \"Content-Type: application/json\".",
        ),
        JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
            GatewayError::new(
                ErrorCode::BodyTooLarge,
                format!("The body of this endpoint has at most {limit} bytes."),
            )
            .closing()
        }
        JsonPayloadError::Deserialize(error) => GatewayError::new(
            ErrorCode::RequestInvalid,
            format!("The body is invalid: {error}."),
        ),
        _ => GatewayError::new(ErrorCode::BodyBroken, "The body broke off."),
    }
}

/// Says what is missing where something else stands.
struct OnlyObjects<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Example> Visitor<'de> for OnlyObjects<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object such as {}", T::EXAMPLE)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

impl<'de, T: Deserialize<'de> + Example> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OnlyObjects(PhantomData))
    }
}
