//! Pages of other origins (S32).

use crate::support::apps::{MAIN, ORIGINS};
use crate::support::socket::target;
use crate::support::{Socket, shared};

fn from(origin: Option<&str>) -> Socket {
    let headers: Vec<(&str, &str)> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
    Socket::upgrade(shared().stream(), &target(ORIGINS), &headers)
}

#[test]
fn attack_s32_an_origin_that_is_not_listed_is_refused() {
    for origin in [
        "https://evil.example",
        "https://app.example.com.evil.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://evil.com/https://app.example.com",
        "https://xapp.example.com",
        "null",
        "",
    ] {
        from(Some(origin)).expect_rejection(4009);
    }
}

#[test]
fn attack_s32_the_listed_origin_and_clients_without_one_are_let_in() {
    from(Some("https://app.example.com")).established();
    // Only browsers send an origin, and only browsers can be led by a foreign page.
    from(None).established();
}

#[test]
fn attack_s32_without_a_list_every_origin_is_let_in() {
    let headers = [("Origin", "https://anything.example"), ("Cookie", "session=1")];
    let mut socket = Socket::upgrade(shared().stream(), &target(MAIN), &headers);
    socket.established();
}
