//! Says nothing for as long as clients say nothing, and looks whether the connection lives through it.

use std::time::Duration;

use tokio::time::Instant;

use crate::commands::follow::{PING, PONG};
use crate::commands::socket::Lost;

use super::report::Finding;
use super::talk::{NoAnswer, Talk};

/// How much later than promised a server may ask for a sign of life.
const LATE: Duration = Duration::from_secs(5);
/// What to do about a proxy that has too little patience.
const RAISE: &str = "raise the timeout of the proxy";
/// How some call it.
const TIMEOUTS: &str = "nginx: proxy_read_timeout and proxy_send_timeout; haproxy: timeout tunnel; a load balancer: idle timeout";

/// Is silent until the server asks for a sign of life, or for as long as a client would be; then each side speaks once.
pub(super) async fn bear(talk: &mut Talk) -> Finding<()> {
    let promised = talk.activity_timeout();
    let began = Instant::now();
    let end = began + promised + LATE;
    let is_asked = loop {
        match talk.next(end).await {
            Ok(message) if message.event == "pusher:ping" => break true,
            Ok(_) => {}
            Err(NoAnswer::Silent) => break false,
            Err(NoAnswer::Lost(lost)) => {
                return Finding::stop(lost_in(&lost, began.elapsed(), promised));
            }
        }
    };
    let silent = began.elapsed();
    match speak(talk, is_asked).await {
        Ok(()) => {
            let who = if is_asked { "the server asks for a sign of life, and" } else { "it" };
            let seconds = whole(silent);
            Finding::well(format!("after {seconds} s without a word {who} answers one"), ())
        }
        Err(NoAnswer::Lost(lost)) if lost.code.is_some() => {
            Finding::stop(lost_in(&lost, silent, promised))
        }
        Err(NoAnswer::Lost(_)) => {
            Finding::stop(forgotten("the first one breaks the connection", silent, promised))
        }
        Err(NoAnswer::Silent) => Finding::stop(forgotten(
            "nothing passes any more, and neither side is told",
            silent,
            promised,
        )),
    }
}

fn forgotten(what: &str, after: Duration, promised: Duration) -> String {
    format!(
        "after {} s without a word {what}: something on the way (a NAT, a firewall) forgot the connection; raise its idle timeout over {} s, or set the node's activity-timeout below it",
        whole(after),
        promised.as_secs(),
    )
}

async fn speak(talk: &mut Talk, is_asked: bool) -> Result<(), NoAnswer> {
    if is_asked {
        talk.send(PONG.to_owned()).await?;
    }
    talk.send(PING.to_owned()).await?;
    talk.until(|message| (message.event == "pusher:pong").then_some(())).await
}

fn lost_in(lost: &Lost, after: Duration, promised: Duration) -> String {
    let (after, promised) = (whole(after), promised.as_secs());
    if let Some(code) = lost.code {
        return format!(
            "after {after} s the server itself closed the connection with {code} ({}): ask its log",
            lost.reason
        );
    }
    if after >= promised {
        return format!(
            "cut after {after} s without a word, just when the {promised} s were over that the server lets clients be silent (its activity-timeout): {RAISE} over that, with room for pong-timeout ({TIMEOUTS}), or set the node's activity-timeout well below {promised}"
        );
    }
    let or_lower = if after > 1 {
        format!(", or set the node's activity-timeout below {after}")
    } else {
        String::new()
    };
    format!(
        "cut after {after} s without a word, where the server lets clients be silent for {promised} s (its activity-timeout): {RAISE} over that, with room for pong-timeout ({TIMEOUTS}){or_lower}"
    )
}

/// Returns the nearest number of seconds: a timeout of a minute cuts a little before it.
fn whole(time: Duration) -> u64 {
    time.saturating_add(Duration::from_millis(500)).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_judged_by_when_it_comes() {
        let told = |seconds| {
            let after = Duration::from_secs(seconds);
            lost_in(&Lost::because("the connection ended"), after, Duration::from_mins(2))
        };
        assert!(told(60).ends_with("or set the node's activity-timeout below 60"), "{}", told(60));
        for seconds in [120, 123] {
            let told = told(seconds);
            assert!(told.contains("just when the 120 s were over"), "{told}");
            assert!(told.ends_with("well below 120"), "{told}");
        }
    }
}
