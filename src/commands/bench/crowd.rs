//! The threads that hold the sockets.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::watch;
use tokio::time::Instant;

use super::shared::Shared;
use super::subscriber::Crew;
use super::tally::Part;
use crate::commands::target::Target;

/// All sockets, on their threads.
pub(super) struct Crowd {
    threads: Vec<JoinHandle<io::Result<Part>>>,
    stop: watch::Sender<bool>,
}

impl Crowd {
    /// Starts the threads; their sockets connect one after the other.
    pub(super) fn start(shared: &Arc<Shared>, target: &Arc<Target>) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let mut threads = Vec::new();
        for index in 0..shared.plan.threads {
            let (shared, target) = (Arc::clone(shared), Arc::clone(target));
            let stopped = stopped.clone();
            let thread = thread::Builder::new().name(format!("sockets-{index}"));
            threads.push(thread.spawn(move || hold(shared, target, index, stopped))?);
        }
        Ok(Self { threads, stop })
    }

    /// Ends all connections and returns what was seen.
    pub(super) fn end(self) -> io::Result<Vec<Part>> {
        self.stop.send_replace(true);
        let join = |thread: JoinHandle<io::Result<Part>>| {
            thread.join().map_err(|_| io::Error::other("a thread of sockets has panicked"))?
        };
        self.threads.into_iter().map(join).collect()
    }
}

/// Holds every n-th socket until it is stopped.
fn hold(
    shared: Arc<Shared>,
    target: Arc<Target>,
    index: u32,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<Part> {
    let publishers = shared.plan.publishers;
    let part = || Part::new(publishers).map_err(io::Error::other);
    let seen = Rc::new(RefCell::new(part()?));
    actix_rt::System::new().block_on(async {
        let client = target.client().map_err(io::Error::other)?;
        let numbers = (index..shared.plan.connections).step_by(shared.plan.threads as usize);
        let part = Rc::clone(&seen);
        let crew = Rc::new(Crew { shared, target, client, part, begin: Instant::now() });
        for number in numbers {
            actix_rt::spawn(Rc::clone(&crew).attend(number));
        }
        // Fails where nobody is left to stop it.
        stopped.wait_for(|stop| *stop).await.map(drop).unwrap_or_default();
        io::Result::Ok(())
    })?;
    Ok(seen.replace(part()?))
}
