//! Few questions are put to Redis at a time; the others wait in order, until Redis is lost.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::cell::RefCell;

use futures_util::FutureExt as _;
use futures_util::future::{join_all, pending, ready};

use super::*;

#[tokio::test]
async fn a_few_are_admitted_and_the_next_when_one_has_its_answer() {
    let (line, begun) = (Line::default(), RefCell::new(Vec::new()));
    let (answer, answered) = oneshot::channel::<()>();
    let answered = answered.shared();
    let ask = |number| {
        let (begun, answered) = (&begun, answered.clone());
        line.admit(async move {
            begun.borrow_mut().push(number);
            answered.await.unwrap();
        })
    };
    let mut all = Box::pin(join_all((0..ADMITTED + 5).map(ask)));
    assert!(all.as_mut().now_or_never().is_none());
    assert_eq!(*begun.borrow(), (0..ADMITTED).collect::<Vec<_>>());
    answer.send(()).unwrap();
    assert!(all.await.iter().all(Option::is_some));
    assert_eq!(*begun.borrow(), (0..ADMITTED + 5).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_waits_when_redis_is_lost_is_turned_away_and_who_gives_up_makes_room() {
    let line = Line::default();
    for _ in 0..2 {
        let occupy = |_| Box::pin(line.admit(pending::<()>()));
        let mut held: Vec<_> = (0..ADMITTED).map(occupy).collect();
        for one in &mut held {
            assert!(one.as_mut().now_or_never().is_none());
        }
        let mut waiting = [Box::pin(line.admit(ready(()))), Box::pin(line.admit(ready(())))];
        for one in &mut waiting {
            assert_eq!(one.as_mut().now_or_never(), None);
        }
        let [gives_up, stays] = waiting;
        drop(gives_up);
        held.pop();
        assert_eq!(stays.now_or_never(), Some(Some(())));
        held.push(Box::pin(line.admit(pending())));
        assert!(held.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        let mut waiting = Box::pin(line.admit(ready(())));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        line.turn_away();
        assert_eq!(waiting.now_or_never(), Some(None));
        // who had a turn keeps it, and takes none from those who come later
        assert!(held.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        assert_eq!(line.admit(ready(())).now_or_never(), Some(Some(())));
    }
}

#[test]
fn no_more_wait_than_there_are_places() {
    let line = Line::default();
    let mut places: Vec<_> = (0..WAITING).map(|_| line.place().unwrap()).collect();
    assert!(line.place().is_none());
    places.pop();
    assert!(line.place().is_some());
}
