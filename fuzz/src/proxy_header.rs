//! A PROXY header is read to its end and not a byte further, and gives the address that stands in
//! it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use futures_util::FutureExt as _;
use hufu::edge::proxy_protocol::read;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// See the module.
pub fn check(data: &[u8]) {
    let mut rest = data;
    let Some(Ok(client)) = read(&mut rest).now_or_never() else {
        return;
    };
    let header = &data[..data.len() - rest.len()];
    let expected = match header.strip_prefix(SIGNATURE) {
        Some(binary) => of_binary(binary),
        None => of_text(header),
    };
    assert_eq!(client, expected);
}

fn of_text(header: &[u8]) -> Option<SocketAddr> {
    // What stands behind the word means nothing, whatever it is.
    if let Some(rest) = header.strip_prefix(b"PROXY UNKNOWN") {
        assert!(
            rest == b"\r\n" || (rest.starts_with(b" ") && rest.ends_with(b"\r\n")),
            "another word"
        );
        return None;
    }
    let text = std::str::from_utf8(header).expect("a header of version 1 is ASCII");
    let line = text.strip_suffix("\r\n").expect("it ends with its line");
    assert!(line.len() <= 105 && !line.contains("\r\n"), "{line:?}");
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", family @ ("TCP4" | "TCP6"), source, _, port, _] => {
            let source: IpAddr = source.parse().expect("an address");
            assert_eq!(source.is_ipv4(), family == "TCP4", "{line:?}");
            Some(SocketAddr::new(source, port.parse().expect("a port")))
        }
        _ => panic!("{line:?} is none"),
    }
}

/// What stands behind the signature.
fn of_binary(rest: &[u8]) -> Option<SocketAddr> {
    let (&[command, family, high, low], addresses) = rest
        .split_first_chunk::<4>()
        .expect("a command, a family and a length");
    assert_eq!(
        usize::from(u16::from_be_bytes([high, low])),
        addresses.len(),
        "it ends elsewhere than it says"
    );
    assert!(
        command == 0x20 || command == 0x21,
        "{command:#x} is no command"
    );
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    match (command & 1, family >> 4) {
        (1, 1) => Some(
            (
                Ipv4Addr::from(*addresses.first_chunk::<4>().expect("four bytes")),
                port(8),
            )
                .into(),
        ),
        (1, 2) => Some(
            (
                Ipv6Addr::from(*addresses.first_chunk::<16>().expect("sixteen bytes")),
                port(32),
            )
                .into(),
        ),
        _ => None,
    }
}
