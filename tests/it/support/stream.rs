//! A blocking connection of any kind, with deadlines on reading and writing.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use socket2::SockRef;

use super::DEADLINE;

/// A TCP, Unix or TLS connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Connects over TCP.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = Self::Tcp(TcpStream::connect_timeout(&address, DEADLINE).unwrap());
        stream.tcp().unwrap().set_nodelay(true).unwrap();
        stream.limited()
    }

    /// Connects over TCP with a receive buffer of about `bytes`.
    pub(crate) fn connect_narrow(address: SocketAddr, bytes: usize) -> Self {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            None,
        )
        .unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::Tcp(socket.into()).limited()
    }

    /// Takes a Unix connection.
    pub(crate) fn unix(stream: UnixStream) -> Self {
        Self::Unix(stream).limited()
    }

    /// Takes a TLS connection.
    pub(crate) fn tls(stream: StreamOwned<ClientConnection, TcpStream>) -> Self {
        Self::Tls(Box::new(stream)).limited()
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(stream) => Some(&stream.sock),
            Self::Unix(_) => None,
        }
    }

    fn limited(self) -> Self {
        self.wait_at_most(DEADLINE);
        match (self.tcp(), &self) {
            (Some(tcp), _) => tcp.set_write_timeout(Some(DEADLINE)).unwrap(),
            (None, Self::Unix(unix)) => unix.set_write_timeout(Some(DEADLINE)).unwrap(),
            _ => unreachable!("a stream is TCP or Unix underneath"),
        }
        self
    }

    /// Sets how long a read waits.
    pub(crate) fn wait_at_most(&self, wait: Duration) {
        match (self.tcp(), self) {
            (Some(tcp), _) => tcp.set_read_timeout(Some(wait)).unwrap(),
            (None, Self::Unix(unix)) => unix.set_read_timeout(Some(wait)).unwrap(),
            _ => unreachable!("a stream is TCP or Unix underneath"),
        }
    }

    /// Makes closing cut the connection (RST), as a host that vanishes does.
    pub(crate) fn cut_on_close(&self) {
        let tcp = self.tcp().expect("only TCP can be cut");
        SockRef::from(tcp).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Tells whether an error means that the peer ended the connection.
pub(crate) fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted
    )
}
