//! Which paths lead to which endpoints, and which lead nowhere.

use super::*;

fn find(path: &str, compatibility: Compatibility) -> Option<Endpoint<'_>> {
    Endpoint::at(path, compatibility)
}

#[test]
fn the_paths_of_the_protocol() {
    let app = "3";
    let channel = "presence-a%40b";
    for (path, endpoint) in [
        ("/app/key", Endpoint::Socket),
        ("/up", Endpoint::Up),
        ("/apps/3/events", Endpoint::Trigger { app }),
        ("/apps/3/batch_events", Endpoint::Batch { app }),
        ("/apps/3/channels", Endpoint::Channels { app }),
        ("/apps/3/channels/presence-a%40b", Endpoint::Channel { app, channel }),
        ("/apps/3/channels/presence-a%40b/stats", Endpoint::Channel { app, channel }),
        ("/apps/3/channels/presence-a%40b/users", Endpoint::Users { app, channel }),
        (
            "/apps/3/users/u1/terminate_connections",
            Endpoint::Terminate { app: Some(app), user: "u1" },
        ),
        ("/users/u1/terminate_connections", Endpoint::Terminate { app: None, user: "u1" }),
    ] {
        assert_eq!(find(path, Compatibility::None), Some(endpoint), "{path}");
    }
}

/// Attack S25: a path in other clothes is another path.
#[test]
fn other_paths_lead_nowhere() {
    for path in [
        "",
        "/",
        "apps/1/events",
        "//apps/1/events",
        "/apps//1/events",
        "/%61pps/1/events",
        "/apps/1/../2/events",
        "/apps/1/./events",
        "/apps/1/events/",
        "/apps/1/event%73",
        "/APPS/1/events",
        "/apps/1/channels/",
        "/apps/1/channels/a/users/",
        "/apps/1/channels/a/b/users",
        "/apps/1/users/a/b/terminate_connections",
        "/apps/1/a/b/c/d/e/f/g/h",
        "/apps",
        "/ready",
        "/metrics",
    ] {
        let endpoint = find(path, Compatibility::None);
        // An empty name is refused where names are checked.
        let is_empty_name = matches!(endpoint, Some(Endpoint::Channel { channel: "", .. }));
        assert!(endpoint.is_none() || is_empty_name, "{path}: {endpoint:?}");
    }
}

#[test]
fn compatible_ports_tell_more() {
    let micronotifier = Compatibility::MicroNotifier;
    assert_eq!(find("/apps", micronotifier), Some(Endpoint::Apps));
    assert_eq!(find("/ready", micronotifier), None);
    for path in ["/", "/ready", "/accept-traffic"] {
        assert_eq!(find(path, Compatibility::Soketi), Some(Endpoint::Ready));
    }
    assert_eq!(find("/apps", Compatibility::Soketi), None);
}

#[test]
fn the_prefix_comes_off_first() {
    assert_eq!(without_prefix("/ws/apps/1/events", "/ws"), "/apps/1/events");
    assert_eq!(without_prefix("/apps/1/events", ""), "/apps/1/events");
    for path in ["/apps/1/events", "/wsapps/1/events", "/w"] {
        let path = without_prefix(path, "/ws");
        assert_eq!(find(path, Compatibility::None), None);
    }
}

#[test]
fn each_endpoint_has_one_method() {
    let trigger = Endpoint::Trigger { app: "1" };
    assert!(trigger.takes(&Method::POST) && !trigger.takes(&Method::GET));
    let list = Endpoint::Channels { app: "1" };
    assert!(list.takes(&Method::GET) && !list.takes(&Method::HEAD));
    assert!(Endpoint::Up.takes(&Method::HEAD) && !Endpoint::Up.takes(&Method::POST));
}
