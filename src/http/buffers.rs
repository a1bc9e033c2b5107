//! A worker's spare buffers: most heads fit into one, and one that was used a moment ago is still
//! in the processor's cache.

use std::cell::RefCell;

use actix_web::web::BytesMut;

/// Room in a buffer, in bytes: for a head, and for a small body behind it. Not a multiple of 4 KiB,
/// or all would begin in the same few lines of the processor's cache.
pub const ROOM: usize = 5 * 1024;
/// Buffers that a worker keeps: two for each of a hundred requests.
const KEPT: usize = 200;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with [`ROOM`].
pub fn spare() -> BytesMut {
    SPARE
        .with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| BytesMut::with_capacity(ROOM))
}

/// Takes a buffer back that nobody needs any more. One that has grown, or of which a part is still
/// in use, is not kept.
pub fn keep(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.try_reclaim(ROOM) && buffer.capacity() < 2 * ROOM {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < KEPT {
                spare.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use actix_web::web::Buf as _;

    use super::*;

    #[test]
    fn a_buffer_comes_back_with_all_its_room_and_nothing_in_it() {
        let mut buffer = spare();
        buffer.extend_from_slice(&[1; ROOM]);
        let at = buffer.as_ptr();
        buffer.advance(100);
        keep(buffer);
        let buffer = spare();
        assert_eq!(
            (buffer.as_ptr(), buffer.len(), buffer.capacity()),
            (at, 0, ROOM)
        );
    }

    #[test]
    fn a_grown_or_shared_buffer_is_not_kept() {
        let mut grown = spare();
        let mut shared = spare();
        grown.extend_from_slice(&[1; 2 * ROOM]);
        shared.extend_from_slice(b"head body");
        let part = shared.split_to(4);
        let places = [grown.as_ptr(), shared.as_ptr(), part.as_ptr()];
        keep(grown);
        keep(shared);
        assert!(!places.contains(&spare().as_ptr()));
        assert_eq!(&part[..], b"head");
    }
}
