//! A channel's order under loss, overload, new epochs and lies.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use proptest::prelude::*;

use super::*;

fn epoch(name: &str) -> Epoch {
    Epoch::parse(name).unwrap()
}

/// A server's side of one channel: epoch, serial, and the last events of it.
struct Server {
    epoch: Epoch,
    epochs: u32,
    top: u64,
    history: Vec<(u64, u64)>,
    keeps: usize,
    /// Every event ever published, by its number.
    published: u64,
}

impl Server {
    fn new(keeps: usize) -> Self {
        Self { epoch: epoch("e0"), epochs: 0, top: 0, history: Vec::new(), keeps, published: 0 }
    }

    /// Publishes the next event: its number is its payload.
    fn publish(&mut self) -> (Epoch, u64, u64) {
        self.published += 1;
        self.top += 1;
        self.history.push((self.top, self.published));
        if self.history.len() > self.keeps {
            self.history.remove(0);
        }
        (self.epoch, self.top, self.published)
    }

    fn restart(&mut self) {
        self.epochs += 1;
        self.epoch = epoch(&format!("e{}", self.epochs));
        (self.top, self.history) = (0, Vec::new());
    }

    fn stands(&self) -> Option<(Epoch, u64)> {
        (self.top > 0).then_some((self.epoch, self.top))
    }

    fn page(&self, question: Question, most: usize) -> Page<u64> {
        let from = self.history.iter().filter(|(serial, _)| *serial >= question.from);
        let entries: Vec<_> = from.take(most).copied().collect();
        let full = entries.len() == most;
        Page { ticket: question.ticket, stands: self.stands(), entries, full }
    }
}

#[test]
fn what_follows_on_is_delivered_and_what_was_delivered_is_not() {
    let mut keeper = Keeper::default();
    keeper.begin(Some((epoch("a"), 4)));
    assert_eq!(keeper.take(epoch("a"), 5, 'x', 1).deliver, ['x']);
    let again = keeper.take(epoch("a"), 5, 'x', 1);
    assert!(again.deliver.is_empty() && again.ask.is_none());
    assert_eq!(again.seen.duplicates, 1);
}

#[test]
fn what_comes_before_the_beginning_is_judged_by_it() {
    let mut keeper = Keeper::default();
    for (serial, item) in [(3, 'c'), (4, 'd'), (5, 'e')] {
        let step = keeper.take(epoch("a"), serial, item, 1);
        assert!(step.deliver.is_empty() && step.ask.is_none());
    }
    assert_eq!(keeper.begin(Some((epoch("a"), 3))).deliver, ['d', 'e']);
}

#[test]
fn a_first_event_needs_no_question() {
    let mut keeper = Keeper::default();
    keeper.begin(None);
    assert_eq!(keeper.take(epoch("a"), 1, 'x', 1).deliver, ['x']);
}

#[test]
fn a_hole_is_filled_before_what_comes_after_it() {
    let mut keeper = Keeper::default();
    keeper.begin(Some((epoch("a"), 1)));
    let step = keeper.take(epoch("a"), 4, 4, 1);
    let question = step.ask.unwrap();
    assert_eq!((step.deliver.len(), step.seen.holes, question.from), (0, 1, 2));
    assert!(keeper.take(epoch("a"), 5, 5, 1).ask.is_none(), "one question at a time");
    let stands = Some((epoch("a"), 5));
    let entries = vec![(2, 2), (3, 3), (4, 4), (5, 5)];
    let step = keeper.answer(Page { ticket: question.ticket, stands, entries, full: false });
    assert_eq!((step.deliver, step.ask), (vec![2, 3, 4, 5], None));
    assert_eq!((step.seen.repaired, step.seen.lost), (2, 0));
}

#[test]
fn what_the_history_has_not_any_more_is_lost_and_told() {
    let mut keeper = Keeper::default();
    keeper.begin(Some((epoch("a"), 1)));
    let question = keeper.take(epoch("a"), 6, 6, 1).ask.unwrap();
    let page = Page {
        ticket: question.ticket,
        stands: Some((epoch("a"), 6)),
        entries: vec![(4, 4)],
        full: false,
    };
    let step = keeper.answer(page);
    assert_eq!(step.deliver, [4, 6]);
    assert_eq!((step.seen.lost, step.seen.repaired), (3, 1));
    assert_eq!(keeper.take(epoch("a"), 7, 7, 1).deliver, [7]);
}

