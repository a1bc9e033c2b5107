//! The body of a call: a small one is kept, so that the call can be repeated; a larger one goes on
//! as it comes.

use actix_web::dev::Payload;
use actix_web::web::{Bytes, BytesMut};
use futures_util::future::{Fuse, LocalBoxFuture};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;

use super::deadline::Deadline;
use crate::http::{ErrorCode, GatewayError, RequestHead};
use crate::provider::server_calls::{BodyPiece, ServerCallBody};

/// A body up to this length is kept.
const KEPT: usize = 2 * 1024 * 1024;

/// And one for the gateway itself has at most this one.
const SMALL: usize = 64 * 1024;

/// A body before the call.
pub(super) enum RequestBody {
    Kept(Bytes),
    Long(LongBody),
}

/// What is too long to be kept.
pub(super) struct LongBody {
    length: Option<u64>,
    begun: Bytes,
    rest: Payload,
}

/// Passes a long body on, piece by piece, as long as somebody polls it. False: it has broken off.
pub(super) type Upload = Fuse<LocalBoxFuture<'static, bool>>;

impl RequestBody {
    /// Reads a body to its end, or to the length from which on it is not kept.
    pub(super) async fn read(
        head: &RequestHead,
        mut payload: Payload,
    ) -> Result<Self, GatewayError> {
        let length = head
            .headers()
            .single("content-length")
            .and_then(|length| length.parse::<u64>().ok());
        let mut begun = BytesMut::new();
        if length.is_none_or(|length| length <= KEPT as u64) {
            while begun.len() <= KEPT {
                match payload.next().await {
                    Some(Ok(piece)) => begun.extend_from_slice(&piece),
                    Some(Err(_)) => return Err(broken(head)),
                    None => return Ok(Self::Kept(begun.freeze())),
                }
            }
        }
        Ok(Self::Long(LongBody {
            length,
            begun: begun.freeze(),
            rest: payload,
        }))
    }
}

/// The body of a request that the gateway answers itself.
pub(super) async fn small_json(
    head: &RequestHead,
    payload: &mut Payload,
) -> Result<Bytes, GatewayError> {
    let mut body = BytesMut::new();
    while let Some(piece) = payload.next().await {
        body.extend_from_slice(&piece.map_err(|_| broken(head))?);
        if body.len() > SMALL {
            return Err(
                GatewayError::new(ErrorCode::BodyTooLarge, "The body is too large.").closing(),
            );
        }
    }
    Ok(body.freeze())
}

impl LongBody {
    /// The body as the call takes it, and what fills it. Each piece postpones the deadline.
    pub(super) fn stream(mut self, deadline: Deadline) -> (ServerCallBody, Upload) {
        let (sender, pieces) = mpsc::channel::<BodyPiece>(1);
        let upload = async move {
            let mut next = Some(self.begun).filter(|begun| !begun.is_empty());
            loop {
                let piece = match next.take() {
                    Some(piece) => piece,
                    None => match self.rest.next().await {
                        Some(Ok(piece)) => piece,
                        // Without its end it stays broken.
                        Some(Err(_)) => return false,
                        None => {
                            let _ = sender.send(None).await;
                            return true;
                        }
                    },
                };
                if sender.send(Some(piece)).await.is_err() {
                    return true;
                }
                deadline.postpone();
            }
        };
        let body = ServerCallBody::Stream {
            length: self.length,
            pieces,
        };
        (body, upload.boxed_local().fuse())
    }
}

pub(super) fn broken(head: &RequestHead) -> GatewayError {
    let error = GatewayError::new(ErrorCode::BodyBroken, "The body broke off.");
    head.connection.blamed(error)
}
