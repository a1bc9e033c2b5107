//! What the tests share: servers that they start themselves, clients, conditions to wait for.
