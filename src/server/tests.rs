//! The end of one of a node's two servers.
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use crate::config::AdminConfig;
use crate::settings::Settings;

use super::*;

#[actix_rt::test]
async fn the_end_of_either_server_is_told() {
    let host = || "127.0.0.1".to_owned();
    let mut config = Settings::load(None, std::iter::empty()).unwrap().config;
    config.listen = Listen::Tcp { host: host(), port: 0 };
    config.admin = Some(AdminConfig { host: host(), port: 0, token: String::new() });
    let mut server = serve(config).await.unwrap();
    server.operator.as_ref().unwrap().stop().await;
    let told = server.ended().await.to_string();
    assert_eq!(told, "the operator's server ended: it was stopped");
    server.public.stop().await;
    let told = server.ended().await.to_string();
    assert_eq!(told, "the public server ended: it was stopped");
    // what both have left is ended all the same
    server.stop().await;
}
