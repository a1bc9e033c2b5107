//! WeChat's server side APIs.

mod code2session;
mod component;
mod phone;
mod server_apis;
mod session_key;
mod token;
mod wire;

use actix_web::web;

use super::endpoint::Endpoint;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::api("GET", "/sns/jscode2session", "jscode2session", || {
        web::to(code2session::mini_program)
    }),
    Endpoint::api(
        "GET",
        "/sns/component/jscode2session",
        "component/jscode2session",
        || web::to(component::code2session),
    ),
    Endpoint::api(
        "POST",
        "/cgi-bin/component/api_component_token",
        "api_component_token",
        || web::to(component::token),
    ),
    Endpoint::api(
        "POST",
        "/cgi-bin/component/api_start_push_ticket",
        "api_start_push_ticket",
        || web::to(component::start_tickets),
    ),
    Endpoint::api(
        "POST",
        "/cgi-bin/component/api_query_auth",
        "api_query_auth",
        || web::to(component::query_auth),
    ),
    Endpoint::api(
        "POST",
        "/cgi-bin/component/api_authorizer_token",
        "api_authorizer_token",
        || web::to(component::authorizer_token),
    ),
    Endpoint::api(
        "POST",
        "/cgi-bin/component/api_get_authorizer_info",
        "api_get_authorizer_info",
        || web::to(component::authorizer_info),
    ),
    Endpoint::api("GET", "/cgi-bin/token", "token", || web::to(token::plain)),
    Endpoint::api("POST", "/cgi-bin/stable_token", "stable_token", || {
        web::to(token::stable)
    }),
    Endpoint::api("GET", "/wxa/checksession", "checksession", || {
        web::to(session_key::check)
    }),
    Endpoint::api(
        "GET",
        "/wxa/resetusersessionkey",
        "resetusersessionkey",
        || web::to(session_key::reset),
    ),
    Endpoint::api(
        "POST",
        "/wxa/business/getuserphonenumber",
        "getuserphonenumber",
        || web::to(phone::number),
    ),
    Endpoint::api("POST", "/wxa/msg_sec_check", "msg_sec_check", || {
        web::to(server_apis::check_text)
    }),
    Endpoint::api("POST", "/wxa/img_sec_check", "img_sec_check", || {
        web::to(server_apis::check_picture)
    }),
    Endpoint::api(
        "POST",
        "/cgi-bin/message/custom/send",
        "message/custom/send",
        || web::to(server_apis::send_custom),
    ),
    Endpoint::api(
        "POST",
        "/cgi-bin/message/subscribe/send",
        "message/subscribe/send",
        || web::to(server_apis::send_subscribed),
    ),
    Endpoint::api("GET", "/cgi-bin/ticket/getticket", "getticket", || {
        web::to(server_apis::ticket)
    }),
];
