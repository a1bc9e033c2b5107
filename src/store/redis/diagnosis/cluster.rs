//! A cluster: who has which slots, and every master with its replicas.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use redis::{Value, cmd};

use super::conversation::{ask, lost};
use super::expected::Expected;
use super::node;
use crate::diagnostic::{DiagnosedSubject, Diagnostic};
use crate::redis_client::slots::{SLOTS, SlotMap};
use crate::redis_client::{NodeAddress, Server, Servers, opening};

/// What one node says about the cluster.
struct ClusterView {
    map: SlotMap,
    /// Of `CLUSTER INFO`; `None`: the user may not ask.
    state: Option<String>,
}

pub(super) async fn diagnose(
    seeds: &[NodeAddress],
    data: &Servers,
    expected: &Expected<'_>,
) -> Vec<DiagnosedSubject> {
    let asked = seeds.iter().map(|seed| async {
        let server = data.at(seed);
        let view = view(&server).await;
        (server, view)
    });
    let (mut views, mut diagnosed) = (Vec::new(), Vec::new());
    for (server, view) in join_all(asked).await {
        match view {
            Ok(view) => views.push(view),
            Err(diagnostic) => diagnosed.push(DiagnosedSubject {
                subject: format!("redis {}", server.address),
                diagnostics: vec![diagnostic],
            }),
        }
    }
    if views.is_empty() {
        return diagnosed;
    }
    // As long as one node answers, it tells about those that are gone.
    for silent in diagnosed
        .iter_mut()
        .flat_map(|silent| &mut silent.diagnostics)
    {
        *silent = Diagnostic::warn(
            silent.check,
            silent.seen.clone(),
            "another node answers for it; take it out of store.url if it is gone for good",
        );
    }
    let masters: BTreeSet<NodeAddress> = views
        .iter()
        .flat_map(|view| view.map.masters().iter().cloned())
        .collect();
    diagnosed.insert(
        0,
        DiagnosedSubject {
            subject: "redis cluster".to_owned(),
            diagnostics: coverage(&views, masters.len()),
        },
    );
    diagnosed.retain(|silent| {
        !masters
            .iter()
            .any(|master| silent.subject == format!("redis {master}"))
    });
    diagnosed.extend(node::examine_all(&masters, data, expected).await);
    diagnosed
}

async fn view(server: &Server) -> Result<ClusterView, Diagnostic> {
    let gone = |error| lost(server, &error);
    let mut connection = opening::open(server).await.map_err(gone)?;
    let slots = ask::<Value>(&mut connection, cmd("CLUSTER").arg("SLOTS"))
        .await
        .map_err(gone)?;
    let slots = slots.map_err(|refusal| {
        let advice = "write redis:// in store.url for a single server; in a cluster the ACL user needs `+cluster|slots`";
        Diagnostic::fail("slots", format!("CLUSTER SLOTS: {} {}", refusal.code, refusal.words), advice)
    })?;
    let map = SlotMap::read(slots, server.address.host());
    let map = map.ok_or_else(|| {
        Diagnostic::fail(
            "slots",
            "it belongs to no cluster, or to one without slots",
            "is store.url right?",
        )
    })?;
    let info = ask::<String>(&mut connection, cmd("CLUSTER").arg("INFO"))
        .await
        .map_err(gone)?;
    let state = info.ok().and_then(|text| {
        text.lines().find_map(|line| {
            line.strip_prefix("cluster_state:")
                .map(|state| state.trim().to_owned())
        })
    });
    Ok(ClusterView { map, state })
}

fn coverage(views: &[ClusterView], masters: usize) -> Vec<Diagnostic> {
    let uncovered = views
        .iter()
        .map(|view| view.map.uncovered())
        .max()
        .unwrap_or_default();
    let covered = usize::from(SLOTS) - uncovered;
    let slots = if uncovered > 0 {
        let advice = "their users get 503; with cluster-require-full-coverage all do: bring their master back, or `CLUSTER ADDSLOTS` them somewhere";
        Diagnostic::fail(
            "slots",
            format!("{covered} of {SLOTS} covered: {uncovered} have no master"),
            advice,
        )
    } else {
        Diagnostic::ok(
            "slots",
            format!("all {SLOTS} covered, by {masters} masters"),
        )
    };
    let mut diagnostics = vec![slots];
    if views
        .iter()
        .any(|view| view.state.as_deref().is_some_and(|state| state != "ok"))
    {
        let advice = "`CLUSTER NODES` there says which node is missing; until it is back the cluster refuses requests";
        diagnostics.push(Diagnostic::fail(
            "state",
            "a node says cluster_state:fail",
            advice,
        ));
    }
    if views.iter().any(|view| !view.map.agrees(&views[0].map)) {
        let advice = "slots are just moving, or the nodes cannot see each other; if it stays so, look at `CLUSTER NODES` on each";
        diagnostics.push(Diagnostic::warn(
            "agreement",
            "the nodes do not agree on who has which slots",
            advice,
        ));
    }
    diagnostics
}
