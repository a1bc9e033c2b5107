//! What `hufu init` says once it has written its files.

use super::{CONFIG, ENV, InitArgs, REDIS, SCHEMA};
use crate::cli::lang::Lang;

pub(super) fn text(lang: Lang, args: &InitArgs) -> String {
    let redis = args.redis.as_deref();
    let user = args.redis_user.as_deref();
    match lang {
        Lang::En => {
            let own = redis.map_or_else(|| format!(", {REDIS}"), |_| String::new());
            let step = match (redis, user) {
                (None, _) => format!(
                    "redis-server {REDIS}    (for a Redis that is there already: {})",
                    again(args)
                ),
                (Some(url), None) => format!("have Redis at {url}"),
                (Some(url), Some(user)) => format!(
                    "write the password of {user} at {url} behind HUFU_REDIS_PASSWORD= in {ENV}"
                ),
            };
            format!(
                "Wrote {CONFIG} (with {SCHEMA}, for editors){own} and {ENV} (which holds the keys: keep it out of version control).\n\n\
                 Next:\n  \
                 1. write the AppSecret behind WX_SECRET= in {ENV}\n  \
                 2. {step}\n  \
                 3. hufu doctor\n  \
                 4. hufu serve"
            )
        }
        Lang::Zh => {
            let own = redis.map_or_else(|| format!("、{REDIS} "), |_| String::new());
            let step = match (redis, user) {
                (None, _) => format!(
                    "redis-server {REDIS}    （已经有 Redis 的话：{}）",
                    again(args)
                ),
                (Some(url), None) => format!("确认 {url} 上的 Redis 已经启动"),
                (Some(url), Some(user)) => {
                    format!("在 {ENV} 的 HUFU_REDIS_PASSWORD= 后面填 {url} 上用户 {user} 的密码")
                }
            };
            format!(
                "已写入 {CONFIG}（以及供编辑器使用的 {SCHEMA}）{own}和 {ENV}（里面是密钥，不要提交到版本库）。\n\n\
                 接下来：\n  \
                 1. 在 {ENV} 的 WX_SECRET= 后面填 AppSecret（小程序后台：开发管理 → 开发设置）\n  \
                 2. {step}\n  \
                 3. hufu doctor\n  \
                 4. hufu serve"
            )
        }
    }
}

/// The commands by which the same is begun anew with another Redis: nothing is overwritten.
fn again(args: &InitArgs) -> String {
    format!(
        "rm {CONFIG} {ENV} {SCHEMA} {REDIS} && hufu init --appid {} --upstream {:?} --redis redis://HOST:6379/0",
        args.appid, args.upstream
    )
}
