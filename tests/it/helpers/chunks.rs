//! Chunked bodies, read strictly: whatever is not as RFC 9112 section 7.1 writes it fails the test.

/// One body, as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    pub(crate) body: Vec<u8>,
    /// The lines of the trailer section.
    pub(crate) trailers: Vec<String>,
    /// Bytes that the chunk under way still has.
    left: usize,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data,
    DataEnd,
    Trailers,
    Over,
}

impl Chunks {
    /// Takes what is the body's from the front, and says whether the body is there to its end.
    pub(crate) fn take(&mut self, bytes: &mut Vec<u8>) -> bool {
        while self.state != State::Over {
            if self.state == State::Data {
                let some = self.left.min(bytes.len());
                self.body.extend(bytes.drain(..some));
                self.left -= some;
                if self.left > 0 {
                    return false;
                }
                self.state = State::DataEnd;
            }
            let Some(line) = line(bytes) else {
                return false;
            };
            match self.state {
                State::Size => {
                    let is_size = !line.is_empty() && line.bytes().all(|b| b.is_ascii_hexdigit());
                    assert!(is_size, "{line:?} is no size of a chunk");
                    self.left = usize::from_str_radix(&line, 16).unwrap();
                    self.state = if self.left == 0 {
                        State::Trailers
                    } else {
                        State::Data
                    };
                }
                State::DataEnd => {
                    assert_eq!(line, "", "the end of a chunk");
                    self.state = State::Size;
                }
                State::Trailers if line.is_empty() => self.state = State::Over,
                _ => self.trailers.push(line),
            }
        }
        true
    }
}

/// Takes a line from the front, without its end.
fn line(bytes: &mut Vec<u8>) -> Option<String> {
    let at = bytes.windows(2).position(|two| two == b"\r\n")?;
    let line: Vec<u8> = bytes.drain(..at + 2).collect();
    Some(String::from_utf8(line[..at].to_vec()).unwrap())
}
