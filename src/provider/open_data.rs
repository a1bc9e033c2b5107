//! Open data as most platforms seal it.

use crate::identity::OpenData;

pub(super) struct SessionKeyData;

impl OpenData for SessionKeyData {}
