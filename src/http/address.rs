//! IP addresses as header lines have them.

use std::fmt::Write as _;
use std::net::IpAddr;

use arrayvec::ArrayString;

/// An address as it is written; the longest has 45 characters.
pub type AddressText = ArrayString<45>;

/// Writes an address. The standard library's own way pads, which costs more than the rest of a head
/// line.
pub fn address_text(address: IpAddr) -> AddressText {
    let mut text = AddressText::new();
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    text.push('.');
                }
                push_octet(&mut text, octet);
            }
        }
        IpAddr::V6(address) => {
            // An address always fits.
            let _ = write!(text, "{address}");
        }
    }
    text
}

fn push_octet(text: &mut AddressText, octet: u8) {
    let digit = |value: u8| char::from(b'0' + value % 10);
    if octet >= 100 {
        text.push(digit(octet / 100));
    }
    if octet >= 10 {
        text.push(digit(octet / 10));
    }
    text.push(digit(octet));
}

/// `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]`, `[::1]:567`.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        // The standard library reads a zone before a port, and only there; it means nothing on
        // another machine.
        return Some(address.ip()).filter(|_| !text.contains('%'));
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for octet in 0..=255_u8 {
            let address = IpAddr::from([octet, 255 - octet, 0, 10]);
            assert_eq!(address_text(address).as_str(), address.to_string());
        }
        for text in ["::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"] {
            assert_eq!(address_text(text.parse().unwrap()).as_str(), text);
        }
    }
}
