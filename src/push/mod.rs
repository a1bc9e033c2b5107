//! Messages that a platform pushes: checked, handed to a backend once, and kept until it has them.
//!
//! - [`settings`]: what the configuration says of an app's pushes
//! - `fields`: the few fields of a body that are read, in XML (`fields::xml`) or JSON
//! - [`envelope`]: from what was posted to a [`PushedMessage`], and an answer's way back
//! - [`messages`]: the seam to where messages are kept; [`backend`]: the seam to who gets them
//! - [`receiver`]: what becomes of a message, up to the answer that the platform gets
//! - [`redelivery`]: what was kept goes to the backend later; [`times`]: how long and when

pub mod backend;
pub mod envelope;
mod fields;
pub mod messages;
pub mod receiver;
pub mod redelivery;
pub mod settings;
pub mod times;

pub use backend::{BackendError, Delivery, PushBackend};
pub use envelope::{Envelope, PushQuery, PushRefusal, PushedMessage, SUCCESS};
pub use messages::{
    DueMessages, KeptMessage, MessageContent, MessageFormat, MessageId, MessageKey, PushClaim,
    PushMessages, PushOwner,
};
pub use receiver::{PushAnswer, PushReceiver, Undelivered};
pub use redelivery::Redelivery;
pub use settings::{PushSettings, PushTarget};