#[test]
fn a_position_that_the_server_does_not_know_is_not_believed() {
    for (liar, serial) in [("a", u64::MAX), ("zz", 1), ("zz", 77)] {
        let mut keeper = Keeper::default();
        keeper.begin(Some((epoch("a"), 5)));
        let question = keeper.take(epoch(liar), serial, 'x', 1).ask.unwrap();
        let stands = Some((epoch("a"), 5));
        let page = Page { ticket: question.ticket, stands, entries: Vec::new(), full: false };
        let step = keeper.answer(page);
        assert_eq!((step.deliver.len(), step.seen.bogus, step.ask), (0, 1, None), "{liar}");
        assert_eq!(keeper.take(epoch("a"), 6, 'y', 1).deliver, ['y'], "{liar}");
    }
}

#[test]
fn the_last_serial_of_all_is_no_end_of_the_keeper() {
    let mut keeper = Keeper::default();
    keeper.begin(Some((epoch("a"), u64::MAX)));
    let step = keeper.take(epoch("b"), 1, 'x', 1);
    assert_eq!(step.ask.map(|question| question.from), Some(u64::MAX));
}

#[test]
fn what_is_held_does_not_wait_for_a_server_that_has_forgotten_the_channel() {
    let mut keeper = Keeper::default();
    keeper.begin(Some((epoch("a"), 1)));
    assert!(keeper.compare(None).ask.is_none(), "nothing is held");
    keeper.take(epoch("a"), 3, 'c', 1);
    keeper.pause();
    let question = keeper.compare(None).ask.unwrap();
    let page = Page { ticket: question.ticket, stands: None, entries: Vec::new(), full: false };
    let step = keeper.answer(page);
    assert_eq!((step.deliver, step.seen.lost, step.ask), (vec!['c'], 1, None));
}

#[test]
fn a_new_epoch_is_adopted_on_the_servers_word_and_read_from_its_start() {
    let mut keeper = Keeper::default();
    keeper.begin(Some((epoch("a"), 5)));
    let question = keeper.take(epoch("b"), 2, 12, 1).ask.unwrap();
    let stands = Some((epoch("b"), 2));
    let page = |ticket, entries| Page { ticket, stands, entries, full: false };
    let step = keeper.answer(page(question.ticket, Vec::new()));
    assert_eq!((step.deliver.len(), step.seen.epochs), (0, 1));
    let question = step.ask.unwrap();
    assert_eq!(question.from, 1);
    let step = keeper.answer(page(question.ticket, vec![(1, 11), (2, 12)]));
    assert_eq!((step.deliver, step.ask), (vec![11, 12], None));
}

#[test]
fn a_history_that_is_gone_altogether_holds_nobody_up() {
    let mut keeper = Keeper::default();
    keeper.begin(Some((epoch("a"), 5)));
    let question = keeper.take(epoch("a"), 8, 8, 1).ask.unwrap();
    keeper.take(epoch("b"), 1, 21, 1);
    let page = Page { ticket: question.ticket, stands: None, entries: Vec::new(), full: false };
    let step = keeper.answer(page);
    assert_eq!((step.deliver, step.ask), (vec![8, 21], None));
    assert_eq!((step.seen.lost, step.seen.epochs), (2, 1));
}

#[test]
fn what_cannot_be_held_is_read_again() {
    let mut keeper = Keeper::default();
    let mut server = Server::new(5000);
    server.publish();
    keeper.begin(server.stands());
    server.publish();
    let mut question = None;
    for _ in 0..3000 {
        let (epoch, serial, item) = server.publish();
        question = keeper.take(epoch, serial, item, 1).ask.or(question);
    }
    assert!(keeper.held.len() <= HELD);
    let mut delivered = Vec::new();
    while let Some(asked) = question {
        let step = keeper.answer(server.page(asked, 100));
        delivered.extend(step.deliver);
        question = step.ask;
    }
    assert_eq!(delivered, (2..=3002).collect::<Vec<_>>());
}

