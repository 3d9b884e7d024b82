//! One HTTP server of a node while it runs: its owner hears of a start that fails and of an end that nobody asked for.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use actix_rt::task::{JoinError, JoinHandle};
use actix_server::{ServerBuilder, ServerHandle};
use futures_util::FutureExt as _;
use futures_util::future::Fuse;
use tokio::sync::oneshot;

/// A server that serves, in a task of the actix system in which it was started.
pub(crate) struct Serving {
    handle: ServerHandle,
    end: Fuse<JoinHandle<io::Result<()>>>,
}

impl Serving {
    /// Starts a server and waits until all its workers have.
    ///
    /// # Errors
    /// If one does not; its listeners are closed then.
    pub(crate) async fn start(builder: ServerBuilder) -> io::Result<Self> {
        let mut server = builder.run();
        let handle = server.handle();
        let (started, has_started) = oneshot::channel();
        // a start that panics, as it does when threads or descriptors run out, ends this task alone
        let end = actix_rt::spawn(async move {
            // the first poll starts the workers and comes back when each has told how that went
            let first = poll_fn(|context| Poll::Ready(Pin::new(&mut server).poll(context))).await;
            if let Poll::Ready(outcome) = first {
                return outcome;
            }
            // An error means that the owner is gone, which is no reason to stop.
            started.send(()).ok();
            server.await
        });
        match has_started.await {
            Ok(()) => Ok(Self { handle, end: end.fuse() }),
            Err(_) => Err(reason(end.await)),
        }
    }

    /// Waits until the server ends and returns why. It tells once, and is then waited for in vain.
    pub(crate) async fn ended(&mut self) -> io::Error {
        reason((&mut self.end).await)
    }

    /// Takes no more connections; those that are open stay.
    pub(crate) async fn pause(&self) {
        self.handle.pause().await;
    }

    /// Ends the server and cuts what is open.
    pub(crate) async fn stop(&self) {
        self.handle.stop(false).await;
    }
}

fn reason(end: Result<io::Result<()>, JoinError>) -> io::Error {
    match end {
        Ok(Ok(())) => io::Error::other("it was stopped"),
        Ok(Err(error)) => error,
        Err(panic) => io::Error::other(panic),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

    use std::net::{Ipv4Addr, SocketAddr, TcpListener};

    use actix_server::Server;
    use actix_service::{fn_factory, fn_service};
    use tokio::net::TcpStream;

    use super::*;

    /// Returns a server with one worker, whose service is made if `ready` says so, and its address.
    fn server(ready: fn() -> bool) -> (ServerBuilder, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let service = || fn_service(|_: TcpStream| async { Ok::<(), ()>(()) });
        let make = move || fn_factory(move || async move { ready().then(service).ok_or(()) });
        let builder = Server::build().workers(1).disable_signals();
        (builder.listen("test", listener, make).unwrap(), address)
    }

    #[actix_rt::test]
    async fn a_start_that_fails_is_told_and_leaves_no_listener() {
        for ready in [|| false, || panic!("on purpose")] {
            let (builder, address) = server(ready);
            assert!(Serving::start(builder).await.is_err());
            assert!(connect(address).is_err());
        }
    }

    #[actix_rt::test]
    async fn an_end_is_told_once() {
        let (builder, address) = server(|| true);
        let mut serving = Serving::start(builder).await.unwrap();
        connect(address).unwrap();
        assert!(serving.ended().now_or_never().is_none());
        serving.stop().await;
        assert_eq!(serving.ended().await.to_string(), "it was stopped");
        assert!(serving.ended().now_or_never().is_none());
        // what is asked of one that is gone is not waited for
        serving.pause().await;
        serving.stop().await;
    }

    fn connect(address: SocketAddr) -> io::Result<std::net::TcpStream> {
        std::net::TcpStream::connect(address)
    }
}
