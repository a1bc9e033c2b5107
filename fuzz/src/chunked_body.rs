//! A chunked body ends where a plain reader of RFC 9112 says, in however many pieces it comes.

use hufu::http::chunks::{Chunks, Piece};

/// What a body is: its data and its end, or how far it is sound.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Whole(Vec<u8>, usize),
    Begun(Vec<u8>),
    Bad(usize),
}

/// See the module. The first byte says how long the pieces are.
pub fn check(data: &[u8]) {
    let Some((&stride, body)) = data.split_first() else {
        return;
    };
    let whole = in_pieces(body, body.len().max(1));
    assert_eq!(
        in_pieces(body, usize::from(stride) + 1),
        whole,
        "in pieces it is another body"
    );
    match whole {
        Read::Whole(_, len) => assert_eq!(end(body), Some(len), "a plain reader finds another end"),
        Read::Begun(data) => assert!(
            end(body).is_none() && data.len() <= body.len(),
            "a plain reader has found the end"
        ),
        Read::Bad(at) => assert!(at < body.len()),
    }
}

fn in_pieces(body: &[u8], stride: usize) -> Read {
    let (mut chunks, mut data, mut before) = (Chunks::default(), Vec::new(), 0);
    for mut piece in body.chunks(stride) {
        loop {
            match chunks.next(piece) {
                Piece::Data { skip, len } => {
                    data.extend_from_slice(&piece[skip..skip + len]);
                    piece = &piece[skip + len..];
                    before += skip + len;
                }
                Piece::More => break,
                Piece::Done(len) => return Read::Whole(data, before + len),
                Piece::Bad(at) => return Read::Bad(before + at),
            }
        }
        before += piece.len();
    }
    Read::Begun(data)
}

/// Where the body ends; `None`: it does not, or not soundly.
fn end(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = line(body, at)?;
        at += line.len() + 2;
        let digits = std::str::from_utf8(line).ok()?.split(';').next()?;
        match usize::from_str_radix(digits, 16).ok()? {
            0 => break,
            size => at = at.checked_add(size)?,
        }
        (body.get(at..at.checked_add(2)?)? == b"\r\n").then_some(())?;
        at += 2;
    }
    loop {
        let trailer = line(body, at)?;
        at += trailer.len() + 2;
        if trailer.is_empty() {
            return Some(at);
        }
    }
}

/// The line that begins here, without its end.
fn line(body: &[u8], at: usize) -> Option<&[u8]> {
    let rest = body.get(at..)?;
    rest.windows(2)
        .position(|pair| pair == b"\r\n")
        .map(|len| &rest[..len])
}
