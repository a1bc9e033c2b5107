//! Looks for the end of a head that comes in pieces, each byte once, however many pieces there are.

use crate::edge::h1::refusal::RequestRefusal;
use crate::edge::settings::HeadLimits;

/// Bytes of a request line beside its target.
const AROUND_TARGET: usize = 64;

/// How far a head has been looked through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scan {
    /// Bytes looked at.
    at: usize,
    /// Where the first line that is not empty ended.
    first_line: Option<usize>,
    /// Bytes of the line under way, without its end.
    line: usize,
    after_cr: bool,
}

impl Scan {
    /// Whether anything has been looked at.
    pub const fn has_begun(&self) -> bool {
        self.at > 0
    }

    /// Goes on in `bytes`, whose beginning is the same as the last time. True: the head is
    /// complete.
    pub fn advance(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<bool, RequestRefusal> {
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            if after_cr != (byte == b'\n') {
                return Err(RequestRefusal::LINE_END);
            }
            match byte {
                b'\n' if self.line == 0 && self.first_line.is_some() => return Ok(true),
                b'\n' if self.line > 0 => {
                    self.first_line.get_or_insert(self.at);
                    self.line = 0;
                }
                b'\r' | b'\n' => {}
                0..=8 | 10..=31 | 127 => return Err(RequestRefusal::CONTROL),
                _ => self.line += 1,
            }
            self.check_length(limits)?;
        }
        Ok(false)
    }

    fn check_length(&self, limits: HeadLimits) -> Result<(), RequestRefusal> {
        match self.first_line {
            None if self.line > limits.target + AROUND_TARGET => Err(RequestRefusal::URI_TOO_LONG),
            _ if self.at > limits.head => Err(RequestRefusal::HEAD_TOO_LARGE),
            _ => Ok(()),
        }
    }
}
