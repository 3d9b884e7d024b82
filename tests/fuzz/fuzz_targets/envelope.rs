//! What comes from other nodes: never a panic, what is read is what would be written, nothing unsigned is believed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use micronotifier_actors::bridge::wire::{Wire, WireError};
use micronotifier_actors::protocol::{AppId, ChannelKey, ChannelName};

fuzz_target!(|text: &str| {
    let Ok(channel) = ChannelName::parse("presence-c", 164) else {
        return;
    };
    let key = ChannelKey { app: AppId::new("a"), channel };
    let trusting = Wire::new("n", "");
    if let Ok(told) = trusting.read(&key, text) {
        let sender = Wire::new(&told.node, "");
        match sender.write(&key, &told.body, told.delivered) {
            Ok(written) => {
                let again = trusting.read(&key, &written);
                let Ok(again) = again else { panic!("written, not read: {written}") };
                assert_eq!(format!("{told:?}"), format!("{again:?}"));
                agree(&key, text, &written);
            }
            Err(error) => assert_eq!(error, WireError::TooLarge),
        }
    }
});

/// Checks that a signature is needed where there is a secret, and that it is of the whole text.
fn agree(key: &ChannelKey, text: &str, written: &str) {
    let guarded = Wire::new("n", "the-secret-of-this-cluster");
    for unsigned in [text, written] {
        assert!(matches!(guarded.read(key, unsigned), Err(WireError::Forged)), "{unsigned}");
    }
}
