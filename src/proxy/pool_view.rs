//! The addresses of an upstream as a worker sees them, with its idle connections to each.

use std::rc::Rc;
use std::sync::Arc;

use crate::upstream::{EndpointSet, IdleSettings, ResolvedEndpoint};
use crate::upstream_client::pool::Pool;

pub struct PoolView {
    pub set: Arc<EndpointSet>,
    /// In the order of the set's addresses.
    pub pools: Vec<Rc<Pool>>,
}

impl PoolView {
    /// Idle connections to addresses that stay are kept.
    pub fn new(set: Arc<EndpointSet>, idle: IdleSettings, before: Option<&Self>) -> Self {
        let pools = set
            .targets
            .iter()
            .map(|target| {
                before
                    .and_then(|before| before.pool(target))
                    .unwrap_or_else(|| Rc::new(Pool::new(idle)))
            })
            .collect();
        Self { set, pools }
    }

    fn pool(&self, target: &ResolvedEndpoint) -> Option<Rc<Pool>> {
        let mut all = self.set.targets.iter().zip(&self.pools);
        all.find(|(own, _)| own.id == target.id && own.address == target.address)
            .map(|(_, pool)| pool.clone())
    }
}