/// What happens next to the channel.
#[derive(Debug, Clone, Copy)]
enum Event {
    Publish { arrives: bool },
    Answer,
    Pause,
    Compare,
    Restart,
    Lie { serial: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => any::<bool>().prop_map(|arrives| Event::Publish { arrives }),
        8 => Just(Event::Publish { arrives: true }),
        5 => Just(Event::Answer),
        1 => Just(Event::Pause),
        2 => Just(Event::Compare),
        1 => Just(Event::Restart),
        1 => (1_u64..100).prop_map(|serial| Event::Lie { serial }),
    ]
}

/// The number that no event has. A server that knows the channel never lets it through.
const LIE: u64 = 0;

#[test]
fn what_came_before_a_message_of_the_present_epoch_is_never_delivered_after_it() {
    let answer = |question: Option<Question>, stands| Page {
        ticket: question.unwrap().ticket,
        stands,
        entries: Vec::new(),
        full: false,
    };
    let (over, present) = (epoch("e1"), epoch("e2"));
    let mut keeper = Keeper::default();
    keeper.begin(Some((epoch("e0"), 0)));
    let asked = keeper.take(over, 1, "over", 1).ask;
    keeper.take(over, 2, "over too", 1);
    let asked = keeper.answer(answer(asked, Some((present, 1)))).ask;
    keeper.take(present, 2, "present", 1);
    let step = keeper.answer(answer(asked, None));
    assert_eq!(step.deliver, ["present"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    /// Whatever is lost on the way, duplicated by an answer or invented by a liar: subscribers see every
    /// event once and in order, as long as the history holds it; a restart costs at most what was never read.
    #[test]
    fn order_without_holes(events in prop::collection::vec(event(), 1..120), most in 1_usize..5) {
        let mut server = Server::new(10_000);
        let mut keeper = Keeper::default();
        server.publish();
        keeper.begin(server.stands());
        let mut delivered: Vec<u64> = Vec::new();
        let mut question: Option<Question> = None;
        let mut restarts = 0;
        for event in events {
            let step = match event {
                Event::Publish { arrives } => {
                    let (epoch, serial, item) = server.publish();
                    if !arrives {
                        continue;
                    }
                    keeper.take(epoch, serial, item, 1)
                }
                Event::Answer => match question.take() {
                    Some(asked) => keeper.answer(server.page(asked, most)),
                    None => continue,
                },
                Event::Pause => {
                    question = None;
                    keeper.pause();
                    continue;
                }
                Event::Compare => keeper.compare(server.stands()),
                Event::Restart => {
                    server.restart();
                    restarts += 1;
                    continue;
                }
                Event::Lie { serial } => keeper.take(epoch("liar"), serial, LIE, 1),
            };
            delivered.extend(step.deliver);
            question = step.ask.or(question);
        }
        // one more event, and all questions answered
        let (last_epoch, serial, item) = server.publish();
        let step = keeper.take(last_epoch, serial, item, 1);
        delivered.extend(step.deliver);
        question = step.ask.or(question);
        let step = keeper.compare(server.stands());
        question = step.ask.or(question);
        let mut rounds = 0;
        while let Some(asked) = question {
            let step = keeper.answer(server.page(asked, most));
            delivered.extend(step.deliver);
            question = step.ask;
            rounds += 1;
            prop_assert!(rounds < 1000, "the questions never end");
        }
        let real: Vec<u64> = delivered.iter().copied().filter(|item| *item != LIE).collect();
        prop_assert!(real.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", real);
        prop_assert_eq!(real.last(), Some(&server.published));
        if restarts == 0 {
            let all: Vec<u64> = (2..=server.published).collect();
            prop_assert_eq!(delivered, all);
            return Ok(());
        }
        // everything of the last epoch is there
        let of_last: Vec<u64> = server.history.iter().map(|(_, item)| *item).collect();
        prop_assert!(real.ends_with(&of_last), "{:?} does not end with {:?}", real, of_last);
    }
}
