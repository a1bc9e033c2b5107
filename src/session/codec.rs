//! The parts of which the bytes of stored forms are made. A number is a varint (LEB128), a text
//! the varint of its length and UTF-8. Each has one spelling.

use crate::clock::UnixMillis;
use crate::crypto::hash;

/// Bytes that are none of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Appends a number.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a text.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// A time in six bytes: big-endian milliseconds.
pub fn time_bytes(time: UnixMillis) -> [u8; 6] {
    hash::last(&time.0.min((1 << 48) - 1).to_be_bytes())
}

/// The time of such bytes.
pub fn time_of(bytes: &[u8]) -> UnixMillis {
    UnixMillis(
        bytes
            .iter()
            .fold(0, |time, byte| time << 8 | u64::from(*byte)),
    )
}

/// What has not been read yet.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    /// A number: no bits beyond the 64th, no empty last byte.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                return Err(Malformed);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    /// A text.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.text_bytes()?).map_err(|_| Malformed)
    }

    /// The bytes of a text, whatever they are.
    pub fn text_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn varints_round_trip(number in any::<u64>()) {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            prop_assert_eq!(Reader(&out).varint(), Ok(number));
        }
    }

    #[test]
    fn numbers_have_one_spelling() {
        let overlong: [&[u8]; 4] = [
            &[0x80, 0],
            &[0xff; 10],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[0x80],
        ];
        for bytes in overlong {
            assert_eq!(Reader(bytes).varint(), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(
            Reader(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).varint(),
            Ok(u64::MAX)
        );
    }
}
