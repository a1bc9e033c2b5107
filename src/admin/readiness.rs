//! `GET /readyz`: whether a balancer should send requests here, and the state of each part.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::http::Drain;

/// How a part does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PartState {
    /// It answers.
    Up,
    /// It does not.
    Down {
        /// What an operator should know.
        reason: String,
    },
}

/// Something that the gateway cannot do its work without.
#[async_trait]
pub trait ReadinessPart: Send + Sync {
    /// Its name in the answer.
    fn name(&self) -> &'static str;

    /// Looks, within a second.
    async fn check(&self) -> PartState;

    /// Which of several ways it works in, where it has several and knows it.
    fn mode(&self) -> Option<&'static str> {
        None
    }
}

/// The parts that are looked at.
pub type Parts = Vec<Arc<dyn ReadinessPart>>;

/// What the answer is made from.
pub struct Readiness {
    /// Whether the process is on its way out.
    pub drain: Drain,
    /// The parts.
    pub parts: Parts,
}

/// What may stand in the query.
#[derive(Deserialize)]
pub(super) struct ReadyQuery {
    /// `1`: a part that is down makes the answer 503.
    strict: Option<String>,
}

#[derive(Serialize)]
struct ReadyAnswer {
    status: &'static str,
    degraded: bool,
    parts: std::collections::BTreeMap<&'static str, PartAnswer>,
}

#[derive(Serialize)]
struct PartAnswer {
    #[serde(flatten)]
    state: PartState,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
}

/// 200 while the process takes requests, also with a part down: a Redis failure must not take every
/// replica out of the balancer. 503 while draining, and with `?strict=1` when degraded.
pub(super) async fn readyz(
    readiness: web::Data<Readiness>,
    query: web::Query<ReadyQuery>,
) -> HttpResponse {
    let mut parts = std::collections::BTreeMap::new();
    for part in &readiness.parts {
        parts.insert(
            part.name(),
            PartAnswer {
                state: part.check().await,
                mode: part.mode(),
            },
        );
    }
    let draining = readiness.drain.is_on();
    let degraded = parts.values().any(|part| part.state != PartState::Up);
    let strict = query.strict.as_deref() == Some("1");
    let answer = ReadyAnswer {
        status: if draining { "draining" } else { "ready" },
        degraded,
        parts,
    };
    if draining || (strict && degraded) {
        HttpResponse::ServiceUnavailable().json(answer)
    } else {
        HttpResponse::Ok().json(answer)
    }
}
