//! Whatever comes in, in whatever order: no panic, nothing after a close, no channel without a right to it.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

#[derive(Debug, Clone)]
enum Input {
    Text(String),
    Binary,
    Control(ControlFrame),
    Tick,
    Wait(u64),
    Refusal(String, u32),
}

const CHANNELS: [&str; 9] = [
    "open",
    "cache-a",
    "private-a",
    "private-encrypted-a",
    "presence-a",
    "presence-cache-a",
    "#server-to-user-1",
    "#server-to-user-2",
    "not a name",
];
const DATA: [&str; 5] =
    [r#"{"user_id":"1"}"#, r#"{"user_id":2,"user_info":{}}"#, r#"{"user_info":[]}"#, "", "{"];

fn channel() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&CHANNELS[..])
}

fn channel_data() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(&DATA[..]))
}

fn message() -> impl Strategy<Value = String> {
    let auth = prop_oneof![
        Just(String::new()),
        Just(format!("{KEY}:00")),
        channel().prop_map(|signed| signature(&subscription_text(SOCKET, signed, None))),
        ".*",
    ];
    let user =
        prop_oneof![Just(r#"{"id":"1"}"#), Just(r#"{"id":"2","watchlist":["1"]}"#), Just("{}")];
    prop_oneof![
        4 => (channel(), channel_data()).prop_map(|(channel, data)| signed(channel, data)),
        2 => (channel(), prop::option::of(auth.clone()), channel_data())
            .prop_map(|(channel, auth, data)| subscribe(channel, auth.as_deref(), data)),
        2 => channel().prop_map(unsubscribe),
        2 => (channel(), ".*").prop_map(|(channel, data)| {
            serde_json::json!({ "event": "client-a", "channel": channel, "data": data }).to_string()
        }),
        1 => user.clone().prop_map(signed_in),
        1 => (auth, user).prop_map(|(auth, user)| signin(&auth, user)),
        1 => Just(r#"{"event":"pusher:ping"}"#.to_owned()),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        12 => message().prop_map(Input::Text),
        // a message with one character changed, most often no message any more
        3 => (message(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(text, at, with)| {
            let mut characters: Vec<char> = text.chars().collect();
            let at = at.index(characters.len());
            characters[at] = with;
            Input::Text(characters.into_iter().collect())
        }),
        1 => any::<String>().prop_map(Input::Text),
        1 => Just(Input::Binary),
        1 => prop_oneof![Just(ControlFrame::Ping), Just(ControlFrame::Pong)].prop_map(Input::Control),
        2 => Just(Input::Tick),
        2 => (0_u64..200_000).prop_map(Input::Wait),
        1 => (channel(), 0_u32..8).prop_map(|(channel, attempt)| {
            Input::Refusal(channel.to_owned(), attempt)
        }),
    ]
}

/// Tells by other means than the session's whether a message carries the signature of what it asks for.
fn is_signed(text: &str) -> bool {
    let message: Value = serde_json::from_str(text).unwrap();
    let data = &message["data"];
    let mut signs = format!("{SOCKET}:{}", data["channel"].as_str().unwrap());
    if let Some(channel_data) = data["channel_data"].as_str() {
        signs.push(':');
        signs.push_str(channel_data);
    }
    data["auth"].as_str() == Some(&signature(&signs))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold(inputs in prop::collection::vec(input(), 1..60), must_authorise: bool) {
        let mut client = Client::with(|app, limits| {
            app.authorized_connections = must_authorise;
            limits.commands_per_second = 20;
            limits.control_frames_per_second = 3;
            limits.channels_per_connection = 4;
        });
        let mut joined: BTreeSet<String> = BTreeSet::new();
        let mut attempts = std::collections::HashMap::new();
        let mut closed = false;
        for input in inputs {
            let mut effects = Vec::new();
            let now = client.now;
            match &input {
                Input::Text(text) => client.session.text(text, now, &mut effects),
                Input::Binary => client.session.binary(now.moment, &mut effects),
                Input::Control(frame) => client.session.control(*frame, now.moment, &mut effects),
                Input::Tick => {
                    let next = client.session.tick(now.moment, &mut effects);
                    prop_assert!(next > now.moment, "a tick that is due at once is a busy loop");
                }
                Input::Wait(millis) => client.passes(Duration::from_millis(*millis)),
                Input::Refusal(channel, attempt) => {
                    if let Ok(channel) = ChannelName::parse(channel, 164) {
                        let refused = Refused { channel, attempt: *attempt, cause: JoinRefusal::MembersFull };
                        client.session.refused(&refused, &mut effects);
                        if !closed && attempts.get(refused.channel.as_str()) == Some(attempt) {
                            joined.remove(refused.channel.as_str());
                        }
                    }
                }
            }
            for effect in effects {
                prop_assert!(!closed, "{effect:?} after a close");
                match effect {
                    Effect::Subscribe(wanted) => {
                        let Input::Text(text) = &input else {
                            panic!("only a message subscribes");
                        };
                        let capabilities = wanted.channel.kind().capabilities();
                        prop_assert!(!capabilities.signed || is_signed(text), "{text}");
                        prop_assert_eq!(capabilities.members, wanted.member.is_some());
                        prop_assert!(wanted.channel.user().is_none());
                        attempts.insert(wanted.channel.to_string(), wanted.attempt);
                        prop_assert!(joined.insert(wanted.channel.to_string()));
                    }
                    Effect::Unsubscribe(channel) => {
                        prop_assert!(joined.remove(channel.as_str()));
                    }
                    Effect::Resend(channel) => prop_assert!(joined.contains(channel.as_str())),
                    Effect::Whisper(whisper) => {
                        prop_assert!(joined.contains(whisper.channel.as_str()));
                    }
                    Effect::Send(frame) => {
                        let frame: Value = serde_json::from_slice(&frame.payload()).unwrap();
                        prop_assert!(frame["event"].is_string());
                    }
                    Effect::SignIn(_) | Effect::ControlPing => {}
                    Effect::Close(_) => closed = true,
                }
            }
            prop_assert!(joined.len() <= 4);
            prop_assert_eq!(
                client.channels(),
                joined.iter().map(String::as_str).collect::<Vec<_>>()
            );
        }
    }
}
