//! A client's address is the socket's peer, or the first from the right that is not a trusted
//! proxy: nothing further left has a say.

use std::net::IpAddr;

use actix_web::http::header::HeaderValue;
use hufu::http::address::address_text;
use hufu::http::{ForwardingHeader, TrustedProxies};

/// See the module. The first byte chooses the peer and the header, then a header on each line.
pub fn check(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let (name, header) = if choice & 1 == 0 {
        ("x-forwarded-for", ForwardingHeader::XForwardedFor)
    } else {
        ("forwarded", ForwardingHeader::Forwarded)
    };
    let peer: IpAddr = if choice & 2 == 0 {
        [10, 0, 0, 1].into()
    } else {
        [6, 6, 6, 6].into()
    };
    let lines: Vec<HeaderValue> = rest
        .split(|b| *b == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let headers: Vec<(&[u8], &[u8])> = lines
        .iter()
        .map(|line| (name.as_bytes(), line.as_bytes()))
        .collect();
    let request = super::request("GET", "/", None, &headers);
    let trusted = TrustedProxies {
        networks: vec![
            "10.0.0.0/8".parse().expect("a network"),
            "fd00::/8".parse().expect("a network"),
        ],
        header,
    };
    let client = trusted.client(peer, request.headers());
    assert_eq!(client, client.to_canonical(), "two forms of one address");
    assert_eq!(address_text(client).as_str(), client.to_string());
    if !trusted.contains(peer) {
        assert_eq!(client, peer, "a stranger's headers were believed");
    } else if client != peer {
        // By its address as text, so in a plainer way than it is read.
        let items: Vec<String> = lines
            .iter()
            .flat_map(|line| {
                String::from_utf8_lossy(line.as_bytes())
                    .split(',')
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        let at_right = items
            .iter()
            .rev()
            .take(32)
            .take_while(|item| addresses(item).any(|address| trusted.contains(address)))
            .count()
            + 1;
        // What stands in quotes is one item, which these pieces do not show: then the client is
        // named somewhere.
        let quoted =
            name == "forwarded" && lines.iter().any(|line| line.as_bytes().contains(&b'"'));
        let looked_at = if quoted {
            items.len()
        } else {
            at_right.min(32)
        };
        let named = items
            .iter()
            .rev()
            .take(looked_at)
            .any(|item| addresses(item).any(|address| address == client));
        assert!(
            named,
            "{client} is none of the proxies at the right end of {items:?}, nor before them"
        );
    }
}

/// Every piece of a list item that is an address.
fn addresses(item: &str) -> impl Iterator<Item = IpAddr> {
    let pieces = item
        .split([';', '=', '"', '[', ']', ' ', '\t'])
        .chain(item.rsplit_once(':').map(|(host, _)| host.trim()));
    let inner = item
        .split(['=', ';'])
        .filter_map(|part| part.trim().trim_matches('"').rsplit_once(':'))
        .map(|(host, _)| host);
    pieces
        .chain(inner)
        .filter_map(|piece| piece.trim().parse::<IpAddr>().ok())
        .map(|address| address.to_canonical())
}
