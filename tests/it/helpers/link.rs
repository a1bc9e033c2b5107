//! A link to a Redis server that can be made to misbehave: it delays answers, cuts them in the
//! middle, puts an error in the place of each, loses everything without a word, or does not know
//! some commands, as the proxies before managed editions do not.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the link does with the answers to everything but logins.
#[derive(Clone)]
pub(crate) enum Fault {
    /// Passes them on.
    None,
    /// Passes each piece on after this time, whatever it holds.
    Delay(Duration),
    /// Passes half of the next on, and closes the connection; so with every connection.
    Cut,
    /// Answers with this error. The server has carried the command out.
    Say(&'static str),
    /// Loses what comes from the server; the connection stays open, as behind a firewall that has
    /// forgotten it.
    Lose,
    /// Loses the so-manieth answer to this command that is no error, and all that follow it on the
    /// connection. The server has carried the command out.
    LoseOne(&'static str, Arc<AtomicUsize>),
    /// Closes the connection in the place of the so-manieth answer to this command that is no error.
    /// The server has carried the command out.
    CloseOne(&'static str, Arc<AtomicUsize>),
    /// Closes every connection, the next time that something comes from the server.
    Close,
}

/// What a command meets instead of its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Instead {
    /// This error.
    Error(&'static str),
    /// The end of the connection.
    Close,
    /// Nothing, and nothing after it.
    Silence,
    /// These bytes.
    Bytes(&'static str),
}

/// Commands, by their first word or two, and what each meets.
pub(crate) type Refused = &'static [(&'static str, Instead)];

/// What a proxy answers that does not know RESP3.
pub(crate) const NO_RESP3: Refused = &[(
    "HELLO",
    Instead::Error("NOPROTO unsupported protocol version"),
)];

/// A listening link; it accepts no more when it is dropped.
pub(crate) struct Link {
    port: u16,
    fault: Arc<Mutex<Fault>>,
    refused: Arc<Mutex<Vec<(&'static str, Instead)>>>,
}

impl Link {
    /// A link to a port of this machine.
    pub(crate) fn to(port: u16) -> Self {
        Self::refusing(port, &[])
    }

    /// The same, which does not know these commands.
    pub(crate) fn refusing(port: u16, refused: &[(&'static str, Instead)]) -> Self {
        let refused = Arc::new(Mutex::new(refused.to_vec()));
        let known = refused.clone();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let fault = Arc::new(Mutex::new(Fault::None));
        let watched = Arc::downgrade(&fault);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Some(fault) = watched.upgrade() else {
                    return;
                };
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
                    carry(client, server, &fault, &known);
                }
            }
        });
        Self {
            port: own,
            fault,
            refused,
        }
    }

    /// The store's URL through the link.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// From now on it knows all commands.
    pub(crate) fn learn(&self) {
        self.refused.lock().unwrap().clear();
    }

    /// From now on.
    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.fault = Arc::new(Mutex::new(Fault::None));
        // Wakes the thread, which finds that nobody is there any more.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// What was sent and has not been answered: the command's name, and what it meets instead.
type Commands = Arc<Mutex<VecDeque<(String, Option<Instead>)>>>;
type Unknown = Arc<Mutex<Vec<(&'static str, Instead)>>>;

/// Two threads, which end with the connection.
fn carry(client: TcpStream, server: TcpStream, fault: &Arc<Mutex<Fault>>, refused: &Unknown) {
    let commands = Commands::default();
    let (from, to, asked) = (
        client.try_clone().unwrap(),
        server.try_clone().unwrap(),
        commands.clone(),
    );
    let refused = refused.clone();
    std::thread::spawn(move || requests(from, to, &asked, &refused));
    let fault = Arc::downgrade(fault);
    std::thread::spawn(move || {
        let now = || {
            fault
                .upgrade()
                .map_or(Fault::None, |fault| fault.lock().unwrap().clone())
        };
        answers(&server, &client, &commands, now);
        let _ = (
            server.shutdown(Shutdown::Both),
            client.shutdown(Shutdown::Both),
        );
    });
}

fn requests(mut from: TcpStream, mut to: TcpStream, commands: &Commands, refused: &Unknown) {
    let (mut held, mut piece) = (Vec::new(), [0; 16 * 1024]);
    while let Ok(len @ 1..) = from.read(&mut piece) {
        held.extend_from_slice(&piece[..len]);
        while let Some(end) = complete(&held) {
            let mut request: Vec<u8> = held.drain(..end).collect();
            let text = String::from_utf8_lossy(&request).into_owned();
            let word = |at: usize| text.split("\r\n").nth(at).unwrap_or_default();
            let (name, both) = (word(2).to_owned(), format!("{} {}", word(2), word(4)));
            let unknown = refused.lock().unwrap().clone();
            let refusal = unknown.iter().find(|(command, _)| {
                [&name, &both]
                    .iter()
                    .any(|said| said.eq_ignore_ascii_case(command))
            });
            if refusal.is_some() {
                // Something harmless keeps its place among the answers.
                request = b"*1\r\n$4\r\nPING\r\n".to_vec();
            }
            commands
                .lock()
                .unwrap()
                .push_back((name, refusal.map(|(_, instead)| *instead)));
            if to.write_all(&request).is_err() {
                return;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn answers(
    mut from: &TcpStream,
    mut to: &TcpStream,
    commands: &Commands,
    fault: impl Fn() -> Fault,
) {
    let (mut held, mut piece, mut silent) = (Vec::new(), [0; 16 * 1024], false);
    while let Ok(len @ 1..) = from.read(&mut piece) {
        held.extend_from_slice(&piece[..len]);
        if let Fault::Delay(span) = fault() {
            // The fault is the delay itself.
            std::thread::sleep(span);
        }
        while let Some(end) = complete(&held) {
            let mut answer: Vec<u8> = held.drain(..end).collect();
            let pushed = answer[0] == b'>';
            let (name, refusal) = if pushed {
                Default::default()
            } else {
                commands.lock().unwrap().pop_front().unwrap_or_default()
            };
            match refusal {
                Some(Instead::Error(error)) => answer = format!("-{error}\r\n").into_bytes(),
                Some(Instead::Bytes(bytes)) => answer = bytes.as_bytes().to_vec(),
                Some(Instead::Close) => return,
                Some(Instead::Silence) => silent = true,
                None => {}
            }
            if silent {
                continue;
            }
            let login = matches!(name.as_str(), "HELLO" | "AUTH" | "SELECT" | "CLIENT");
            match fault() {
                Fault::Cut if !login => {
                    let _ = to.write_all(&answer[..answer.len() / 2]);
                    return;
                }
                Fault::Lose => continue,
                Fault::LoseOne(command, left) if name == command && answer[0] != b'-' => {
                    silent = left.fetch_sub(1, Ordering::SeqCst) == 1;
                    if silent {
                        continue;
                    }
                }
                Fault::CloseOne(command, left)
                    if name == command
                        && answer[0] != b'-'
                        && left.fetch_sub(1, Ordering::SeqCst) == 1 =>
                {
                    return;
                }
                Fault::Close => return,
                Fault::Say(error) if !login => answer = format!("-{error}\r\n").into_bytes(),
                _ => {}
            }
            if to.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

/// The length of the first value in the bytes, if it is there as a whole.
fn complete(bytes: &[u8]) -> Option<usize> {
    let line_end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let number = || {
        std::str::from_utf8(&bytes[1..line_end - 2])
            .unwrap()
            .parse::<i64>()
            .unwrap()
    };
    match bytes[0] {
        b'$' if number() >= 0 => {
            let end = line_end + usize::try_from(number()).unwrap() + 2;
            (bytes.len() >= end).then_some(end)
        }
        b'%' => (0..2 * number()).try_fold(line_end, |at, _| Some(at + complete(&bytes[at..])?)),
        b'*' | b'>' => (0..number()).try_fold(line_end, |at, _| Some(at + complete(&bytes[at..])?)),
        _ => Some(line_end),
    }
}
