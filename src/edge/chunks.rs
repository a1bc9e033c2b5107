//! A chunked body, followed byte by byte where frames are and in strides where data is.

/// Most digits of a chunk's size.
const MAX_DIGITS: u16 = 15;
/// Longest chunk extension, in bytes; nobody here reads them.
const MAX_EXTENSION: u16 = 256;
/// Longest trailer section, in bytes; trailers are read and dropped.
const MAX_TRAILERS: u16 = 8 * 1024;

/// Where in a chunked body the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    place: Place,
    /// Bytes of the chunk that are still to come.
    left: u64,
    /// Digits, bytes of an extension or of trailers so far.
    count: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

/// What became of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// All belong to the body, and more will.
    All,
    /// So many belong to the body; it is complete.
    Done(usize),
    /// So many are sound; the next one is not.
    Bad(usize),
}

impl Default for Chunks {
    fn default() -> Self {
        Self { place: Place::Size, left: 0, count: 0 }
    }
}

impl Chunks {
    /// Follows the body through `bytes`.
    pub fn follow(&mut self, bytes: &[u8]) -> Followed {
        let mut at = 0;
        while at < bytes.len() {
            if self.place == Place::Data {
                let stride = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += stride;
                self.left -= stride as u64;
                if self.left == 0 {
                    self.place = Place::DataCr;
                }
                continue;
            }
            if self.place == Place::EndLf && bytes[at] == b'\n' {
                return Followed::Done(at + 1);
            }
            match self.step(bytes[at]) {
                Some(place) => self.place = place,
                None => return Followed::Bad(at),
            }
            at += 1;
        }
        Followed::All
    }

    /// The place after a byte; `None`: it does not belong here.
    fn step(&mut self, byte: u8) -> Option<Place> {
        match (self.place, byte) {
            (Place::Size, _) if byte.is_ascii_hexdigit() => {
                self.count += 1;
                self.left = self.left * 16 + u64::from(char::from(byte).to_digit(16)?);
                (self.count <= MAX_DIGITS).then_some(Place::Size)
            }
            (Place::Size, b'\r' | b';') if self.count == 0 => None,
            (Place::Size | Place::Extension, b'\r') => Some(Place::SizeLf),
            (Place::Size, b';') => self.begin(Place::Extension),
            (Place::Extension, b'\t' | b' '..=b'~') => self.counted(MAX_EXTENSION, Place::Extension),
            (Place::SizeLf, b'\n') if self.left == 0 => self.begin(Place::TrailerStart),
            (Place::SizeLf, b'\n') => Some(Place::Data),
            (Place::DataCr, b'\r') => Some(Place::DataLf),
            (Place::DataLf, b'\n') => self.begin(Place::Size),
            (Place::TrailerStart, b'\r') => Some(Place::EndLf),
            (Place::TrailerStart | Place::TrailerName, _) if is_token(byte) => self.counted(MAX_TRAILERS, Place::TrailerName),
            (Place::TrailerName, b':') => self.counted(MAX_TRAILERS, Place::TrailerValue),
            (Place::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => self.counted(MAX_TRAILERS, Place::TrailerValue),
            (Place::TrailerValue, b'\r') => Some(Place::TrailerLf),
            (Place::TrailerLf, b'\n') => Some(Place::TrailerStart),
            _ => None,
        }
    }

    const fn begin(&mut self, place: Place) -> Option<Place> {
        self.count = 0;
        Some(place)
    }

    fn counted(&mut self, most: u16, place: Place) -> Option<Place> {
        self.count += 1;
        (self.count <= most).then_some(place)
    }
}

/// RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(text: &str) -> Followed {
        Chunks::default().follow(text.as_bytes())
    }

    #[test]
    fn sound_bodies_end_where_they_end() {
        for body in ["0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "3;a=b; c=\"d\"\r\nabc\r\n00\r\n\r\n", "A\r\n0123456789\r\n0\r\nX: y\r\nZ:\r\n\r\n"] {
            assert_eq!(follow(&format!("{body}GET /")), Followed::Done(body.len()), "{body:?}");
            let mut chunks = Chunks::default();
            for (at, byte) in body.bytes().enumerate() {
                let expected = if at + 1 == body.len() { Followed::Done(1) } else { Followed::All };
                assert_eq!(chunks.follow(&[byte]), expected, "{body:?} at {at}");
            }
        }
    }

    #[test]
    fn whatever_servers_read_differently_is_bad() {
        let long = |n: usize| "x".repeat(n);
        for body in [
            "\r\n".to_owned(),
            ";a\r\n".to_owned(),
            "g\r\n".to_owned(),
            "-1\r\n".to_owned(),
            "+1\r\n".to_owned(),
            "0x1\r\n".to_owned(),
            "1 \r\na\r\n".to_owned(),
            " 1\r\na\r\n".to_owned(),
            "1\na\n0\n\n".to_owned(),
            "1\r\nab\r\n".to_owned(),
            "1\r\na\n".to_owned(),
            "1\r\n\na".to_owned(),
            "1;a\nb\r\n".to_owned(),
            "1;\0\r\n".to_owned(),
            "0\r\n\n".to_owned(),
            "0\r\nX y: z\r\n\r\n".to_owned(),
            "0\r\nX : z\r\n\r\n".to_owned(),
            "0\r\n: z\r\n\r\n".to_owned(),
            "0\r\n y\r\n\r\n".to_owned(),
            "0\r\nX: y\n\r\n".to_owned(),
            "0\r\nX: \0\r\n\r\n".to_owned(),
            "ffffffffffffffff\r\n".to_owned(),
            "10000000000000000\r\n".to_owned(),
            "0000000000000001\r\n".to_owned(),
            format!("1;{}\r\n", long(257)),
            format!("0\r\nX: {}\r\n\r\n", long(9000)),
        ] {
            assert!(matches!(follow(&body), Followed::Bad(_)), "{body:?}: {:?}", follow(&body));
        }
    }
}
