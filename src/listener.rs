//! The listeners of a server: TCP, TLS and Unix sockets for the public, TCP for the operator.
//!
//! Below the API stands an ordinary actix-web application; upgrade requests never reach it, they go to
//! the sessions' side with the socket itself.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use actix_codec::{AsyncRead, AsyncWrite, Framed};
use actix_http::body::BoxBody;
use actix_http::error::DispatchError;
use actix_http::h1::{Codec, ExpectHandler, H1Service};
use actix_http::{HttpService, Request, Response};
use actix_server::ServerBuilder;
use actix_service::{
    IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_factory, fn_service,
    map_config,
};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::App;
use actix_web::dev::AppConfig;
use micronotifier_actors::Worker;
use micronotifier_actors::limits::NodeLimits;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpStream, UnixStream};

use crate::config::{HttpConfig, SocketConfig};
use crate::edge::ws::admission::Admission;
use crate::edge::ws::stream::{Plain, Secure, Stream};
use crate::edge::ws::upgrade::Upgrades;
use crate::edge::{EdgeState, admin::Operator, routes};
use crate::timed::{Timed, Waits};

/// What each worker's services are made of.
#[derive(Clone)]
pub(crate) struct WorkerState {
    pub(crate) limits: Arc<NodeLimits>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) edge: EdgeState,
    pub(crate) http: HttpConfig,
}

thread_local! {
    /// This thread's part of the node. Services are made once for each listener, the part only once.
    static WORKER: OnceCell<Worker> = const { OnceCell::new() };
}

impl WorkerState {
    /// Returns how long an HTTP connection may be without progress. An answer may have to wait for two
    /// questions to the node: a request that waits for its twin asks again when that one has failed.
    fn waits(&self) -> Waits {
        let HttpConfig { request_head, request_body, keep_alive, .. } = self.http;
        Waits { request: request_head + request_body + 2 * self.limits.ask, idle: keep_alive }
    }

    /// Attaches this thread to the node, unless it is.
    fn upgrades(&self) -> Result<Rc<Upgrades>, &'static str> {
        let attach = || self.edge.node.attach_worker().map_err(|_| "more threads than workers");
        let worker = WORKER.with(|cell| match cell.get() {
            Some(worker) => Ok(worker.clone()),
            None => attach().map(|worker| cell.get_or_init(|| worker).clone()),
        })?;
        Ok(Rc::new(Upgrades {
            worker,
            edge: self.edge.clone(),
            limits: Arc::clone(&self.limits),
            admission: Arc::clone(&self.admission),
        }))
    }
}

/// Adds a plain TCP listener.
pub(crate) fn plain(
    builder: ServerBuilder,
    listener: TcpListener,
    state: &WorkerState,
) -> io::Result<ServerBuilder> {
    let state = state.clone();
    builder.listen("public", listener, move || {
        timed_tcp(state.waits()).and_then(public::<TcpStream, Plain<TcpStream>>(state.clone()))
    })
}

/// Adds a TCP listener that takes the TLS off itself.
pub(crate) fn secure(
    builder: ServerBuilder,
    listener: TcpListener,
    state: &WorkerState,
    tls: &rustls::ServerConfig,
) -> io::Result<ServerBuilder> {
    let (state, tls) = (state.clone(), tls.clone());
    builder.listen("public over TLS", listener, move || {
        let waits = state.waits();
        let mut acceptor = Acceptor::new(tls.clone());
        acceptor.set_handshake_timeout(state.http.request_head);
        acceptor
            .map_init_err(drop)
            .map_err(TlsError::into_service_error)
            .map(move |stream: TlsStream<TcpStream>| {
                let peer = stream.get_ref().0.peer_addr().ok();
                (Timed::new(stream, waits), peer)
            })
            .and_then(
                public::<TlsStream<TcpStream>, Secure>(state.clone()).map_err(TlsError::Service),
            )
    })
}

/// Binds a Unix socket. One that an earlier process left behind is replaced.
///
/// # Errors
/// If somebody listens there, or the file cannot be made.
pub(crate) fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::FileTypeExt as _;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

/// Adds a Unix socket.
pub(crate) fn unix(
    builder: ServerBuilder,
    listener: UnixListener,
    state: &WorkerState,
) -> io::Result<ServerBuilder> {
    let state = state.clone();
    builder.listen_uds("public by Unix socket", listener, move || {
        let waits = state.waits();
        fn_service(move |stream: UnixStream| ready(Ok((Timed::new(stream, waits), None))))
            .and_then(public::<UnixStream, Plain<UnixStream>>(state.clone()))
    })
}

