//! What an upstream does with each connection, step by step.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Waits for the head of the next request.
    Head,
    /// Waits for the head, and for so many bytes behind it.
    Body(usize),
    /// Waits for the end of a request.
    Whole,
    Say(Vec<u8>),
    Pause(Duration),
    /// Waits until the test sets another script, which goes on behind its first wait.
    Hold,
    /// These bytes again and again, with a pause behind each, until the other side leaves.
    Repeat(Vec<u8>, Duration),
    /// Closes its own side.
    Shutdown,
    Close,
    Reset,
}

impl Step {
    pub(super) const fn waits(&self) -> bool {
        matches!(self, Self::Head | Self::Body(_) | Self::Whole | Self::Hold)
    }
}

/// Steps, which begin anew behind the last.
#[derive(Debug, Clone)]
pub(crate) struct Script(Vec<Step>);

/// A small answer that keeps the connection.
pub(crate) fn ok() -> Vec<u8> {
    answer("200 OK", "ok")
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

impl Script {
    pub(crate) fn new(steps: impl Into<Vec<Step>>) -> Self {
        Self(steps.into())
    }

    /// Answers every request with this name, and keeps the connection.
    pub(crate) fn named(name: &str) -> Self {
        Self::answers("200 OK", name)
    }

    /// The same with another status.
    pub(crate) fn answers(status: &str, body: &str) -> Self {
        Self::at_end(answer(status, body))
    }

    /// Answers as soon as the head is there; then goes on reading.
    pub(crate) fn at_head(answer: impl Into<Vec<u8>>) -> Self {
        Self::new([Step::Head, Step::Say(answer.into())])
    }

    /// Answers once the request is there to its end, trailers with it.
    pub(crate) fn at_end(answer: impl Into<Vec<u8>>) -> Self {
        Self::new([Step::Whole, Step::Say(answer.into())])
    }

    /// Answers once this many bytes of body are there.
    pub(crate) fn after_body(length: usize, answer: impl Into<Vec<u8>>) -> Self {
        Self::new([Step::Body(length), Step::Say(answer.into())])
    }

    /// Reads, and never answers.
    pub(crate) fn hang() -> Self {
        Self::new([Step::Whole])
    }

    /// Reads a request, and answers it as the next script says that the test sets.
    pub(crate) fn held() -> Self {
        Self::new([Step::Whole, Step::Hold])
    }

    /// Closes in the place of an answer.
    pub(crate) fn cut() -> Self {
        Self::new([Step::Whole, Step::Close])
    }

    /// Answers with chunks without end, slowly.
    pub(crate) fn drip() -> Self {
        let chunk = Step::Repeat(b"1\r\nx\r\n".to_vec(), Duration::from_millis(20));
        Self::at_end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").and(chunk)
    }

    /// Answers with this head, and a body without end.
    pub(crate) fn flood(head: &str) -> Self {
        let spaces = Step::Repeat(vec![b' '; 4096], Duration::ZERO);
        Self::at_end(head).and(spaces)
    }

    /// With this long between the request and what comes then.
    pub(crate) fn slowly(mut self, span: Duration) -> Self {
        self.0.insert(1, Step::Pause(span));
        self
    }

    /// With a further step.
    pub(crate) fn and(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }

    pub(crate) fn then_close(self) -> Self {
        self.and(Step::Close)
    }

    /// Then resets the connection; the answer is to be read before.
    pub(crate) fn then_reset(self) -> Self {
        self.and(Step::Pause(Duration::from_millis(50)))
            .and(Step::Reset)
    }

    pub(super) fn floods(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Repeat(..)))
    }

    pub(super) fn step(&self, at: usize) -> Step {
        self.0[at % self.0.len()].clone()
    }

    pub(super) fn after_first_wait(&self) -> usize {
        self.0.iter().position(Step::waits).map_or(0, |at| at + 1)
    }
}
