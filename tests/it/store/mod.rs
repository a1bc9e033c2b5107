//! The stores: what each does, Redis in every arrangement and every trouble, the near cache and
//! pushes.

mod cluster_failover;
mod contract;
mod crash;
mod faults;
mod lookup_flight;
mod lost_answers;
mod missed_sessions;
mod near_cache;
mod outage;
mod process_store;
mod push_faults;
mod push_modes;
mod races;
mod redis;
pub(crate) mod redis_conf;
mod redis_socket;
mod repeated_calls;
mod replica_waits;
mod schemes;
mod sentinel_failover;
mod topologies;
