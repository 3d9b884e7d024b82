//! Who sees what, what is dropped, and how it is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use super::*;
use crate::protocol::sign::Credential;

fn numbered(tap: &Tap, numbers: std::ops::Range<u16>) {
    let app = AppId::new("1");
    for code in numbers {
        tap.show(Kind::Event, Some(&app), Some("c"), || Details {
            code: Some(code),
            ..Details::default()
        });
    }
}

fn number(seen: Option<Seen>) -> u16 {
    match seen {
        Some(Seen::Sighting(sighting)) => sighting.details.code.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_made_for_nobody() {
    let tap = Arc::new(Tap::default());
    tap.show(Kind::Event, None, None, || panic!("nobody looks on"));
    let wanted = Wanted { kinds: vec![Kind::Error], ..Wanted::default() };
    let view = tap.watch(wanted).unwrap();
    tap.show(Kind::Event, None, None, || panic!("nobody wants it"));
    assert!(tap.is_watched());
    drop(view);
    assert!(!tap.is_watched());
}

#[test]
fn who_is_slow_misses_something_and_is_told_how_much_and_where() {
    let tap = Arc::new(Tap::default());
    let mut slow = tap.watch(Wanted::default()).unwrap();
    let over = u16::try_from(WAITING).unwrap();
    numbered(&tap, 0..over + 5);
    assert_eq!(tap.dropped(), 5);
    assert_eq!(number(slow.try_next()), 0);
    numbered(&tap, over + 5..over + 6);
    for expected in 1..over {
        assert_eq!(number(slow.try_next()), expected);
    }
    assert_eq!(slow.try_next(), Some(Seen::Dropped(5)));
    assert_eq!(number(slow.try_next()), over + 5);
    assert_eq!(slow.try_next(), None);
    numbered(&tap, 0..1);
    assert_eq!(number(slow.try_next()), 0);
}

#[test]
fn what_was_dropped_last_is_told_too() {
    let tap = Arc::new(Tap::default());
    let mut slow = tap.watch(Wanted::default()).unwrap();
    let over = u16::try_from(WAITING).unwrap();
    numbered(&tap, 0..over + 3);
    for expected in 0..over {
        assert_eq!(number(slow.try_next()), expected);
    }
    assert_eq!(slow.try_next(), Some(Seen::Dropped(3)));
    assert_eq!(slow.try_next(), None);
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    let tap = Arc::new(Tap::default());
    let mut view = tap.watch(Wanted::default()).unwrap();
    let mut app = App::new("1", Credential::new("k", "s"));
    app.tap_payloads = true;
    let data = "x".repeat(WAITING_BYTES / 4);
    for _ in 0..5 {
        tap.show(Kind::Event, Some(&app.id), Some("c"), || Details::of_event(&app, "e", &data));
    }
    assert_eq!(tap.dropped(), 2);
    while view.try_next().is_some() {}
    tap.show(Kind::Event, Some(&app.id), Some("c"), || Details::of_event(&app, "e", &data));
    assert_eq!(tap.dropped(), 2);
    assert!(matches!(view.try_next(), Some(Seen::Sighting(_))));
}

#[test]
fn data_is_seen_only_where_the_application_shows_it() {
    let mut app = App::new("1", Credential::new("k", "s"));
    let hidden = Details::of_event(&app, "e", "data");
    assert_eq!((hidden.bytes, hidden.data), (Some(4), None));
    app.tap_payloads = true;
    assert_eq!(Details::of_event(&app, "e", "data").data.as_deref(), Some("data"));
}

#[test]
fn everybody_sees_what_fits() {
    let (one, two) = (AppId::new("1"), AppId::new("2"));
    let wanted = |app: Option<&AppId>, channel: Option<&str>, kinds: &[Kind]| Wanted {
        app: app.cloned(),
        channel: channel.map(Into::into),
        kinds: kinds.to_vec(),
    };
    for (wanted, fits) in [
        (wanted(None, None, &[]), true),
        (wanted(Some(&one), None, &[]), true),
        (wanted(Some(&two), None, &[]), false),
        (wanted(None, Some("private-a"), &[]), true),
        (wanted(None, Some("private-*"), &[]), true),
        (wanted(None, Some("*"), &[]), true),
        (wanted(None, Some("private-"), &[]), false),
        (wanted(None, None, &[Kind::Error, Kind::Event]), true),
        (wanted(None, None, &[Kind::Error]), false),
    ] {
        assert_eq!(wanted.fits(Kind::Event, Some(&one), Some("private-a")), fits, "{wanted:?}");
    }
    let tap = Arc::new(Tap::default());
    assert!(!tap.wants(Kind::Event, Some(&one)));
    let _view = tap.watch(wanted(Some(&one), Some("private-a"), &[Kind::Event])).unwrap();
    assert!(tap.wants(Kind::Event, Some(&one)));
    assert!(!tap.wants(Kind::Error, Some(&one)));
    assert!(!tap.wants(Kind::Event, Some(&two)));
    assert!(!wanted(Some(&one), None, &[]).fits(Kind::Error, None, None));
    assert!(!wanted(None, Some("*"), &[]).fits(Kind::Connection, Some(&one), None));
}

#[test]
fn what_passes_is_written_once_for_all() {
    let tap = Arc::new(Tap::default());
    let mut views = [(); 2].map(|()| tap.watch(Wanted::default()).unwrap());
    numbered(&tap, 0..1);
    for (view, writer) in views.iter_mut().zip(["first", "second"]) {
        let Some(Seen::Sighting(sighting)) = view.try_next() else { panic!("{writer}") };
        assert_eq!(sighting.written(|_| writer.into()), "first");
    }
}

#[test]
fn only_so_many_look_on() {
    let tap = Arc::new(Tap::default());
    let mut views: Vec<_> = (0..ONLOOKERS).map(|_| tap.watch(Wanted::default()).unwrap()).collect();
    assert!(tap.watch(Wanted::default()).is_none());
    views.pop();
    assert_eq!(tap.watching(), ONLOOKERS - 1);
    assert!(tap.watch(Wanted::default()).is_some());
}

#[test]
fn every_kind_has_a_name() {
    for (kind, name) in KINDS {
        assert_eq!(Kind::of_name(name), Some(kind));
        assert_eq!(kind.name(), name);
    }
    assert_eq!(Kind::of_name("other"), None);
}

#[actix_rt::test]
async fn a_view_wakes_up() {
    let tap = Arc::new(Tap::default());
    let mut view = tap.watch(Wanted::default()).unwrap();
    let waiting = actix_rt::spawn(async move { view.next().await });
    tokio::task::yield_now().await;
    numbered(&tap, 7..8);
    let seen = tokio::time::timeout(std::time::Duration::from_secs(5), waiting).await;
    assert_eq!(number(Some(seen.unwrap().unwrap())), 7);
}
