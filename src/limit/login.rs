//! The limits of a login: of its client's address, of its app, and of its user once that is known.

use std::net::IpAddr;
use std::sync::Arc;

use crate::crypto::keyring::NamingKey;
use crate::limit::address::network;
use crate::limit::limiter::{LimitRefusal, Limiter, Policy};
use crate::limit::quota::Quota;
use crate::limit::store::{CellName, Limit};

/// The quotas of logins; `None`: off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoginQuotas {
    /// Of one address.
    pub per_ip: Option<Quota>,
    /// Of one user: logins and rotations.
    pub per_user: Option<Quota>,
    /// Of each app: exchanges of codes with its platform.
    pub per_app: Option<Quota>,
}

/// The limits of logins, for one worker.
#[derive(Clone)]
pub struct LoginLimits {
    limiter: Limiter,
    naming: Arc<NamingKey>,
    quotas: LoginQuotas,
}

/// What a login counts against before its user is known.
#[derive(Debug, Clone, Copy)]
pub struct LoginGate {
    address: Option<Limit>,
    app: Option<Limit>,
}

impl LoginLimits {
    /// The limits over a limiter.
    pub const fn new(limiter: Limiter, naming: Arc<NamingKey>, quotas: LoginQuotas) -> Self {
        Self {
            limiter,
            naming,
            quotas,
        }
    }

    /// The quota of one user, which is held where the session is made.
    pub const fn per_user(&self) -> Option<Quota> {
        self.quotas.per_user
    }

    /// The gate for a client's address (`None`: it stands for no client) and an app, by its id on
    /// the platform: that is what the platform limits.
    pub fn gate(&self, address: Option<IpAddr>, appid: &str) -> LoginGate {
        let limit = |quota, purpose, part: &[u8]| Limit {
            cell: CellName {
                tag: None,
                name: self.naming.name(purpose, &[part]),
            },
            quota,
        };
        LoginGate {
            address: address.zip(self.quotas.per_ip).map(|(address, quota)| {
                limit(
                    quota,
                    "limit per_ip",
                    network(address).to_string().as_bytes(),
                )
            }),
            app: self
                .quotas
                .per_app
                .map(|quota| limit(quota, "limit per_app", appid.as_bytes())),
        }
    }

    /// Refuses what has surely no chance, without asking the store.
    pub fn refuse_early(&self, gate: &LoginGate) -> Result<(), LimitRefusal> {
        let parts = [(Policy::PerIp, &gate.address), (Policy::PerApp, &gate.app)];
        parts
            .into_iter()
            .filter_map(|(policy, limit)| Some((policy, limit.as_ref()?)))
            .try_for_each(|(policy, limit)| self.limiter.refuse_early(policy, limit))
    }

    /// Takes one login from the address's quota.
    pub async fn admit_address(&self, gate: &LoginGate) -> Result<(), LimitRefusal> {
        self.take(Policy::PerIp, gate.address).await
    }

    /// Takes one exchange from the app's quota.
    pub async fn admit_exchange(&self, gate: &LoginGate) -> Result<(), LimitRefusal> {
        self.take(Policy::PerApp, gate.app).await
    }

    /// Takes one from a user's quota, whose cell the session service names.
    pub async fn admit_user(&self, limit: Limit) -> Result<(), LimitRefusal> {
        self.limiter.admit(Policy::PerUser, limit).await
    }

    /// Counts a refusal by the user's quota, which the store checks when it makes the session.
    pub fn count_refusal(&self, refusal: &LimitRefusal) {
        self.limiter.count_refusal(refusal);
    }

    async fn take(&self, policy: Policy, limit: Option<Limit>) -> Result<(), LimitRefusal> {
        match limit {
            Some(limit) => self.limiter.take(policy, limit).await,
            None => Ok(()),
        }
    }
}
