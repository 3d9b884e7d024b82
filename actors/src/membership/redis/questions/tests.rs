//! Few questions are put to Redis at a time, the others wait in order, and not for ever.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::cell::RefCell;

use futures_util::FutureExt as _;
use futures_util::future::{join_all, pending};

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

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_not_admitted_and_who_gives_up_makes_room() {
    let line = Line::default();
    let mut held: Vec<_> = (0..ADMITTED).map(|_| Box::pin(line.admit(pending::<()>()))).collect();
    for one in &mut held {
        assert!(one.as_mut().now_or_never().is_none());
    }
    assert_eq!(line.admit(async {}).await, None);
    held.pop();
    assert_eq!(line.admit(async {}).await, Some(()));
}

#[test]
fn no_more_wait_than_there_are_places() {
    let line = Line::default();
    let mut places: Vec<_> = (0..WAITING).map(|_| line.place().unwrap()).collect();
    assert!(line.place().is_none());
    places.pop();
    assert!(line.place().is_some());
}
