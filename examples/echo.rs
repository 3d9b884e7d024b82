//! Echoes WebSocket messages through the node's frame reader; what `tests/autobahn/run.sh` tests.
//!
//! Listens on the address given as its only argument (default: any free port of 127.0.0.1) and
//! prints where.

use std::convert::Infallible;
use std::io::{self, Write as _};

use actix_codec::Framed;
use actix_http::{HttpService, Request, Response, StatusCode, h1};
use actix_rt::net::TcpStream;
use actix_server::Server;
use actix_service::fn_service;
use micronotifier::edge::ws::frame::{FrameLimits, FrameReader, Incoming, Input};
use micronotifier::edge::ws::{control, handshake};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Autobahn's longest messages have 16 MiB, its most fragmented ones thousands of pieces.
const LIMITS: FrameLimits = FrameLimits { message_bytes: 16 * 1024 * 1024, fragments: usize::MAX };

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

#[actix_rt::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let listener = std::net::TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0"))?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    let server = Server::build().workers(1).listen("echo", listener, || {
        HttpService::build()
            .upgrade(fn_service(|(request, framed): (Request, _)| async move {
                // a connection that breaks is its client's matter
                serve(&request, framed).await.or(Ok::<_, Infallible>(()))
            }))
            .finish(|_: Request| async {
                Ok::<_, Infallible>(Response::new(StatusCode::UPGRADE_REQUIRED))
            })
            .tcp()
    })?;
    server.run().await
}

/// Serves one client until it closes or breaks a rule.
async fn serve(request: &Request, framed: Framed<TcpStream, h1::Codec>) -> io::Result<()> {
    let parts = framed.into_parts();
    let mut socket = parts.io;
    match handshake::accept(request.head()) {
        Ok(answer) => socket.write_all(&answer).await?,
        Err(error) => {
            socket.write_all(&error.answer()).await?;
            return socket.shutdown().await;
        }
    }
    let mut early = parts.read_buf.to_vec();
    let mut scratch = vec![0; 16 * 1024];
    let mut reader = FrameReader::new();
    let mut replies = Vec::new();
    let mut is_open = answer(&mut reader, &mut early, &mut replies);
    loop {
        socket.write_all(&replies).await?;
        replies.clear();
        if !is_open {
            return socket.shutdown().await;
        }
        let size = socket.read(&mut scratch).await?;
        if size == 0 {
            return Ok(());
        }
        is_open = answer(&mut reader, scratch.get_mut(..size).unwrap_or_default(), &mut replies);
    }
}

/// Appends the replies to what was read; tells whether the connection goes on.
fn answer(reader: &mut FrameReader, bytes: &mut [u8], replies: &mut Vec<u8>) -> bool {
    let mut input = Input::new(bytes);
    loop {
        match reader.next(&mut input, LIMITS) {
            Ok(Some(Incoming::Text(text))) => write_data(replies, TEXT, text.as_bytes()),
            Ok(Some(Incoming::Binary(bytes))) => write_data(replies, BINARY, &bytes),
            Ok(Some(Incoming::Ping(payload))) => replies.extend(control::pong(&payload)),
            Ok(Some(Incoming::Pong(_))) => {}
            Ok(Some(Incoming::Close(close))) => {
                replies.extend(control::close_reply(close.as_ref()));
                return false;
            }
            Ok(None) => return true,
            Err(error) => {
                replies.extend(control::close(error.close_code(), &error.to_string()));
                return false;
            }
        }
    }
}

/// Appends a data frame with the shortest header.
fn write_data(replies: &mut Vec<u8>, first: u8, payload: &[u8]) {
    replies.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => replies.push(short),
        (_, Ok(medium)) => {
            replies.push(126);
            replies.extend(medium.to_be_bytes());
        }
        _ => {
            replies.push(127);
            replies.extend((payload.len() as u64).to_be_bytes());
        }
    }
    replies.extend_from_slice(payload);
}
