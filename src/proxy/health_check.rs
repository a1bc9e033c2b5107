//! Health checks of endpoints.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::web::BytesMut;
use futures_util::future::join_all;

use crate::clock::monotonic_now;
use crate::crypto::random;
use crate::proxy::shared_upstream::SharedUpstream;
use crate::upstream::health::Health;
use crate::upstream::{HealthSettings, ResolvedEndpoint};
use crate::upstream_client::connector::{ConnectError, no_answer};
use crate::upstream_client::exchange::{ExchangeFailure, Terms, exchange};
use crate::upstream_client::upload::{BodyFraming, Upload};

/// Checks every endpoint of an upstream again and again, all of them at once. Ends when it is
/// dropped.
pub async fn check_for_ever(shared: Arc<SharedUpstream>, settings: HealthSettings) {
    let mut known: HashMap<u64, Health> = HashMap::new();
    loop {
        let set = shared.state.targets();
        known.retain(|id, _| set.targets.iter().any(|target| target.id == *id));
        let found = join_all(
            set.targets
                .iter()
                .map(|target| check(&shared, target, &settings)),
        )
        .await;
        for (target, found) in set.targets.iter().zip(found) {
            let health = known
                .entry(target.id)
                .or_insert_with(|| Health::known(!target.is_unhealthy()));
            let found = match found {
                Ok(()) => Ok(()),
                Err(ConnectError::Endpoint(why)) => Err(why),
                // The check never reached the endpoint, so nothing is known.
                Err(ConnectError::Own(why)) => {
                    shared.starves(target, &why);
                    continue;
                }
            };
            if health.observe(found.is_ok(), &settings) {
                shared.checked(target, found.as_ref().copied().map_err(String::as_str));
            }
        }
        // A little sooner or later each time, so that several gateways do not ask in step.
        tokio::time::sleep(
            settings
                .interval
                .mul_f64(random::fraction().mul_add(0.2, 0.9)),
        )
        .await;
    }
}

/// One check, on a connection of its own: a kept one would not show that no others are accepted.
/// The error is for the log.
async fn check(
    shared: &SharedUpstream,
    target: &ResolvedEndpoint,
    settings: &HealthSettings,
) -> Result<(), ConnectError> {
    let limit = monotonic_now() + settings.timeout;
    let connection = shared.connector.connect(target, settings.timeout).await?;
    let endpoint = &shared.upstream().endpoints[target.endpoint];
    let host = shared.upstream().host.without_client(endpoint);
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {host}\r\nuser-agent: hufu-health-check\r\naccept: */*\r\nconnection: close\r\n\r\n",
        settings.path
    );
    let upload = Upload::new(
        BytesMut::from(head.as_bytes()),
        Payload::None,
        BodyFraming::None,
        0,
    );
    let passed = Cell::new(false);
    let terms = Terms {
        method: "GET",
        first_byte_timeout: settings.timeout,
        timeout: settings.timeout,
        limit: Some(limit),
        is_impatient: false,
        upgrade: None,
        passed: &passed,
    };
    match exchange(connection, upload, monotonic_now(), terms)
        .await
        .map_err(|failed| failed.failure)
    {
        Ok(answer)
            if settings
                .expected_status
                .contains(&answer.head.status.as_u16()) =>
        {
            Ok(())
        }
        Ok(answer) => Err(ConnectError::Endpoint(format!(
            "it answered {}",
            answer.head.status.as_u16()
        ))),
        Err(ExchangeFailure::Answer(why)) => Err(ConnectError::Endpoint(why.to_string())),
        Err(ExchangeFailure::Silence | ExchangeFailure::Client(_)) => {
            Err(no_answer(settings.timeout))
        }
    }
}
