//! The sockets that sessions live on: TCP, Unix, and TLS over TCP, read and written without blocking.
//!
//! All calls are `try` calls on readiness, never `poll_write`: those count against the task's budget,
//! and a courier that writes to thousands of sockets in one task would stall on it.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::task::{Context, Poll};

use actix_tls::accept::rustls_0_23::TlsStream;
use bytes::Bytes;
use micronotifier_actors::Wire;
use micronotifier_actors::session::effect::Close;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use super::control;

/// Plaintext that rustls may hold for a socket that takes nothing, in bytes.
const TLS_BUFFER: usize = 16 * 1024;
/// Pieces of up to 4 KiB that one read takes off the socket: more than the largest record has, so that
/// records without content cannot keep the thread.
const TLS_PIECES: usize = 16;

/// A socket that a session drives. Calls that would block say so.
pub trait Stream: Wire + 'static {
    /// Whether the client speaks TLS to this node itself.
    const SECURE: bool;

    /// Reads what is there; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; any other error means the socket is gone.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Waits until a read may yield something.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Waits until a write may take something.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The readiness calls that TCP and Unix sockets have in common.
pub trait Socket: 'static {
    /// As `TcpStream::try_read`.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Sends from the slices in their order.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Forgets that the socket was readable.
    fn forget_readable(&self);
    /// As `TcpStream::poll_read_ready`.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// As `TcpStream::poll_write_ready`.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Writes one piece by `send` and several by `sendmsg`; both cost the kernel less than `writev`. The kernel is
/// asked first and the runtime told only of a refusal: its own note of what is writable would be one more cache
/// line for each delivery. No wake-up is lost in between, for the thread on which the runtime learns of new room
/// is this one.
fn send(socket: &SockRef<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    match slices {
        [slice] => socket.send(slice),
        slices => socket.send_vectored(slices),
    }
}

impl Socket for TcpStream {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_read(buffer)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match send(&SockRef::from(self), slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.try_io(Interest::WRITABLE, || Err(error))
            }
            outcome => outcome,
        }
    }

    fn forget_readable(&self) {
        let nothing: io::Result<()> =
            self.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
        drop(nothing);
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }
}

impl Socket for UnixStream {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_read(buffer)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match send(&SockRef::from(self), slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.try_io(Interest::WRITABLE, || Err(error))
            }
            outcome => outcome,
        }
    }

    fn forget_readable(&self) {
        let nothing: io::Result<()> =
            self.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
        drop(nothing);
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }
}

/// A socket without TLS.
pub struct Plain<S>(S);

impl<S: Socket> From<S> for Plain<S> {
    fn from(socket: S) -> Self {
        Self(socket)
    }
}

impl<S: Socket> Wire for Plain<S> {
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write(slices)
    }

    fn flush(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn close_frame(&self, close: &Close) -> Bytes {
        control::close(close.code, close.reason)
    }
}

impl<S: Socket> Stream for Plain<S> {
    const SECURE: bool = false;

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.try_read(buffer)?;
        if count > 0 && count < buffer.len() {
            // the socket is empty: a second read would only be told so. Nothing is missed, for the
            // thread that learns of new bytes is this one, and not before this task yields
            self.0.forget_readable();
        }
        Ok(count)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_writable(cx)
    }
}

/// A TCP socket with TLS, past its handshake.
pub struct Secure(RefCell<TlsStream<TcpStream>>);

impl From<TlsStream<TcpStream>> for Secure {
    fn from(mut stream: TlsStream<TcpStream>) -> Self {
        stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
        Self(RefCell::new(stream))
    }
}

/// Lets rustls read and write a socket by `try` calls.
struct TryIo<'s>(&'s TcpStream);

impl io::Read for TryIo<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for TryIo<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes records out; `false` when the socket takes no more.
fn push_records(socket: &TcpStream, tls: &mut rustls::ServerConnection) -> io::Result<bool> {
    while tls.wants_write() {
        match tls.write_tls(&mut TryIo(socket)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

impl Wire for Secure {
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut stream = self.0.borrow_mut();
        let (socket, tls) = stream.get_mut();
        if !push_records(socket, tls)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = tls.writer().write_vectored(slices)?;
        push_records(socket, tls)?;
        Ok(count)
    }

    fn flush(&self) -> io::Result<bool> {
        let mut stream = self.0.borrow_mut();
        let (socket, tls) = stream.get_mut();
        push_records(socket, tls)
    }

    fn close_frame(&self, close: &Close) -> Bytes {
        control::close(close.code, close.reason)
    }
}

impl Stream for Secure {
    const SECURE: bool = true;

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stream = self.0.borrow_mut();
        let (socket, tls) = stream.get_mut();
        for _ in 0..TLS_PIECES {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            if tls.read_tls(&mut TryIo(socket))? == 0 {
                return Ok(0);
            }
            let processed = tls.process_new_packets();
            // answers of the protocol itself: an alert, a new key
            push_records(socket, tls)?;
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        // the socket is still readable, so whoever waits for that has another turn at once
        tls.reader().read(buffer)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow().get_ref().0.poll_read_ready(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow().get_ref().0.poll_write_ready(cx)
    }
}
