//! The Lua scripts: the only writers.

use crate::redis_client::Script;

/// All scripts. Each has one cluster slot and gets every key that it touches.
#[derive(Debug)]
pub(in crate::store) struct Scripts {
    pub(super) create: Script,
    pub(super) renew: Script,
    pub(super) remove: Script,
    pub(super) remove_all: Script,
    pub(super) rotate: Script,
    pub(super) reserve: Script,
    pub(super) settle: Script,
    pub(super) withdraw: Script,
    pub(super) take: Script,
}

impl Scripts {
    pub(in crate::store) fn new() -> Self {
        Self {
            create: Script::new(concat!(
                include_str!("scripts/index.lua"),
                include_str!("scripts/gcra.lua"),
                include_str!("scripts/create.lua")
            )),
            renew: Script::new(concat!(
                include_str!("scripts/index.lua"),
                include_str!("scripts/renew.lua")
            )),
            remove: Script::new(concat!(
                include_str!("scripts/index.lua"),
                include_str!("scripts/remove.lua")
            )),
            remove_all: Script::new(concat!(
                include_str!("scripts/index.lua"),
                include_str!("scripts/remove_all.lua")
            )),
            rotate: Script::new(concat!(
                include_str!("scripts/index.lua"),
                include_str!("scripts/rotate.lua")
            )),
            reserve: Script::new(include_str!("scripts/reserve.lua")),
            settle: Script::new(include_str!("scripts/settle.lua")),
            withdraw: Script::new(include_str!("scripts/withdraw.lua")),
            take: Script::new(concat!(
                include_str!("scripts/gcra.lua"),
                include_str!("scripts/take.lua")
            )),
        }
    }
}
