//! What came over a connection: an answer as text, and a message that was read strictly.

use std::fmt::Display;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status; 0 when there was none.
    pub(crate) status: u16,
    /// Everything, as text.
    pub(crate) text: String,
    /// Whether the server closed the connection.
    pub(crate) closed: bool,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim())
    }

    /// What follows the head.
    pub(crate) fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }

    /// It is this error of the gateway.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, code: &str, when: impl Display) {
        assert_eq!(
            (self.status, self.code()),
            (status, Some(code)),
            "{when}: {}",
            self.text
        );
    }

    /// The gateway's error code.
    pub(crate) fn code(&self) -> Option<&str> {
        self.header("x-hufu-error")
    }
}

/// The head of a message.
#[derive(Debug)]
pub(crate) struct Head {
    /// The request line or the status line.
    pub(crate) first: String,
    pub(super) lines: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    /// Statuses of the interim answers before it.
    pub(crate) interim: Vec<u16>,
}

impl Head {
    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0)
    }

    /// All values of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.lines
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The one value of a header; `None`: it is not there.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() < 2, "{name} comes twice: {self:?}");
        values.first().copied()
    }

    /// Whether it says that its connection ends.
    pub(crate) fn closes(&self) -> bool {
        self.value("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// It is this error of the gateway.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, code: &str, when: impl Display) {
        let answer = (self.status(), self.code());
        assert_eq!(answer, (status, Some(code)), "{when}: {self:?}");
    }

    /// The gateway's error code.
    pub(crate) fn code(&self) -> Option<&str> {
        self.head.value("x-hufu-error")
    }
}
