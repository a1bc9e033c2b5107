//! The frames of a WebSocket end where their lengths say, in however many pieces they come.

use hufu::proxy::websocket::frames::Frames;

/// See the module. The first byte says how long the pieces are.
pub fn check(data: &[u8]) {
    let Some((&stride, bytes)) = data.split_first() else {
        return;
    };
    let mut pieced = Frames::default();
    bytes
        .chunks(usize::from(stride) + 1)
        .for_each(|piece| pieced.follow(piece));
    let mut framed = Frames::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = framed.to_frame_end(rest);
        assert!((1..=rest.len()).contains(&taken));
        assert!(
            taken == rest.len() || framed.is_at_boundary(),
            "it stopped within a frame"
        );
        rest = &rest[taken..];
    }
    let (at_boundary, has_closed) = plain(bytes);
    assert_eq!(
        (pieced.is_at_boundary(), pieced.has_closed),
        (at_boundary, has_closed)
    );
    assert_eq!(
        (framed.is_at_boundary(), framed.has_closed),
        (at_boundary, has_closed)
    );
}

/// Whether the bytes end with a frame, and whether one of them closes.
fn plain(mut bytes: &[u8]) -> (bool, bool) {
    let mut closed = false;
    while let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() {
        let masked = if second & 0x80 == 0 { 0 } else { 4 };
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((head, rest)) = rest.split_at_checked(extended + masked) else {
            return (false, closed);
        };
        closed |= first & 0x0f == 8;
        let length = match extended {
            0 => u64::from(second & 0x7f),
            _ => head[..extended]
                .iter()
                .fold(0, |length, byte| (length << 8) | u64::from(*byte)),
        };
        match usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(length..))
        {
            Some(rest) => bytes = rest,
            None => return (false, closed),
        }
    }
    (bytes.is_empty(), closed)
}
