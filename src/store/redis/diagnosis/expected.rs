//! What the configuration wants of a server that is examined.

use crate::store::settings::StoreSettings;

/// What a server is to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerRole {
    /// The only one.
    Single,
    /// The master that sentinels name.
    OfSentinels,
    /// A master of a cluster.
    OfCluster,
}

/// What the configuration wants of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) settings: &'a StoreSettings,
    /// The ACL user that the gateway logs in as.
    pub(super) user: &'a str,
    pub(super) role: ServerRole,
    /// Not the master itself, but one that may take its place: ACLs and settings are not
    /// replicated.
    pub(super) is_replica: bool,
}
