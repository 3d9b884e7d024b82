//! Looks at a server's certificate, whatever it is: a TLS handshake with each of its addresses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::chain::{Roots, Valid, judge, shown};
use super::report::Finding;

/// How long connection and handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Takes whatever certificate it is shown. Over such a connection nothing is sent: it ends with the handshake.
#[derive(Debug)]
struct Onlooker(Arc<CryptoProvider>);

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Shakes hands with a server at each of its addresses, judges what it shows there, and returns the address to go on with.
pub(super) async fn examine(
    addresses: &[SocketAddr],
    host: &str,
    roots: Arc<RootCertStore>,
) -> Finding<SocketAddr> {
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        return Finding::stop(format!("no certificate can be for {host}: it is not a host name"));
    };
    let public = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let roots = Roots { asked: roots, public: Arc::new(public) };
    let each =
        addresses.iter().map(async |address| (*address, look(*address, &name, &roots).await));
    Finding::of_each(&join_all(each).await)
}

async fn look(address: SocketAddr, name: &ServerName<'static>, roots: &Roots) -> Finding<()> {
    let (version, chain) = match timeout(HANDSHAKE, shake(address, name.clone())).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(problem)) => return Finding::stop(problem),
        Err(_) => {
            return Finding::stop(format!(
                "no TLS handshake in {} s: is this the port for https?",
                HANDSHAKE.as_secs()
            ));
        }
    };
    let now = UnixTime::now();
    match judge(&chain, name, roots, now) {
        Err(problem) => Finding::stop(problem),
        Ok(Valid { until, soon: None }) => Finding::well(
            format!(
                "{version}; the certificate is for {}, good {}",
                name.to_str(),
                shown(until, now)
            ),
            (),
        ),
        Ok(Valid { soon: Some(end), .. }) => Finding::flaw(
            format!(
                "{version}; the chain of the certificate is good only {}: renew it, and see why it did not renew itself",
                shown(Some(end), now)
            ),
            (),
        ),
    }
}

async fn shake(
    address: SocketAddr,
    name: ServerName<'static>,
) -> Result<(&'static str, Vec<CertificateDer<'static>>), String> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Onlooker(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tcp = TcpStream::connect(address)
        .await
        .map_err(|error| format!("a second connection fails: {error}"))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .map_err(|error| broken(&error))?;
    let (_, connection) = stream.get_ref();
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    Ok((version, connection.peer_certificates().unwrap_or_default().to_vec()))
}

/// Says why there was no handshake, whatever the certificate.
fn broken(error: &std::io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidMessage(_)) => {
            "what answers speaks no TLS: use http://, or the port for https".to_owned()
        }
        Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            "the server has no certificate for this name: check the name, and the server_name of the proxy".to_owned()
        }
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            "the server does not speak HTTP/1.1 here, and WebSockets need it: let it offer http/1.1 beside h2".to_owned()
        }
        Some(
            Error::PeerIncompatible(_)
            | Error::AlertReceived(
                AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure,
            ),
        ) => format!(
            "server and client have no version of TLS or no cipher in common ({error}): let it offer TLS 1.2 or 1.3"
        ),
        Some(other) => format!("the TLS handshake fails: {other}"),
        None => format!(
            "the connection ends during the TLS handshake ({error}): use http:// if the port speaks no TLS, else ask the server's log"
        ),
    }
}
