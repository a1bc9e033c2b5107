//! Which servers, and how to log in there.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::secret::Secret;

/// Redis, and how to log in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub servers: RedisServers,
    /// Whether every connection is encrypted (`rediss`), those to sentinels too.
    pub tls: bool,
    /// The login at the servers that hold data.
    pub login: RedisLogin,
}

/// How the servers are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisServers {
    /// `redis://` and `redis+unix://`: one server, always the same.
    One {
        at: ServerAddress,
        /// The number of its database, 0 unless told.
        db: u32,
    },
    /// `redis+sentinel://`: the sentinels know which server is the master.
    Sentinel {
        /// At least one.
        sentinels: Vec<NodeAddress>,
        /// What the sentinels call the master.
        master: String,
        /// The number of its database, 0 unless told.
        db: u32,
    },
    /// `redis+cluster://`: any node knows all others. There is database 0 only.
    Cluster {
        /// At least one.
        nodes: Vec<NodeAddress>,
    },
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServerAddress {
    /// On a port.
    Node(NodeAddress),
    /// On a Unix socket of this machine, with this absolute path.
    Socket(PathBuf),
}

/// Host and port of a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeAddress {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
}

/// Who logs in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisLogin {
    /// The ACL user; without one the server's default user.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret<String>>,
}

impl ServerAddress {
    /// The name or address of its machine; empty: this one.
    pub fn host(&self) -> &str {
        match self {
            Self::Node(node) => &node.host,
            Self::Socket(_) => "",
        }
    }

    /// Whether it is a Unix socket.
    pub const fn is_socket(&self) -> bool {
        matches!(self, Self::Socket(_))
    }
}

impl PartialEq<NodeAddress> for ServerAddress {
    fn eq(&self, other: &NodeAddress) -> bool {
        matches!(self, Self::Node(node) if node == other)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => node.fmt(f),
            Self::Socket(path) => write!(f, "unix:{}", escaped(path)),
        }
    }
}

/// A path as it stands in a URL, and in a line of the log.
fn escaped(path: &std::path::Path) -> percent_encoding::PercentEncode<'_> {
    const ODD: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');
    percent_encode(path.as_os_str().as_bytes(), ODD)
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for RedisUrl {
    /// The URL without user and password, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let list = |nodes: &[NodeAddress]| {
            nodes
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(",")
        };
        match &self.servers {
            RedisServers::One {
                at: ServerAddress::Node(at),
                db,
            } => write!(f, "{scheme}://{at}/{db}"),
            RedisServers::One {
                at: ServerAddress::Socket(path),
                db,
            } => write!(f, "{scheme}+unix://{}?db={db}", escaped(path)),
            RedisServers::Sentinel {
                sentinels,
                master,
                db,
            } => write!(f, "{scheme}+sentinel://{}/{master}/{db}", list(sentinels)),
            RedisServers::Cluster { nodes } => write!(f, "{scheme}+cluster://{}", list(nodes)),
        }
    }
}
