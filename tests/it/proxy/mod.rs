//! Requests on their way to backends: routes, bodies, answers, upstreams, WebSockets.

mod answers;
mod bodies;
mod cut_answers;
mod early_answers;
mod http_1_0;
mod http_details;
mod http_uploads;
mod loops;
mod queue;
mod routes;
mod stalled_exchanges;
mod unusable_answers;
mod upstream_host;
mod upstreams;
mod upstreams_failing;
mod upstreams_unix;
mod websocket;
