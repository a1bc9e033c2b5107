//! Where sessions are kept: in this process or in Redis, sealed alike.
