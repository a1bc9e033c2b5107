//! What a sentinel is asked.

use redis::aio::MultiplexedConnection;
use redis::cmd;

use super::address::NodeAddress;
use super::error::ClientError;
use super::opening;
use super::server::Server;

/// Asks one sentinel.
pub(crate) async fn master_of(sentinel: &Server, name: &str) -> Result<NodeAddress, ClientError> {
    let mut connection = opening::open(sentinel)
        .await
        .map_err(|error| sentinel.unconnected(&error))?;
    ask_master(&mut connection, sentinel, name).await
}

/// Asks over a connection to a sentinel.
pub(crate) async fn ask_master(
    connection: &mut MultiplexedConnection,
    sentinel: &Server,
    name: &str,
) -> Result<NodeAddress, ClientError> {
    let mut command = cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let address: Option<(String, u16)> = command
        .query_async(connection)
        .await
        .map_err(|error| sentinel.error(&error))?;
    let (host, port) = address
        .ok_or_else(|| sentinel.trouble(&format!("the sentinel knows no master {name:?}")))?;
    Ok(NodeAddress { host, port })
}
