//! An upstream's answer head that is taken has one framing, whoever reads it and in however many
//! pieces it comes.

use actix_web::web::BytesMut;
use hufu::http::body_decoder::BodyDecoder;
use hufu::http::chunks::Chunks;
use hufu::http::head::Value;
use hufu::upstream_client::response_head::{BadAnswer, MAX_HEAD, ResponseHead, take};

/// See the module. The first byte chooses the method and the pieces.
pub fn check(data: &[u8]) {
    let Some((&choice, answer)) = data.split_first() else {
        return;
    };
    let method = if choice & 1 == 0 { "GET" } else { "HEAD" };
    let mut whole = BytesMut::from(answer);
    let read = take(&mut whole, method, None, &mut 0);
    let (pieced, taken) = in_pieces(answer, usize::from(choice >> 1) + 1, method);
    match (read, pieced) {
        (Ok(Some(head)), Ok(Some(again))) => {
            assert_eq!(
                format!("{head:?}"),
                format!("{again:?}"),
                "in pieces it is another answer"
            );
            assert_eq!(
                answer.len() - whole.len(),
                taken,
                "in pieces it has another end"
            );
            has_one_framing(&head, method);
        }
        (Ok(Some(_)), other) => panic!("in pieces it is refused: {other:?}"),
        // What is refused as a whole may be refused earlier, for another reason, or still be waited
        // for.
        (_, Ok(Some(_))) => panic!("in pieces it is an answer, as a whole it is not"),
        _ => {}
    }
}

/// What was read, and how many bytes that took.
fn in_pieces(
    answer: &[u8],
    stride: usize,
    method: &str,
) -> (Result<Option<ResponseHead>, BadAnswer>, usize) {
    let (mut buf, mut interim, mut given) = (BytesMut::new(), 0, 0);
    for piece in answer.chunks(stride) {
        buf.extend_from_slice(piece);
        given += piece.len();
        match take(&mut buf, method, None, &mut interim) {
            Ok(None) => {}
            other => return (other, given - buf.len()),
        }
    }
    (Ok(None), given - buf.len())
}

fn has_one_framing(head: &ResponseHead, method: &str) {
    let values = |wanted: &str| {
        head.headers
            .view()
            .get_all(wanted)
            .map(Value::bytes)
            .collect::<Vec<_>>()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    assert!(
        codings.is_empty() || (codings.len() == 1 && lengths.is_empty()),
        "two framings"
    );
    assert!(
        (200..1000).contains(&head.status.as_u16()),
        "{}",
        head.status
    );
    assert!(
        head.headers
            .view()
            .iter()
            .map(|(name, value)| name.len() + value.bytes().len())
            .sum::<usize>()
            <= MAX_HEAD
    );
    assert!(
        !head
            .headers
            .view()
            .iter()
            .any(|(_, value)| value.bytes().iter().any(|b| matches!(b, b'\r' | b'\n' | 0)))
    );
    let number = |text: &[u8]| {
        std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok())
            .expect("a length is a number")
    };
    let mut all = lengths
        .iter()
        .flat_map(|line| line.split(|b| *b == b','))
        .map(number);
    let length = all.next();
    assert!(all.all(|other| Some(other) == length), "two lengths");
    assert_eq!(head.content_length, length);
    let bodiless = method == "HEAD" || matches!(head.status.as_u16(), 204 | 304);
    let expected = match (bodiless, codings.is_empty(), length) {
        (true, ..) | (false, true, Some(0)) => BodyDecoder::Complete,
        (false, false, _) => BodyDecoder::Chunked(Chunks::of_upstream()),
        (false, true, Some(length)) => BodyDecoder::Sized(length),
        (false, true, None) => BodyDecoder::UntilClose,
    };
    assert_eq!((head.body, head.bodiless), (expected, bodiless));
    assert!(
        head.body != BodyDecoder::UntilClose || !head.keep_alive,
        "its end is the connection's, so nothing comes after it"
    );
}
