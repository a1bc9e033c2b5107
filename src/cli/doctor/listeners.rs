//! Whether the addresses to listen on can be had.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use crate::finding::{Examined, Finding};

pub(super) fn examine(public: SocketAddr, admin: SocketAddr) -> Examined {
    Examined { subject: "listeners".to_owned(), findings: vec![examine_one("server.listen", public), examine_one("admin.listen", admin)] }
}

fn examine_one(key: &'static str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(key, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Finding::note(key, format!("{address} is in use"), format!("by a running gateway? If by something else, choose another {key}"))
        }
        Err(error) => {
            Finding::fail(key, format!("{address}: {error}"), format!("choose an address of this machine, and a port that the gateway may take, in {key}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn an_address_that_is_taken_is_worth_knowing_and_a_foreign_one_fails() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let verdict = |address| examine_one("server.listen", address).verdict;
        assert_eq!(verdict(taken.local_addr().unwrap()), Verdict::Note);
        assert_eq!(verdict("127.0.0.1:0".parse().unwrap()), Verdict::Ok);
        assert_eq!(verdict("192.0.2.1:0".parse().unwrap()), Verdict::Fail);
    }
}
