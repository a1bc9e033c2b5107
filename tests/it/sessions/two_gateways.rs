//! Two gateway processes on one Redis, as behind a load balancer.

use crate::helpers::{Gateway, RedisServer, echo_upstream, until};

#[tokio::test]
async fn a_session_made_on_one_gateway_works_on_the_other_and_ends_on_both() {
    let (redis, echo) = (RedisServer::start(&[]), echo_upstream());
    let one = Gateway::on(&redis.url(""), &echo.route("/api", "required"));
    let other = one.sibling();
    let token = one.token("zhang").await;
    for gateway in [&one, &other] {
        assert_eq!(
            gateway.get("/api/x").bearer_auth(&token).await.status(),
            200
        );
    }
    other.sign_out(&token).await;
    for gateway in [&one, &other] {
        // The push travels while the answer does: a process that is not scheduled in time may still
        // answer once from its cache.
        let refused = until("the session to end", async || {
            let answer = gateway.get("/api/x").bearer_auth(&token).await;
            (answer.status() != 200).then_some(answer)
        })
        .await;
        assert_eq!(
            (refused.status(), refused.header("x-hufu-error")),
            (401, "session_expired")
        );
    }
}
