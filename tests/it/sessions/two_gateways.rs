//! Two gateway processes on one Redis, as behind a load balancer.

use crate::helpers::gateway::{Gateway, Setup, route};
use crate::helpers::redis_server::RedisServer;
use crate::helpers::servers::{echo_upstream, http};
use crate::helpers::wait::until;

#[tokio::test]
async fn a_session_made_on_one_gateway_works_on_the_other_and_ends_on_both() {
    let (redis, echo) = (RedisServer::start(&[]), echo_upstream());
    let one = Gateway::with(&Setup {
        store: redis.url(""),
        config: route("/api", &echo.url, "required"),
    });
    let other = one.sibling();
    let token = one.token("zhang").await;
    for gateway in [&one, &other] {
        assert_eq!(
            http()
                .get(gateway.at("/api/x"))
                .bearer_auth(&token)
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
    }
    assert_eq!(
        http()
            .post(other.at("/auth/logout"))
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    for gateway in [&one, &other] {
        // The push travels while the answer does: a process that is not scheduled in time may still
        // answer once from its cache.
        let refused = until("the session to end", async || {
            let answer = http()
                .get(gateway.at("/api/x"))
                .bearer_auth(&token)
                .send()
                .await
                .unwrap();
            (answer.status() != 200).then_some(answer)
        })
        .await;
        assert_eq!(
            (
                refused.status().as_u16(),
                refused.headers()["x-hufu-error"].to_str().unwrap()
            ),
            (401, "session_expired")
        );
    }
}
