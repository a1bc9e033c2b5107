//! What counts as one address.

use std::net::{IpAddr, Ipv6Addr};

/// The address that stands for a client. An IPv6 client has all addresses that differ in the last
/// 64 bits, so their network stands for it.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:0:1:2:3:4:5"), "2001:db8:0:1::");
        assert_eq!(network("2001:db8:0:1::ffff"), "2001:db8:0:1::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
    }
}
