//! Where the frames of a WebSocket begin and end (RFC 6455 section 5.2). Only their heads are read:
//! what is in them is between the client and the upstream, in whatever extension they have agreed
//! on.

use arrayvec::ArrayVec;

/// Two bytes, a length of up to eight, and a masking key of four.
const MAX_HEAD: usize = 14;
const CLOSE: u8 = 8;

/// One direction of a WebSocket.
#[derive(Debug, Default)]
pub struct Frames {
    /// The head under way; empty between frames and within a payload.
    head: ArrayVec<u8, MAX_HEAD>,
    /// Bytes of the payload still to come.
    left: u64,
    opcode: u8,
    /// Whether a close frame has come: nothing may follow it.
    pub has_closed: bool,
    data: bool,
}

impl Frames {
    /// Follows bytes on their way.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.to_frame_end(bytes);
            bytes = &bytes[taken..];
        }
    }

    /// Follows bytes to the end of the frame under way; answers how many that are.
    pub fn to_frame_end(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while self.left == 0 && at < bytes.len() {
            self.head.push(bytes[at]);
            at += 1;
            if let Some(payload) = payload_length(&self.head) {
                self.opcode = self.head[0] & 0x0f;
                self.has_closed |= self.opcode == CLOSE;
                self.data |= self.opcode < CLOSE;
                self.head.clear();
                if payload == 0 {
                    return at;
                }
                self.left = payload;
            }
        }
        let payload = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(bytes.len() - at);
        self.left -= payload as u64;
        self.data |= payload > 0 && self.opcode < CLOSE;
        at + payload
    }

    /// Whether a frame may begin here.
    pub const fn is_at_boundary(&self) -> bool {
        self.head.is_empty() && self.left == 0
    }

    /// Whether data came since the last call: not pings and pongs, which clients answer without
    /// their user.
    pub const fn take_data(&mut self) -> bool {
        std::mem::replace(&mut self.data, false)
    }
}

/// The payload's length, once the head is complete.
fn payload_length(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let key = if second & 0x80 == 0 { 0 } else { 4 };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if head.len() < 2 + extended + key {
        return None;
    }
    let length = head[2..2 + extended]
        .iter()
        .fold(0, |length, byte| (length << 8) | u64::from(*byte));
    Some(if extended == 0 {
        u64::from(second & 0x7f)
    } else {
        length
    })
}

/// A close frame with its code and reason, as a server sends it; with a masking key, as a client
/// does.
pub fn close_frame(code: u16, reason: &'static str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    // A control frame has 125 bytes at most; the reasons are the gateway's own, and short.
    payload.truncate(125);
    let length = u8::try_from(payload.len()).unwrap_or_default();
    let mut frame = vec![0x80 | CLOSE, length];
    if let Some(key) = mask {
        frame[1] |= 0x80;
        frame.extend_from_slice(&key);
        payload
            .iter_mut()
            .zip(key.iter().cycle())
            .for_each(|(byte, key)| *byte ^= key);
    }
    frame.extend_from_slice(&payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A short frame; where it ends with others, the fuzz target `frames` shows.
    fn frame(opcode: u8) -> Vec<u8> {
        [&[0x80 | opcode, 0x84], &b"mask"[..], b"tige"].concat()
    }

    #[test]
    fn closing_and_data_are_told_from_pings() {
        let mut direction = Frames::default();
        direction.follow(&frame(9));
        direction.follow(&frame(10));
        assert!(!direction.take_data() && !direction.has_closed);
        direction.follow(&frame(1)[..3]);
        assert!(!direction.take_data(), "the head is not complete");
        direction.follow(&frame(1)[3..]);
        assert!(direction.take_data() && !direction.take_data());
        direction.follow(&close_frame(1000, "", None));
        assert!(direction.has_closed && direction.is_at_boundary());
    }

    #[test]
    fn a_close_frame_has_its_code_and_reason() {
        assert_eq!(
            close_frame(1008, "ended", None),
            [b"\x88\x07\x03\xf0".as_slice(), b"ended"].concat()
        );
        assert_eq!(
            close_frame(1008, "", Some([1, 2, 3, 4])),
            [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xf0 ^ 2]
        );
    }
}
