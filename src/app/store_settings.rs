//! The store's own settings out of the configuration's.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::config::{self, StoreTlsFiles};
use crate::files;
use crate::secret::Secret;
use crate::store::near_cache::NearCacheSettings;
use crate::store::{KeyPrefix, RedisTls, StoreSettings};

pub(crate) fn store_settings(
    from: &config::StoreSettings,
    near_cache: Option<NearCacheSettings>,
) -> Result<StoreSettings> {
    Ok(StoreSettings {
        url: from.url.clone(),
        sentinel_login: from.sentinel_login.clone(),
        wait_replicas: from.wait_replicas,
        near_cache,
        key_prefix: KeyPrefix::new(&from.key_prefix).context("store.key_prefix")?,
        connect_timeout: from.connect_timeout,
        timeout: from.timeout,
        tls: certificates(&from.tls)?,
    })
}

fn certificates(tls: &StoreTlsFiles) -> Result<RedisTls> {
    let read = |path: &Path| {
        files::read(path)
            .map(|content| content.to_vec())
            .map_err(|reason| anyhow::anyhow!("store.tls: {} {reason}", path.display()))
    };
    let ca = tls.ca.as_deref().map(read).transpose()?;
    let (cert, key) = tls
        .client
        .as_ref()
        .map(|(cert, key)| Ok::<_, anyhow::Error>((read(cert)?, Secret::new(read(key)?))))
        .transpose()?
        .unzip();
    Ok(RedisTls { ca, cert, key })
}
