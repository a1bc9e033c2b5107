//! Which servers are examined.

use super::expected::{Expected, ServerRole};
use super::{cluster, node, sentinel};
use crate::diagnostic::{DiagnosedSubject, Diagnostic};
use crate::redis_client::Deployment;
use crate::store::settings::StoreSettings;
use crate::store::url::StoreUrl;

/// Examines the store: connects with its login, asks, and writes nothing. Ends within seconds,
/// whatever the servers do.
///
/// For `rediss` the process needs its rustls provider installed before.
pub async fn diagnose(settings: &StoreSettings) -> Vec<DiagnosedSubject> {
    let StoreUrl::Redis(url) = &settings.url else {
        let seen =
            "sessions are in this process's memory: lost when it ends, unknown to other processes";
        return vec![DiagnosedSubject {
            subject: "store".to_owned(),
            diagnostics: vec![Diagnostic::note(
                "memory",
                seen,
                "for real use, set store.url to a Redis",
            )],
        }];
    };
    let deployment = match settings.deployment(url) {
        Ok(deployment) => deployment,
        Err(error) => {
            let diagnostic =
                Diagnostic::fail("settings", error.reason, "fix store.url or store.tls");
            return vec![DiagnosedSubject {
                subject: "store".to_owned(),
                diagnostics: vec![diagnostic],
            }];
        }
    };
    let expected = |role| Expected {
        settings,
        user: url.login.username.as_deref().unwrap_or("default"),
        role,
        is_replica: false,
    };
    match deployment {
        Deployment::One(server) => vec![
            node::diagnose(&server, &expected(ServerRole::Single))
                .await
                .0,
        ],
        Deployment::Sentinel {
            master,
            sentinels,
            data,
        } => {
            sentinel::diagnose(
                &master,
                &sentinels,
                &data,
                &expected(ServerRole::OfSentinels),
            )
            .await
        }
        Deployment::Cluster { seeds, data } => {
            cluster::diagnose(&seeds, &data, &expected(ServerRole::OfCluster)).await
        }
    }
}
