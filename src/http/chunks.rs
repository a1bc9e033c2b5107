//! A chunked body, read strictly: byte by byte where frames are and in strides where data is.

/// Most digits of a chunk's size.
const MAX_DIGITS: u16 = 15;
/// Longest chunk extension of a client, in bytes; nobody here reads them.
const MAX_EXTENSION: u16 = 256;
/// Longest trailer section, in bytes; trailers are read and dropped. Also the longest chunk
/// extension of an upstream.
const MAX_TRAILERS: u16 = 8 * 1024;

/// Where in a chunked body the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    place: ChunkState,
    /// Bytes of the chunk that are still to come.
    left: u64,
    /// Digits, bytes of an extension or of trailers so far.
    count: u16,
    is_upstreams: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    Size,
    Padding,
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

/// What some bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// `skip` bytes of frames, then `len` bytes of data; what comes after them is looked at next.
    Data {
        /// Before the data.
        skip: usize,
        /// The data.
        len: usize,
    },
    /// All belong to frames, and more will come.
    More,
    /// This many belong to frames; the body is complete.
    Done(usize),
    /// This many are sound; the next one is not.
    Bad(usize),
}

impl Default for Chunks {
    fn default() -> Self {
        Self {
            place: ChunkState::Size,
            left: 0,
            count: 0,
            is_upstreams: false,
        }
    }
}

impl Chunks {
    /// An upstream's body. Old servers pad a chunk's size with spaces, which has one meaning.
    pub fn of_upstream() -> Self {
        Self {
            is_upstreams: true,
            ..Self::default()
        }
    }

    /// Reads on in `bytes`, which have not been looked at before.
    pub fn next(&mut self, bytes: &[u8]) -> Piece {
        for (at, byte) in bytes.iter().enumerate() {
            if self.place == ChunkState::Data {
                let len = usize::try_from(self.left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - at);
                self.left -= len as u64;
                if self.left == 0 {
                    self.place = ChunkState::DataCr;
                }
                return Piece::Data { skip: at, len };
            }
            if self.place == ChunkState::EndLf && *byte == b'\n' {
                return Piece::Done(at + 1);
            }
            match self.step(*byte) {
                Some(place) => self.place = place,
                None => return Piece::Bad(at),
            }
        }
        Piece::More
    }

    /// Whether the body ends within these bytes, which come next.
    pub fn ends_within(mut self, mut bytes: &[u8]) -> bool {
        loop {
            match self.next(bytes) {
                Piece::Data { skip, len } => bytes = &bytes[skip + len..],
                Piece::Done(_) => return true,
                Piece::More | Piece::Bad(_) => return false,
            }
        }
    }

    /// The place after a byte; `None`: it does not belong here.
    fn step(&mut self, byte: u8) -> Option<ChunkState> {
        match (self.place, byte) {
            (ChunkState::Size, _) if byte.is_ascii_hexdigit() => {
                self.count += 1;
                self.left = self.left * 16 + u64::from(char::from(byte).to_digit(16)?);
                (self.count <= MAX_DIGITS).then_some(ChunkState::Size)
            }
            (ChunkState::Size, b'\r' | b';' | b' ') if self.count == 0 => None,
            (ChunkState::Size | ChunkState::Padding | ChunkState::Extension, b'\r') => {
                Some(ChunkState::SizeLf)
            }
            (ChunkState::Size, b';') => self.begin(ChunkState::Extension),
            (ChunkState::Size | ChunkState::Padding, b' ') if self.is_upstreams => {
                self.counted(MAX_EXTENSION, ChunkState::Padding)
            }
            (ChunkState::Padding, b';') => self.begin(ChunkState::Extension),
            (ChunkState::Extension, b'\t' | b' '..=b'~') => {
                let most = if self.is_upstreams {
                    MAX_TRAILERS
                } else {
                    MAX_EXTENSION
                };
                self.counted(most, ChunkState::Extension)
            }
            (ChunkState::SizeLf, b'\n') if self.left == 0 => self.begin(ChunkState::TrailerStart),
            (ChunkState::SizeLf, b'\n') => Some(ChunkState::Data),
            (ChunkState::DataCr, b'\r') => Some(ChunkState::DataLf),
            (ChunkState::DataLf, b'\n') => self.begin(ChunkState::Size),
            (ChunkState::TrailerStart, b'\r') => Some(ChunkState::EndLf),
            (ChunkState::TrailerStart | ChunkState::TrailerName, _) if is_token(byte) => {
                self.counted(MAX_TRAILERS, ChunkState::TrailerName)
            }
            (ChunkState::TrailerName, b':') => self.counted(MAX_TRAILERS, ChunkState::TrailerValue),
            (ChunkState::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                self.counted(MAX_TRAILERS, ChunkState::TrailerValue)
            }
            (ChunkState::TrailerValue, b'\r') => Some(ChunkState::TrailerLf),
            (ChunkState::TrailerLf, b'\n') => Some(ChunkState::TrailerStart),
            _ => None,
        }
    }

