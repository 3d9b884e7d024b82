//! Finds the addresses of a name and knocks at each.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::report::Finding;

/// How long a resolver may take.
const LOOK_UP: Duration = Duration::from_secs(10);
/// How long one address may take to answer. A client of Pusher waits ten seconds for everything.
const KNOCK: Duration = Duration::from_secs(5);
/// Addresses that are tried: a name with more is a content network, and one is as good as another.
const MOST_ADDRESSES: usize = 8;
/// `EAFNOSUPPORT` of Linux and of macOS: the kernel has no such addresses.
const NO_FAMILY: [i32; 2] = [97, 47];

/// Looks a name up.
pub(super) async fn resolve(host: &str, port: u16) -> Finding<Vec<SocketAddr>> {
    let asked = (host.to_owned(), port);
    let look_up = apart(move || asked.to_socket_addrs());
    let addresses: Vec<SocketAddr> = match timeout(LOOK_UP, look_up).await {
        Ok(Ok(found)) => found.take(MOST_ADDRESSES).collect(),
        Ok(Err(error)) => return Finding::stop(nameless(host, &error.to_string())),
        Err(_) => {
            return Finding::stop(format!(
                "no name server answered about {host} in {} s: check the network of this machine and its /etc/resolv.conf",
                LOOK_UP.as_secs()
            ));
        }
    };
    if addresses.is_empty() {
        return Finding::stop(nameless(host, "no address"));
    }
    if host.parse::<IpAddr>().is_ok() {
        return Finding::well(
            format!("{host} is an address, there is no name to look up"),
            addresses,
        );
    }
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    Finding::well(format!("{host} is at {}", shown.join(", ")), addresses)
}

fn nameless(host: &str, cause: &str) -> String {
    format!(
        "{host} has no address ({cause}): check how it is written, and that its A or AAAA record is published"
    )
}

/// Runs what may block for ever on a thread of its own: at its end the program waits for the runtime's, and not for this.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (done, answer) = oneshot::channel();
    // who does not wait any more needs no answer
    thread::Builder::new().spawn(move || drop(done.send(work())))?;
    answer.await.map_err(io::Error::other)?
}

/// Connects to each address, and returns those that answer.
pub(super) async fn connect(addresses: &[SocketAddr]) -> Finding<Vec<SocketAddr>> {
    let mut answering = Vec::new();
    let mut deaf = Vec::new();
    let mut unreachable_here = Vec::new();
    let mut fastest = KNOCK;
    for (address, knock) in join_all(addresses.iter().map(|address| knock(*address))).await {
        match knock {
            Ok(took) => {
                answering.push(address);
                fastest = fastest.min(took);
            }
            Err(Deaf { is_here: true, words }) => unreachable_here.push(words),
            Err(Deaf { is_here: false, words }) => deaf.push(words),
        }
    }
    let shown: Vec<String> = answering.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    if answering.is_empty() {
        deaf.append(&mut unreachable_here);
        return Finding::stop(deaf.join("; "));
    }
    let mut aside = String::new();
    for words in unreachable_here {
        aside.push_str("; ");
        aside.push_str(&words);
    }
    if deaf.is_empty() {
        let took = fastest.as_millis();
        return Finding::well(format!("{shown} answers in {took} ms{aside}"), answering);
    }
    Finding::flaw(
        format!(
            "{}; {shown} answers{aside}: make all of them answer, or take the record of those that do not out of the DNS, for clients that try them first lose seconds",
            deaf.join("; ")
        ),
        answering,
    )
}

/// An address that does not answer.
struct Deaf {
    /// It is this machine that cannot reach it: no matter of the server's while another address answers.
    is_here: bool,
    words: String,
}

async fn knock(address: SocketAddr) -> (SocketAddr, Result<Duration, Deaf>) {
    let began = Instant::now();
    let knock = match timeout(KNOCK, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(began.elapsed()),
        Ok(Err(error)) => {
            Err(Deaf { is_here: is_here(address, &error), words: refused(address, &error) })
        }
        Err(_) => {
            let seconds = KNOCK.as_secs();
            let words = format!(
                "{address} does not answer in {seconds} s: a firewall or security group drops it, or the machine is off"
            );
            Err(Deaf { is_here: false, words })
        }
    };
    (address, knock)
}

/// Tells whether an address cannot be tried on this machine: it has no IPv6, or `localhost` has two addresses of which
/// one is in use.
fn is_here(address: SocketAddr, error: &io::Error) -> bool {
    let is_cut_off = is_unrouted(error)
        || error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error().is_some_and(|number| NO_FAMILY.contains(&number));
    let is_own = address.ip().is_loopback() && error.kind() == io::ErrorKind::ConnectionRefused;
    address.is_ipv6() && (is_cut_off || is_own)
}

fn is_unrouted(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable)
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return format!(
            "nothing listens at {address}: start the node or the proxy there, or check the port"
        );
    }
    if is_unrouted(error) || is_here(address, error) {
        return format!("there is no way from this machine to {address} ({error})");
    }
    format!("{address}: {error}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use std::net::{Ipv6Addr, TcpListener};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_name_server_that_never_answers_is_not_waited_for() {
        let (_asked, answer) = mpsc::channel::<()>();
        let looked_up = actix_rt::System::new().block_on(async {
            let look_up = apart(move || answer.recv().map_err(io::Error::other));
            timeout(Duration::from_millis(1), look_up).await
        });
        assert!(looked_up.is_err());
    }

    #[test]
    fn what_this_machine_cannot_reach_is_not_the_servers_fault() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let own = SocketAddr::from((Ipv6Addr::LOCALHOST, 80));
        let far: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
        assert!(is_here(own, &refused) && !is_here(far, &refused));
        assert!(!is_here("127.0.0.1:80".parse().unwrap(), &refused));
        for error in [
            io::ErrorKind::NetworkUnreachable.into(),
            io::ErrorKind::AddrNotAvailable.into(),
            io::Error::from_raw_os_error(97),
        ] {
            assert!(is_here(far, &error), "{error}");
            assert!(!is_here("192.0.2.1:80".parse().unwrap(), &error), "{error}");
        }
    }

    #[actix_rt::test]
    async fn one_dead_address_of_two_is_told_and_the_other_gone_on_with() {
        let living = TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = living.local_addr().unwrap();
        let told = format!("{:?}", connect(&[dead, address]).await);
        assert!(told.contains(&format!("nothing listens at {dead}")), "{told}");
        assert!(told.contains(&format!("{address} answers: make all of them answer")), "{told}");
        assert!(told.contains("is_well: false") && told.contains("found: Some"), "{told}");
    }

    #[actix_rt::test]
    async fn localhost_needs_one_of_its_two_addresses() {
        let living = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = living.local_addr().unwrap();
        let other = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
        let told = format!("{:?}", connect(&[other, address]).await);
        assert!(told.contains("is_well: true") && told.contains(&format!("{other}")), "{told}");
        let told = format!("{:?}", connect(&[other]).await);
        assert!(told.contains("is_well: false") && told.contains("found: None"), "{told}");
    }
}
