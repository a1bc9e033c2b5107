//! Bodies that are JSON objects.

use std::fmt;
use std::marker::PhantomData;

use actix_web::error::JsonPayloadError;
use actix_web::web;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

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
