//! The body of an answer: the gateway's own, or the platform's as it comes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};

use super::deadline::Deadline;
use super::limits::InFlight;
use super::request_body::Upload;
use crate::http::ErrorCode;
use crate::http::request_log::BrokenOff;
use crate::provider::server_calls::ServerAnswer;

/// A body on its way to the client.
pub(super) enum CallAnswerBody {
    Own(BoxBody),
    Platform(PlatformBody),
}

/// What the platform sends.
pub(super) struct PlatformBody {
    length: Option<u64>,
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, Broken>>>>,
    /// What the client may still be sending.
    upload: Option<Upload>,
    /// The call counts until its answer has gone.
    _place: InFlight,
}

/// It broke off.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer broke off: {}", .0.word())]
pub(super) struct Broken(ErrorCode);

impl BrokenOff for Broken {
    fn code(&self) -> ErrorCode {
        self.0
    }
}

impl PlatformBody {
    /// The body of an answer of which this much has been read. `answer`: there may be more.
    pub(super) fn new(
        begun: Bytes,
        answer: Option<ServerAnswer>,
        deadline: Deadline,
        upload: Option<Upload>,
        place: InFlight,
    ) -> Self {
        let length = match &answer {
            Some(answer) => answer.length,
            None => Some(begun.len() as u64),
        };
        let rest = stream::unfold(answer, move |answer| {
            let deadline = deadline.clone();
            async move {
                let mut answer = answer?;
                match next_piece(&mut answer, &deadline).await {
                    Ok(Some(piece)) => Some((Ok(piece), Some(answer))),
                    Ok(None) => None,
                    Err(broken) => Some((Err(broken), None)),
                }
            }
        });
        let first = (!begun.is_empty()).then_some(Ok(begun));
        Self {
            length,
            pieces: Box::pin(stream::iter(first).chain(rest)),
            upload,
            _place: place,
        }
    }
}

async fn next_piece(
    answer: &mut ServerAnswer,
    deadline: &Deadline,
) -> Result<Option<Bytes>, Broken> {
    deadline.postpone();
    tokio::select! {
        biased;
        piece = answer.piece() => piece.map_err(|_| Broken(ErrorCode::PlatformError)),
        () = deadline.passed() => Err(Broken(ErrorCode::PlatformTimeout)),
    }
}

impl MessageBody for CallAnswerBody {
    type Error = Broken;

    fn size(&self) -> BodySize {
        match self {
            Self::Own(body) => body.size(),
            Self::Platform(body) => body.length.map_or(BodySize::Stream, BodySize::Sized),
        }
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Broken>>> {
        match &mut *self {
            Self::Own(body) => {
                let next = ready!(Pin::new(body).poll_next(cx));
                Poll::Ready(next.map(|piece| piece.map_err(|_| Broken(ErrorCode::Internal))))
            }
            Self::Platform(body) => {
                if let Some(upload) = &mut body.upload {
                    // If it breaks off, the platform sees that and says what it makes of it.
                    let _ = upload.poll_unpin(cx);
                }
                body.pieces.as_mut().poll_next(cx)
            }
        }
    }
}
