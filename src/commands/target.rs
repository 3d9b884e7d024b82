//! Which node and which application a command means, and the HTTP client that reaches them.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use awc::http::Uri;
use awc::http::uri::Authority;
use awc::{Client, Connector};
use micronotifier_actors::protocol::sign::{Credential, body_md5, request_text};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::cli::TargetArguments;
use crate::config::{Listen, ServerConfig};
use crate::settings::SettingsErrors;

use super::{complain, load, refuse};

/// How long a TCP and TLS connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the head of an answer may take.
pub(super) const ANSWER: Duration = Duration::from_secs(15);

/// Why a command cannot begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    /// The configuration that names node and application is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsErrors),
    /// `--app` names none of the configuration, or the configuration has none.
    #[error("no application {0:?} in the configuration: see --app, or --app-key with --secret")]
    NoApplication(String),
    /// What is given is no address of a node.
    #[error("an address must be like http://127.0.0.1:8111, not {0:?}")]
    Url(String),
    /// The node listens on a Unix socket.
    #[error("the node listens on a Unix socket: give the address of its proxy with --url")]
    UnixSocket,
    /// The configuration switches the operator's port off.
    #[error("the configuration has no operator's port: see admin-port, or --url")]
    NoAdmin,
    /// `--ca` cannot be used.
    #[error("--ca {file}: {problem}")]
    Certificates {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// TLS cannot be set up.
    #[error("no TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// A node's address and an application's identity.
#[derive(Debug)]
pub(super) struct Target {
    secure: bool,
    /// Host and port.
    authority: String,
    /// What stands before `/app` and `/apps`.
    prefix: String,
    pub(super) app_id: String,
    pub(super) credential: Credential,
    roots: Arc<RootCertStore>,
}

impl Target {
    /// Finds the target, or says what is wrong and returns the exit code for it.
    pub(super) fn require(
        file: Option<&Path>,
        arguments: &TargetArguments,
    ) -> Result<Self, ExitCode> {
        Self::find(file, arguments).map_err(|error| match error {
            TargetError::Settings(errors) => refuse(&errors),
            other => {
                complain(other);
                ExitCode::FAILURE
            }
        })
    }

    /// Takes what the arguments say, and the rest from the configuration.
    pub(super) fn find(
        file: Option<&Path>,
        arguments: &TargetArguments,
    ) -> Result<Self, TargetError> {
        let config = load(file)?.config;
        let (secure, authority, prefix) = match &arguments.url {
            Some(url) => split_url(url).ok_or_else(|| TargetError::Url(url.clone()))?,
            None => configured_address(&config)?,
        };
        let (app_id, credential) = application(&config, arguments)?;
        Ok(Self {
            secure,
            authority,
            prefix,
            app_id,
            credential,
            roots: Arc::new(roots(arguments.ca.as_deref())?),
        })
    }

    /// Returns path and query of a POST to something the API has of the application, signed now (protocol section 6.2).
    /// The signature is over the path without the prefix.
    pub(super) fn signed_path(&self, rest: &str, body: &str) -> String {
        let path = format!("/apps/{}/{rest}", self.app_id);
        let now_unix = jiff::Timestamp::now().as_second();
        let mut query = vec![
            ("auth_key".to_owned(), self.credential.key().to_owned()),
            ("auth_timestamp".to_owned(), now_unix.to_string()),
            ("auth_version".to_owned(), "1.0".to_owned()),
            ("body_md5".to_owned(), body_md5(body.as_bytes())),
        ];
        let text = request_text("POST", &path, &query);
        query.push(("auth_signature".to_owned(), self.credential.sign(text.as_bytes())));
        let pairs: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{path}?{}", pairs.join("&"))
    }

    /// Tells whether clients speak TLS.
    pub(super) const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns the host, an IPv6 address without its brackets, and the port.
    pub(super) fn host_and_port(&self) -> (String, u16) {
        let usual = if self.secure { 443 } else { 80 };
        let Ok(authority) = self.authority.parse::<Authority>() else {
            return (self.authority.clone(), usual);
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        (host.to_owned(), authority.port_u16().unwrap_or(usual))
    }

    /// Returns the certificates that are believed.
    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }

    /// Returns the address of a path of the node.
    pub(super) fn http(&self, path_and_query: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}{path_and_query}", self.authority, self.prefix)
    }

    /// Returns where clients of the application connect.
    pub(super) fn websocket(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!(
            "{scheme}://{}{}/app/{}?protocol=7&client=micronotifier&version={}",
            self.authority,
            self.prefix,
            self.credential.key(),
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// Returns a client for this thread's actix runtime. It opens as many connections as it is asked for.
    pub(super) fn client(&self) -> Result<Client, TargetError> {
        client_of(Arc::clone(&self.roots), ANSWER)
    }

    /// Says why the node cannot be reached, and what to do about it.
    pub(super) fn unreachable(&self, error: &SendRequestError) -> String {
        let place = self.http("");
        match error {
            SendRequestError::Connect(ConnectError::Io(cause))
                if cause.kind() == io::ErrorKind::ConnectionRefused =>
            {
                format!(
                    "nothing listens at {place}: start a node with `micronotifier`, or give its address with --url"
                )
            }
            SendRequestError::Connect(ConnectError::Resolver(_) | ConnectError::NoRecords) => {
                format!("the host of {place} has no address: check --url")
            }
            error if speaks_no_tls(error) => {
                format!(
                    "what answers at {} speaks no TLS: try http://{0}{}",
                    self.authority, self.prefix
                )
            }
            SendRequestError::Connect(ConnectError::Io(cause)) if self.secure => {
                format!(
                    "no TLS connection to {place}: {cause}; see --ca for a certificate of your own"
                )
            }
            other => format!("{place}: {other}"),
        }
    }
}

/// Tells whether TLS was answered with something else.
pub(super) fn speaks_no_tls(error: &SendRequestError) -> bool {
    let SendRequestError::Connect(ConnectError::Io(error)) = error else {
        return false;
    };
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidMessage(_)))
}