    const fn begin(&mut self, place: ChunkState) -> Option<ChunkState> {
        self.count = 0;
        Some(place)
    }

    fn counted(&mut self, most: u16, place: ChunkState) -> Option<ChunkState> {
        self.count += 1;
        (self.count <= most).then_some(place)
    }
}

/// RFC 9110 section 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, Option<usize>), ()> {
        read_by(Chunks::default(), pieces)
    }

    /// The data, and how many bytes the body has; an error: the body is bad.
    fn read_by(mut chunks: Chunks, pieces: &[&[u8]]) -> Result<(Vec<u8>, Option<usize>), ()> {
        let mut data = Vec::new();
        let mut seen = 0;
        for piece in pieces {
            let mut at = 0;
            loop {
                match chunks.next(&piece[at..]) {
                    Piece::Data { skip, len } => {
                        data.extend_from_slice(&piece[at + skip..at + skip + len]);
                        at += skip + len;
                    }
                    Piece::More => break,
                    Piece::Done(len) => return Ok((data, Some(seen + at + len))),
                    Piece::Bad(_) => return Err(()),
                }
            }
            seen += piece.len();
        }
        Ok((data, None))
    }

    #[test]
    fn sound_bodies_end_where_they_end() {
        for (body, data) in [
            ("0\r\n\r\n", ""),
            ("3\r\nabc\r\n0\r\n\r\n", "abc"),
            ("3;a=b; c=\"d\"\r\nabc\r\n00\r\n\r\n", "abc"),
            (
                "A\r\n0123456789\r\n1\r\nx\r\n0\r\nX: y\r\nZ:\r\n\r\n",
                "0123456789x",
            ),
        ] {
            let whole = Ok((data.as_bytes().to_vec(), Some(body.len())));
            assert_eq!(
                read(&[format!("{body}GET /").as_bytes()]),
                whole,
                "{body:?}"
            );
            let bytes: Vec<_> = body.as_bytes().chunks(1).collect();
            assert_eq!(read(&bytes), whole, "{body:?} byte by byte");
            assert_eq!(
                read(&bytes[..bytes.len() - 1]),
                Ok((data.as_bytes().to_vec(), None)),
                "{body:?} without its end"
            );
        }
    }

    #[test]
    fn an_upstream_may_pad_a_size_and_extend_it_further() {
        let long = "x".repeat(8000);
        for (size, is_sound) in [
            ("3".to_owned(), true),
            ("3  ".to_owned(), true),
            ("3 ;a=b".to_owned(), true),
            (format!("3;{long}"), true),
            (format!("3;{long}{long}"), false),
            (" 3".to_owned(), false),
            ("3 3".to_owned(), false),
            (String::new(), false),
        ] {
            let body = format!("{size}\r\nabc\r\n0\r\n\r\n");
            let read = read_by(Chunks::of_upstream(), &[body.as_bytes()]);
            let sound = Ok((b"abc".to_vec(), Some(body.len())));
            assert_eq!(read, if is_sound { sound } else { Err(()) }, "{size:?}");
        }
    }

    #[test]
    fn whatever_servers_read_differently_is_bad() {
        let extended = format!("1;{}\r\n", "x".repeat(257));
        let trailed = format!("0\r\nX: {}\r\n\r\n", "x".repeat(9000));
        for body in [
            "\r\n",
            ";a\r\n",
            "g\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "1 \r\na\r\n",
            " 1\r\na\r\n",
            "1\na\n0\n\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\n\na",
            "1;a\nb\r\n",
            "1;\0\r\n",
            "0\r\n\n",
            "0\r\nX y: z\r\n\r\n",
            "0\r\nX : z\r\n\r\n",
            "0\r\n: z\r\n\r\n",
            "0\r\n y\r\n\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\nX: \0\r\n\r\n",
            "ffffffffffffffff\r\n",
            "10000000000000000\r\n",
            "0000000000000001\r\n",
            &extended,
            &trailed,
        ] {
            assert_eq!(read(&[body.as_bytes()]), Err(()), "{body:?}");
        }
    }
}
