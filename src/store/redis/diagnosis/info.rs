//! What `INFO` answers.

use std::collections::HashMap;

use crate::redis_client::NodeAddress;

/// The lines of `INFO`, by their names.
#[derive(Debug, Default)]
pub(super) struct Info(HashMap<String, String>);

impl Info {
    pub(super) fn parse(text: &str) -> Self {
        Self(
            text.lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }

    /// `name:1`.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.text(name) == "1"
    }

    /// Its replicas that are connected and have finished copying.
    pub(super) fn replicas_online(&self) -> Vec<NodeAddress> {
        // One line each, `slave0:ip=10.0.0.2,port=6379,state=online,…`, numbered in one go.
        let lines = (0..)
            .map(|index| self.text(&format!("slave{index}")))
            .take_while(|line| !line.is_empty());
        lines
            .filter(|line| line.contains("state=online"))
            .filter_map(address)
            .collect()
    }
}

fn address(line: &str) -> Option<NodeAddress> {
    let field = |name: &str| {
        line.split(',')
            .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    };
    Some(NodeAddress {
        host: field("ip")?.to_owned(),
        port: field("port")?.parse().ok()?,
    })
}
