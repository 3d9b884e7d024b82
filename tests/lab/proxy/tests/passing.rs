//! What passes through a proxy over real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use micronotifier_fault_proxy::Proxy;

/// A server that sends back each byte as a RESP integer.
fn server(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let (mut client, mut byte) = (client, [0]);
                while client.read_exact(&mut byte).is_ok() && client.write_all(answer).is_ok() {}
            });
        }
    });
    port
}

fn ask(stream: &mut TcpStream) -> Vec<u8> {
    stream.write_all(b"x").unwrap();
    let mut buffer = [0; 64];
    let read = stream.read(&mut buffer).unwrap();
    buffer[..read].to_vec()
}

fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap()
}

#[test]
fn a_stalled_proxy_holds_back_what_was_sent_and_new_connections_too() {
    let proxy = Proxy::start(server(b":1\r\n")).unwrap();
    let mut old = connect(&proxy);
    assert_eq!(ask(&mut old), b":1\r\n");
    proxy.stall();
    let mut new = connect(&proxy);
    for stream in [&mut old, &mut new] {
        stream.write_all(b"x").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(stream.read(&mut [0]).is_err());
        stream.set_read_timeout(None).unwrap();
    }
    proxy.mend();
    let mut answer = [0; 4];
    for stream in [&mut old, &mut new] {
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b":1\r\n");
    }
    assert!(proxy.held() > 0);
}

#[test]
fn a_cut_ends_connections_and_new_ones_may_lead_elsewhere() {
    let proxy = Proxy::start(server(b":1\r\n")).unwrap();
    let mut old = connect(&proxy);
    assert_eq!(ask(&mut old), b":1\r\n");
    proxy.lead_to(server(b":2\r\n"));
    assert_eq!(ask(&mut old), b":1\r\n");
    proxy.cut();
    assert_eq!(old.read(&mut [0]).unwrap_or(0), 0);
    assert_eq!(ask(&mut connect(&proxy)), b":2\r\n");
}
