//! Open data as most platforms seal it: AES-128-CBC under the session_key, signed with SHA-1.

use crate::crypto::open_data::{self, Opened};
use crate::identity::OpenData;
use crate::secret::Secret;

pub(super) struct SessionKeyData;

impl OpenData for SessionKeyData {
    fn open(&self, session_key: &Secret<String>, iv: &str, encrypted_data: &str) -> Opened {
        open_data::open(session_key.expose(), iv, encrypted_data)
    }

    fn signature(&self, session_key: &Secret<String>, raw_data: &str) -> String {
        open_data::signature(raw_data, session_key.expose())
    }
}
