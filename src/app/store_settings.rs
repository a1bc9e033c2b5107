//! The store's own settings out of the configuration's.

use std::path::Path;

use anyhow::Result;

use crate::config::{Settings, StoreTlsFiles};
use crate::files;
use crate::secret::Secret;
use crate::store::{RedisTls, StoreSettings};

pub(crate) fn store_settings(settings: &Settings) -> Result<StoreSettings> {
    Ok(StoreSettings {
        near_cache: settings.session.near_cache,
        tls: certificates(&settings.store_tls)?,
        ..settings.store.clone()
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
