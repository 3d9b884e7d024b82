//! What a run writes down as it happens, one JSON object a line: all that the checker knows.
//!
//! One clock for everything: microseconds since the run began. Records of one connection stand in the order
//! of their receipt. Channels and users are numbers; their names are in `run.json` beside the log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Microseconds since the run began.
pub(crate) type Micros = u64;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
pub(crate) enum Record {
    /// A socket was established. `client` comes back with another `conn`.
    Opened { at: Micros, conn: u32, client: u32, node: u32 },
    /// It ended: by the client's own wish, or not.
    Closed { at: Micros, conn: u32, ours: bool, why: String },
    /// An upgrade failed, with this status, 0 if there was none.
    Turned { at: Micros, client: u32, status: u16 },
    /// A subscription was asked for; `may` is false where it must be refused.
    Asked { at: Micros, conn: u32, channel: u32, user: Option<u32>, may: bool },
    /// It succeeded; of a presence channel, who was there.
    Subscribed { at: Micros, conn: u32, channel: u32, users: Option<Vec<u32>> },
    /// It was refused.
    Refused { at: Micros, conn: u32, channel: u32 },
    /// The client unsubscribed.
    Left { at: Micros, conn: u32, channel: u32 },
    /// An event came.
    Got { at: Micros, conn: u32, channel: u32, event: u64 },
    /// A member came or went.
    Member { at: Micros, conn: u32, channel: u32, user: u32, came: bool },
    /// A trigger was sent, for the first time, to this node; `except` gets no copy.
    Sent { at: Micros, event: u64, channel: u32, node: u32, except: Option<u32> },
    /// Its last answer: the status, 0 if there was none, and how often it was sent in all.
    Answered { at: Micros, event: u64, status: u16, attempts: u32 },
    /// What Redis keeps at a position of a channel; no event where it is none of ours.
    Kept { at: Micros, channel: u32, epoch: String, serial: u64, event: Option<u64> },
    /// Whether a node is ready has changed.
    Ready { at: Micros, node: u32, is: bool },
    /// How long a node took to answer `/up`, where it was over 250 ms; it is asked four times a second.
    Slow { at: Micros, node: u32, millis: u64 },
    /// The lab itself stood still until now, where it was over 250 ms: what it saw meanwhile has a later time.
    Stalled { at: Micros, micros: Micros },
    /// What a node says of itself; `still` where nothing has moved for a while and nothing will meanwhile.
    Figures { at: Micros, node: u32, still: bool, values: BTreeMap<String, f64> },
    /// How many users of a presence channel the API of a node tells, at such a moment.
    Told { at: Micros, node: u32, channel: u32, users: u64 },
    /// What a node has written or tells was searched for what nobody may read: how much, and what was found, by kind.
    Searched { at: Micros, node: u32, place: String, bytes: u64, found: BTreeMap<String, u64> },
    /// A step of a scenario, at a node if it concerns one.
    Mark { at: Micros, scenario: String, what: String, node: Option<u32> },
    /// Evidence that a fault has happened: what was seen, and how often.
    Proof { at: Micros, scenario: String, what: String, count: u64 },
}

/// Writes records from anywhere. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    begin: Instant,
    records: Sender<Record>,
    connections: Arc<AtomicU32>,
    events: Arc<AtomicU64>,
}

/// Writes the file until all recorders are gone.
#[derive(Debug)]
pub(crate) struct Writer(JoinHandle<io::Result<()>>);

/// Begins a log.
///
/// # Errors
/// The file cannot be made.
pub(crate) fn begin(path: &Path) -> io::Result<(Recorder, Writer)> {
    let mut file = BufWriter::new(File::create(path)?);
    let (records, all) = mpsc::channel::<Record>();
    let writer = std::thread::spawn(move || {
        for record in all {
            serde_json::to_writer(&mut file, &record)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    });
    let recorder = Recorder {
        begin: Instant::now(),
        records,
        connections: Arc::default(),
        events: Arc::default(),
    };
    Ok((recorder, Writer(writer)))
}

impl Recorder {
    /// Returns the time of the run.
    pub(crate) fn now(&self) -> Micros {
        self.at(Instant::now())
    }

    /// Returns a moment as the time of the run.
    pub(crate) fn at(&self, moment: Instant) -> Micros {
        let since = moment.saturating_duration_since(self.begin);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// Writes a record.
    pub(crate) fn note(&self, record: Record) {
        // It fails only after the writer has failed, which says so itself.
        self.records.send(record).ok();
    }

    /// Writes a step of a scenario; returns when it was.
    pub(crate) fn mark(&self, scenario: &str, what: &str, node: Option<u32>) -> Micros {
        let at = self.now();
        let (scenario, what) = (scenario.to_owned(), what.to_owned());
        self.note(Record::Mark { at, scenario, what, node });
        at
    }

    /// Writes evidence.
    pub(crate) fn proof(&self, scenario: &str, what: impl Into<String>, count: u64) {
        let (scenario, what) = (scenario.to_owned(), what.into());
        self.note(Record::Proof { at: self.now(), scenario, what, count });
    }

    /// Returns the number of the next connection.
    pub(crate) fn connection(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the number of the next event.
    pub(crate) fn event(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }
}

impl Writer {
    /// Waits until everything is written. All recorders must be gone.
    ///
    /// # Errors
    /// Of the file.
    pub(crate) fn end(self) -> io::Result<()> {
        self.0.join().map_err(|_| io::Error::other("the writer of the log has panicked"))?
    }
}

/// Reads a whole log.
///
/// # Errors
/// Of the file, and of a line that is no record.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Record>> {
    let lines = BufReader::new(File::open(path)?).lines();
    lines.map(|line| serde_json::from_str(&line?).map_err(io::Error::other)).collect()
}

/// Returns seconds in the unit of the log.
pub(crate) const fn seconds(count: u64) -> Micros {
    count * 1_000_000
}

/// Returns a span of the log in seconds.
#[expect(clippy::cast_precision_loss, reason = "a run is far shorter than 2^52 µs")]
pub(crate) fn in_seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}