/// Adds the operator's listener.
pub(crate) fn admin(
    builder: ServerBuilder,
    listener: TcpListener,
    operator: &Operator,
    state: &WorkerState,
) -> io::Result<ServerBuilder> {
    let (operator, state) = (operator.clone(), state.clone());
    builder.listen("admin", listener, move || {
        let app = App::new().configure(operator.clone().routes());
        let app = map_config(app.into_factory(), |()| AppConfig::default());
        let http = HttpService::build()
            .client_request_timeout(state.http.request_head)
            // who looks on at the tap and has gone is to be noticed at once
            .h1_allow_half_closed(false)
            .h1(app);
        timed_tcp(state.waits()).and_then(http)
    })
}

/// Takes accepted sockets, and puts a clock on them.
fn timed_tcp(
    waits: Waits,
) -> impl ServiceFactory<
    TcpStream,
    Config = (),
    Response = (Timed<TcpStream>, Option<SocketAddr>),
    Error = DispatchError,
    InitError = (),
> {
    fn_service(move |stream: TcpStream| {
        let peer = stream.peer_addr().ok();
        ready(Ok((Timed::new(stream, waits), peer)))
    })
}

/// Binds every address of a host, with the options that accepted sockets inherit. An address that the
/// machine does not have is left out.
///
/// # Errors
/// If somebody else has the port at one of the addresses, or no address can be bound: the last error.
pub(crate) fn bind(host: &str, port: u16, options: &SocketConfig) -> io::Result<Vec<TcpListener>> {
    bind_all((host, port).to_socket_addrs()?, options)
}

fn bind_all(
    addresses: impl Iterator<Item = SocketAddr>,
    options: &SocketConfig,
) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut seen = HashSet::new();
    for mut address in addresses.filter(|address| seen.insert(*address)) {
        let may_move = address.port() == 0;
        // port 0: all addresses share the port that the first one got
        if let Some(Ok(first)) = listeners.first().map(TcpListener::local_addr) {
            address.set_port(first.port());
        }
        match bind_one(address, options) {
            Ok(listener) => listeners.push(listener),
            // clients of one name would find two servers
            Err(error) if !may_move && error.kind() == io::ErrorKind::AddrInUse => {
                return Err(error);
            }
            Err(error) => last_error = error,
        }
    }
    if listeners.is_empty() { Err(last_error) } else { Ok(listeners) }
}

fn bind_one(address: SocketAddr, options: &SocketConfig) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_loopback() {
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(options.send_buffer_bytes)?;
    socket.set_tcp_notsent_lowat(options.notsent_lowat_bytes)?;
    socket.set_tcp_user_timeout(Some(options.user_timeout))?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Builds the HTTP service of a public listener: the API for requests, sessions for upgrades.
#[expect(clippy::type_complexity, reason = "the services inside have types that cannot be named")]
fn public<T, S>(
    state: WorkerState,
) -> H1Service<
    Timed<T>,
    impl ServiceFactory<
        Request,
        Config = (),
        Response: Into<Response<BoxBody>>,
        Error: Into<Response<BoxBody>>,
        InitError: std::fmt::Debug,
        Future: 'static,
    >,
    BoxBody,
    ExpectHandler,
    impl ServiceFactory<
        (Request, Framed<Timed<T>, Codec>),
        Config = (),
        Response = (),
        Error = actix_web::Error,
        InitError = &'static str,
        Future: 'static,
    >,
>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Stream + From<T>,
{
    let app = App::new().configure(routes(state.edge.clone()));
    let app = map_config(app.into_factory(), |()| AppConfig::default());
    let limits = state.http;
    HttpService::build()
        .keep_alive(limits.keep_alive)
        .client_request_timeout(limits.request_head)
        .client_disconnect_timeout(limits.request_head)
        .upgrade(fn_factory(move || {
            let upgrades = state.upgrades();
            async move {
                let upgrades = upgrades?;
                Ok(fn_service(move |(request, framed): (Request, Framed<Timed<T>, Codec>)| {
                    let upgrades = Rc::clone(&upgrades);
                    async move {
                        let parts = framed.into_parts();
                        let stream = S::from(parts.io.into_inner());
                        upgrades
                            .take(request.head(), stream, parts.read_buf, parts.write_buf)
                            .await;
                        Ok(())
                    }
                }))
            }
        }))
        .h1(app)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn a_port_that_is_taken_at_one_address_of_a_host_is_refused() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let options = SocketConfig::default();
        let first = bind_one(taken, &options).unwrap();
        let other = SocketAddr::from(([127, 0, 0, 2], taken.port()));
        let bound = bind_all([other, taken].into_iter(), &options);
        assert_eq!(bound.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert_eq!(bind_all([taken, taken, other].into_iter(), &options).unwrap().len(), 2);
    }
}
