//! The seam between pushed messages and where they are kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::UnixMillis;
use crate::session::StoreError;

/// Whose messages: an app by its name and its id. Two names with one id have each their own
/// backend, so neither may get what came for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushOwner<'a> {
    /// The app's name in the configuration.
    pub app: &'a str,
    pub appid: &'a str,
}

/// A message's name among those of its app: a keyed hash makes the name in the store of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageKey {
    /// The number that the platform gives it.
    Id(String),
    /// SHA-256 of its content: of events that have no number.
    Content([u8; 32]),
}

/// A message's name in the store.
pub type MessageId = [u8; 16];

/// In which language a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFormat {
    Xml,
    Json,
}

/// What a gateway finds that has got a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushClaim {
    /// This caller delivers it; the ticket gives it up.
    Leader { ticket: [u8; 16] },
    /// Somebody else is delivering it.
    Pending,
    /// It is kept and will be delivered.
    Kept,
    /// The backend has it, and answered this.
    Delivered(Vec<u8>),
}

/// A message in plain text, and for which app it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageContent {
    pub format: MessageFormat,
    /// The id of somebody else's app, where the owner acts for it.
    pub authorizer: Option<Arc<str>>,
    pub body: Vec<u8>,
}

/// A message that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMessage {
    /// When it was kept, by the store's clock.
    pub since: UnixMillis,
    pub content: MessageContent,
}

/// Messages that it is time to deliver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DueMessages {
    /// The store's time.
    pub now: UnixMillis,
    pub messages: Vec<MessageId>,
    /// How many of the owner are kept in all.
    pub kept: u64,
}

/// Keeps the messages of apps, each owner's apart from all others'.
#[async_trait]
pub trait PushMessages: Send + Sync {
    /// A message's name. Equal keys of two authorizers are two messages.
    fn id(&self, owner: PushOwner<'_>, authorizer: Option<&str>, key: &MessageKey) -> MessageId;

    /// Reserves the delivery for `lease`, or says what has become of the message.
    async fn claim(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        lease: Duration,
    ) -> Result<PushClaim, StoreError>;

    /// Ends a reservation without an outcome, so that the next one may try.
    async fn release(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        ticket: &[u8; 16],
    ) -> Result<(), StoreError>;

    /// Keeps a message for `span`, to be delivered in `due_in`. One that was kept or delivered
    /// before stays as it is.
    async fn keep(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        message: &MessageContent,
        due_in: Duration,
        span: Duration,
    ) -> Result<(), StoreError>;

    /// The backend has the message: its answer is found for `span`.
    async fn delivered(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        answer: &[u8],
        span: Duration,
    ) -> Result<(), StoreError>;

    /// Takes messages that are due, at most `most`: they are due again after `lease`.
    async fn take_due(
        &self,
        owner: PushOwner<'_>,
        lease: Duration,
        most: usize,
    ) -> Result<DueMessages, StoreError>;

    /// A kept message; `None`: it was delivered or has expired, and may still be listed as due.
    async fn kept(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
    ) -> Result<Option<KeptMessage>, StoreError>;

    /// A message that is not kept is not due any more.
    async fn unlist(&self, owner: PushOwner<'_>, id: &MessageId) -> Result<(), StoreError>;

    /// A kept message is due in `due_in`.
    async fn postpone(
        &self,
        owner: PushOwner<'_>,
        id: &MessageId,
        due_in: Duration,
    ) -> Result<(), StoreError>;

    async fn drop_kept(&self, owner: PushOwner<'_>, id: &MessageId) -> Result<(), StoreError>;
}