/// Returns a client that believes the certificates of a file, or public ones. The head of an answer must come
/// within `wait`; its body may take for ever.
pub(super) fn client(ca: Option<&Path>, wait: Duration) -> Result<Client, TargetError> {
    client_of(Arc::new(roots(ca)?), wait)
}

fn client_of(roots: Arc<RootCertStore>, wait: Duration) -> Result<Client, TargetError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // WebSockets are upgrades of HTTP/1.1. `Connector::max_http_version` would put its own TLS in place of ours.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = Connector::new().rustls_0_23(Arc::new(tls)).timeout(CONNECT).limit(0);
    Ok(Client::builder().connector(connector).timeout(wait).finish())
}

/// Splits an address into security, authority and path prefix.
pub(super) fn split_url(url: &str) -> Option<(bool, String, String)> {
    let uri: Uri = url.parse().ok()?;
    let secure = match uri.scheme_str()? {
        "http" | "ws" => false,
        "https" | "wss" => true,
        _ => return None,
    };
    if uri.query().is_some() {
        return None;
    }
    let prefix = uri.path().trim_end_matches('/').to_owned();
    Some((secure, uri.authority()?.to_string(), prefix))
}

fn configured_address(config: &ServerConfig) -> Result<(bool, String, String), TargetError> {
    let Listen::Tcp { host, port } = &config.listen else {
        return Err(TargetError::UnixSocket);
    };
    let authority = format!("{}:{port}", reachable(host));
    Ok((config.tls.is_some(), authority, config.edge.path_prefix.clone()))
}

/// Returns a host that a listener is bound to as somebody on this machine reaches it.
pub(super) fn reachable(host: &str) -> String {
    match host {
        "0.0.0.0" | "::" => "127.0.0.1".to_owned(),
        address if address.contains(':') => format!("[{address}]"),
        name => name.to_owned(),
    }
}

fn application(
    config: &ServerConfig,
    arguments: &TargetArguments,
) -> Result<(String, Credential), TargetError> {
    let apps = &config.node.apps;
    if let (Some(key), Some(secret)) = (&arguments.app_key, &arguments.secret) {
        let known = apps.by_key(key).map(|app| app.id.as_str());
        let id = arguments.app.as_deref().or(known).unwrap_or(key);
        return Ok((id.to_owned(), Credential::new(key, secret.expose())));
    }
    let found = match &arguments.app {
        Some(id) => apps.by_id(id),
        None => apps.iter().next(),
    };
    let app = found
        .ok_or_else(|| TargetError::NoApplication(arguments.app.clone().unwrap_or_default()))?;
    Ok((app.id.as_str().to_owned(), app.credential.clone()))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TargetError> {
    let Some(file) = file else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let refuse =
        |problem: String| TargetError::Certificates { file: file.display().to_string(), problem };
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(file).map_err(|error| refuse(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refuse("holds no certificate".to_owned()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_split_into_their_parts() {
        let split = |url| split_url(url);
        assert_eq!(
            split("http://127.0.0.1:8111"),
            Some((false, "127.0.0.1:8111".to_owned(), String::new()))
        );
        assert_eq!(
            split("wss://example.com/push/"),
            Some((true, "example.com".to_owned(), "/push".to_owned()))
        );
        for url in ["127.0.0.1:8111", "ftp://a", "http://a/?b=c", "", "http://"] {
            assert_eq!(split(url), None, "{url}");
        }
    }
}
