//! Sessions: what is known of a signed-in user, the token that names it, how long it lives, and the
//! store that keeps it (a trait; the implementations are in `store`).

pub mod carrier;
pub mod claims;
pub mod codec;
pub mod devices;
pub mod keys;
pub mod lifetime;
pub mod model;
pub mod rotation;
pub mod service;
pub mod store;
pub mod token;
pub mod user;
pub mod user_service;
pub mod user_state;
pub mod users;

pub use carrier::{CarrierError, TokenCarrier};
pub use claims::{ClaimValue, Claims, ClaimsError, ClaimsPatch, StoredValue};
pub use keys::{SessionKeys, TakenKeys};
pub use lifetime::Lifetime;
pub use model::{LoadedSession, RecordStamp, Session, SessionKey, SharedSession};
pub use service::{IssuedSession, LiveSession, SessionRules, SessionService, SignedIn, shortened};
pub use store::{
    Lookup, NewSession, Rotated, Rotation, SessionCount, SessionStore, StoreError, Written,
};
pub use token::{SessionId, SessionToken, TokenError};
pub use user::{ProviderKind, UserKey};
pub use user_service::UserService;
pub use user_state::{Block, KeptPatch, PatchLife, UnreadableState, UserState};
pub use users::{Blocked, ClaimsChange, Users};
