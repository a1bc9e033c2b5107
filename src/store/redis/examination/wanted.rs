//! What the configuration wants of a server that is examined.

use crate::store::settings::StoreSettings;

/// What a server is to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The only one.
    Alone,
    /// The master that sentinels name.
    Watched,
    /// A master of a cluster.
    OfCluster,
}

/// What the configuration wants of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) settings: &'a StoreSettings,
    /// The ACL user that the gateway logs in as.
    pub(super) user: &'a str,
    pub(super) part: Part,
    /// Not the master itself, but one that may take its place: ACLs and settings are not
    /// replicated.
    pub(super) is_replica: bool,
}
