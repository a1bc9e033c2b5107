//! The PROXY protocol, versions 1 and 2: a balancer that works on TCP says first whose connection
//! it passes on.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The shortest header there is: `PROXY UNKNOWN` and a line end. Nothing behind a header may be
/// read with it.
const SHORTEST: usize = 15;
/// Longest header of version 1, in bytes.
const LONGEST_V1: usize = 107;
/// Longest of version 2, its further fields included.
const LONGEST_V2: usize = 4096;

/// Reads the header at the beginning of a connection: the client's address, or `None` where the
/// balancer speaks for itself (health checks) or does not know it.
pub async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SHORTEST];
    socket.read_exact(&mut header).await?;
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        read_v2(socket, header).await
    } else if header.starts_with(b"PROXY ") {
        read_v1(socket, header).await
    } else {
        Err(none("no PROXY header"))
    }
}

async fn read_v1(
    socket: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    while !header.ends_with(b"\r\n") {
        if header.len() == LONGEST_V1 {
            return Err(none("a PROXY header without end"));
        }
        header.push(socket.read_u8().await?);
    }
    let header = v1::Header::try_from(header.as_slice())
        .map_err(|_| none("a PROXY header that cannot be read"))?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(tcp) => Some((tcp.source_address, tcp.source_port).into()),
        v1::Addresses::Tcp6(tcp) => Some((tcp.source_address, tcp.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

async fn read_v2(
    socket: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<SocketAddr>> {
    header.push(socket.read_u8().await?);
    let rest = usize::from(u16::from_be_bytes([header[SHORTEST - 1], header[SHORTEST]]));
    if rest > LONGEST_V2 {
        return Err(none("a PROXY header without end"));
    }
    let start = header.len();
    header.resize(start + rest, 0);
    socket.read_exact(&mut header[start..]).await?;
    let header = v2::Header::try_from(header.as_slice())
        .map_err(|_| none("a PROXY header that cannot be read"))?;
    Ok(match header.addresses {
        _ if header.command == v2::Command::Local => None,
        v2::Addresses::IPv4(tcp) => Some((tcp.source_address, tcp.source_port).into()),
        v2::Addresses::IPv6(tcp) => Some((tcp.source_address, tcp.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    })
}

fn none(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The address that was read, and what is left behind the header.
    async fn outcome(bytes: &[u8]) -> (Result<Option<String>, ()>, Vec<u8>) {
        let mut rest = bytes;
        let read = read(&mut rest).await;
        (
            read.map(|address| address.map(|address| address.to_string()))
                .map_err(|_| ()),
            rest.to_vec(),
        )
    }

    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [
            v2::PROTOCOL_PREFIX,
            &[0x20 | command, family],
            &length,
            addresses,
        ]
        .concat()
    }

    #[tokio::test]
    async fn headers_of_both_versions_name_the_client_and_take_no_byte_more() {
        let ipv4 = [6, 6, 6, 6, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
        for (header, client) in [
            (
                b"PROXY TCP4 6.6.6.6 10.0.0.1 4660 80\r\n".to_vec(),
                Some("6.6.6.6:4660"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 4660 80\r\n".to_vec(),
                Some("[2001:db8::1]:4660"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n".to_vec(), None),
            (v2(1, 0x11, &ipv4), Some("6.6.6.6:4660")),
            (
                v2(1, 0x11, &[&ipv4[..], &[4, 0, 1, 0]].concat()),
                Some("6.6.6.6:4660"),
            ),
            (v2(0, 0x11, &ipv4), None),
            (v2(0, 0, &[]), None),
        ] {
            let (address, rest) = outcome(&[&header[..], b"GET /"].concat()).await;
            assert_eq!(
                (address, rest.as_slice()),
                (Ok(client.map(str::to_owned)), b"GET /".as_slice()),
                "{}",
                String::from_utf8_lossy(&header)
            );
        }
    }

    #[tokio::test]
    async fn anything_else_is_no_header() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            b"PROXY TCP4 evil 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY TCP4 6.6.6.6 10.0.0.1 1 99999\r\n".to_vec(),
            [b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
            b"PROXY TCP4".to_vec(),
            v2(5, 0x11, &[0; 12]),
            v2(1, 0x11, &[0; 3]),
            v2(1, 0x21, &[0; 12]),
            v2(1, 0x11, &vec![0; 5000]),
        ] {
            assert_eq!(
                outcome(&bytes).await.0,
                Err(()),
                "{}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}
