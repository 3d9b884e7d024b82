//! Finds the addresses of a name and knocks at each.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::report::Finding;

/// How long a resolver may take.
const LOOK_UP: Duration = Duration::from_secs(10);
/// How long one address may take to answer. A client of Pusher waits ten seconds for everything.
const KNOCK: Duration = Duration::from_secs(5);
/// Addresses that are tried: a name with more is a content network, and one is as good as another.
const MOST_ADDRESSES: usize = 8;

/// Looks a name up.
pub(super) async fn resolve(host: &str, port: u16) -> Finding<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> = match timeout(LOOK_UP, lookup_host((host, port))).await {
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

/// Connects to each address, and returns one that answers.
pub(super) async fn connect(addresses: &[SocketAddr]) -> Finding<SocketAddr> {
    let mut answering = None;
    let mut deaf = Vec::new();
    let began = Instant::now();
    for address in addresses {
        match timeout(KNOCK, TcpStream::connect(address)).await {
            Ok(Ok(_)) => answering = answering.or(Some((*address, began.elapsed()))),
            Ok(Err(error)) => deaf.push(refused(*address, &error)),
            Err(_) => deaf.push(format!(
                "{address} does not answer in {} s: a firewall or security group drops it, or the machine is off",
                KNOCK.as_secs()
            )),
        }
    }
    let Some((address, took)) = answering else {
        return Finding::stop(deaf.join("; "));
    };
    if deaf.is_empty() {
        return Finding::well(format!("{address} answers in {} ms", took.as_millis()), address);
    }
    Finding::flaw(
        format!(
            "{}; {address} answers: make all of them answer, or take the record of those that do not out of the DNS, for clients that try them first lose seconds",
            deaf.join("; ")
        ),
        address,
    )
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "nothing listens at {address}: start the node or the proxy there, or check the port"
        ),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            format!("there is no way from this machine to {address} ({error})")
        }
        _ => format!("{address}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use std::net::TcpListener;

    use super::*;

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
}
