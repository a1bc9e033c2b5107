//! The Lua scripts: the only writers.

use crate::redis_client::Script;

/// All scripts. Each has one cluster slot and gets every key that it touches.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(super) create: Script,
    pub(super) renew: Script,
    pub(super) remove: Script,
    pub(super) remove_all: Script,
    pub(super) block: Script,
    pub(super) unblock: Script,
    pub(super) update_all: Script,
    pub(super) rotate: Script,
    pub(super) reserve: Script,
    pub(super) settle: Script,
    pub(super) replace_answer: Script,
    pub(super) withdraw: Script,
    pub(super) take: Script,
    pub(super) lease_token: Script,
    pub(super) keep_token: Script,
    pub(super) release_token: Script,
    pub(super) take_keys: Script,
    pub(super) return_keys: Script,
    pub(super) reset_keys: Script,
    pub(super) keep_ticket: Script,
    pub(super) authorize: Script,
    pub(super) keep_refreshed: Script,
    pub(super) withdraw_authorizer: Script,
    pub(super) reseal: Script,
    pub(super) claim_push: Script,
    pub(super) keep_push: Script,
    pub(super) settle_push: Script,
    pub(super) take_pushes: Script,
    pub(super) unlist_push: Script,
    pub(super) postpone_push: Script,
}

/// The files one after the other, as one script.
macro_rules! script {
    ($($file:literal),+) => {
        Script::new(concat!($(include_str!(concat!("scripts/", $file))),+))
    };
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            create: script!("index.lua", "gcra.lua", "generations.lua", "create.lua"),
            renew: script!("index.lua", "renew.lua"),
            remove: script!("index.lua", "remove.lua"),
            remove_all: script!("index.lua", "all.lua", "remove_all.lua"),
            block: script!("index.lua", "all.lua", "block.lua"),
            unblock: script!("unblock.lua"),
            update_all: script!("index.lua", "update_all.lua"),
            rotate: script!("index.lua", "rotate.lua"),
            reserve: script!("reserve.lua"),
            settle: script!("settle.lua"),
            replace_answer: script!("replace_answer.lua"),
            withdraw: script!("withdraw.lua"),
            take: script!("gcra.lua", "take.lua"),
            lease_token: script!("lease_token.lua"),
            keep_token: script!("keep_token.lua"),
            release_token: script!("release_token.lua"),
            take_keys: script!("index.lua", "take_keys.lua"),
            return_keys: script!("generations.lua", "return_keys.lua"),
            reset_keys: script!("index.lua", "generations.lua", "reset_keys.lua"),
            keep_ticket: script!("component.lua", "keep_ticket.lua"),
            authorize: script!("authorize.lua"),
            keep_refreshed: script!("component.lua", "keep_refreshed.lua"),
            withdraw_authorizer: script!("component.lua", "withdraw_authorizer.lua"),
            reseal: script!("reseal.lua"),
            claim_push: script!("claim_push.lua"),
            keep_push: script!("keep_push.lua"),
            settle_push: script!("settle_push.lua"),
            take_pushes: script!("take_pushes.lua"),
            unlist_push: script!("unlist_push.lua"),
            postpone_push: script!("postpone_push.lua"),
        }
    }
}
