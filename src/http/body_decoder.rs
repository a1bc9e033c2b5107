//! Takes the body of a message off the front of what was read. Both directions use it: requests of
//! clients and answers of upstreams.

use actix_web::web::{Buf as _, Bytes, BytesMut};

use crate::http::chunks::{Chunks, Piece};

/// What of a body is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyDecoder {
    Complete,
    /// This many bytes.
    Sized(u64),
    Chunked(Chunks),
    /// A chunked body that is malformed: where it ends, nobody can tell.
    Broken,
    /// Everything until the connection ends.
    UntilClose,
}

/// The next part of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyPart {
    Data(Bytes),
    /// More must be read first.
    More,
    End,
    /// It is malformed.
    Broken,
}

impl BodyDecoder {
    /// Takes what there is of the body off the front of `buf`.
    pub fn take(&mut self, buf: &mut BytesMut) -> BodyPart {
        match self {
            Self::Complete => BodyPart::End,
            Self::Broken => BodyPart::Broken,
            _ if buf.is_empty() => BodyPart::More,
            Self::UntilClose => BodyPart::Data(buf.split().freeze()),
            Self::Sized(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Complete;
                }
                BodyPart::Data(buf.split_to(taken).freeze())
            }
            Self::Chunked(chunks) => match chunks.next(buf) {
                Piece::Data { skip, len } => {
                    buf.advance(skip);
                    BodyPart::Data(buf.split_to(len).freeze())
                }
                Piece::More => {
                    buf.clear();
                    BodyPart::More
                }
                Piece::Done(len) => {
                    buf.advance(len);
                    *self = Self::Complete;
                    BodyPart::End
                }
                Piece::Bad(_) => {
                    *self = Self::Broken;
                    BodyPart::Broken
                }
            },
        }
    }
}
