//! Judges a chain of certificates as clients do, and says what to do about one that they would not take.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// A certificate that ends sooner should have been renewed: what renews by itself does so a month before. One that lives
/// for days only has a third of its life.
const SOON: Duration = Duration::from_hours(14 * 24);
/// Later than any certificate ends but those that say they never do: the end of the year 9998.
const FAR: u64 = 253_370_764_799;
/// Names of a certificate that are shown.
const MOST_NAMES: usize = 5;
const DAY: u64 = 24 * 60 * 60;

type Chain = [CertificateDer<'static>];

/// Whom to believe.
pub(super) struct Roots {
    /// The authorities that `--ca` names, or the public ones.
    pub(super) asked: Arc<RootCertStore>,
    pub(super) public: Arc<RootCertStore>,
}

/// Until when a chain can be believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Valid {
    /// When the server's own certificate ends; `None` = never.
    pub(super) until: Option<u64>,
    /// When the chain ends, if that is soon.
    pub(super) soon: Option<u64>,
}

/// Judges a chain as a client does at a moment; the error says what to do. Times in seconds since 1970.
pub(super) fn judge(
    chain: &Chain,
    name: &ServerName<'_>,
    roots: &Roots,
    now: UnixTime,
) -> Result<Valid, String> {
    if let Err(error) = verify(chain, name, &roots.asked, now) {
        return Err(remedy(&error, chain, name, roots, now));
    }
    let problem_at = |moment: u64| {
        let moment = UnixTime::since_unix_epoch(Duration::from_secs(moment));
        match verify(chain, name, &roots.asked, moment) {
            Err(Error::InvalidCertificate(problem)) => Some(problem),
            _ => None,
        }
    };
    let end_after = |moment: u64| match problem_at(moment) {
        Some(CertificateError::ExpiredContext { not_after, .. }) => Some(not_after.as_secs()),
        _ => None,
    };
    let begin = match problem_at(0) {
        Some(CertificateError::NotValidYetContext { not_before, .. }) => not_before.as_secs(),
        _ => 0,
    };
    let until = end_after(FAR);
    let third = until.map_or(u64::MAX, |end| end.saturating_sub(begin) / 3);
    Ok(Valid { until, soon: end_after(now.as_secs().saturating_add(third.min(SOON.as_secs()))) })
}

fn verify(
    chain: &Chain,
    name: &ServerName<'_>,
    roots: &Arc<RootCertStore>,
    moment: UnixTime,
) -> Result<(), Error> {
    let Some((leaf, others)) = chain.split_first() else {
        return Err(Error::NoCertificatesPresented);
    };
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider)
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    verifier.verify_server_cert(leaf, others, name, &[], moment).map(|_| ())
}

fn remedy(
    error: &Error,
    chain: &Chain,
    name: &ServerName<'_>,
    roots: &Roots,
    now: UnixTime,
) -> String {
    let Error::InvalidCertificate(problem) = error else {
        return format!("the certificate cannot be judged: {error}");
    };
    let host = name.to_str();
    match problem {
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the certificate, or one it hangs on, ended on {}: renew it, and reload the server that shows it",
            date(not_after.as_secs())
        ),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the certificate is good only from {}: check the clock of this machine, and of the one that issued it",
            date(not_before.as_secs())
        ),
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "the certificate is for {}, not for {host}: use that name, or get a certificate for {host} too",
            presented_names(presented)
        ),
        CertificateError::UnknownIssuer if verify(chain, name, &roots.public, now).is_ok() => {
            "a public authority issued the certificate, and --ca names another: leave --ca out".to_owned()
        }
        CertificateError::UnknownIssuer if is_its_own_issuer(chain, now) => format!(
            "nobody known issued the certificate, it is of your own making: give it with --ca FILE to go on here; browsers and apps need one of a public authority for {host}"
        ),
        CertificateError::UnknownIssuer => format!(
            "the chain does not lead to an authority that is believed here: either the server shows its certificate without all the intermediate ones (give it the whole chain: fullchain.pem, not cert.pem), or its authority is one of your own (give that with --ca FILE to go on here; browsers and apps need a public one for {host}), or --ca names another"
        ),
        CertificateError::Other(cause) if cause.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate is of your own making and an authority's, which many clients do not take from a server: make one with basicConstraints=CA:FALSE".to_owned()
        }
        other => format!("clients do not take the certificate: {other}"),
    }
}

/// Returns the names of a certificate, which come as `DnsName("push.example.com")`.
fn presented_names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let name = name.trim_end_matches(')');
        name.split_once('(').map_or(name, |(_, name)| name).trim_matches('"').to_owned()
    };
    if presented.is_empty() {
        return "no name at all".to_owned();
    }
    let shown = presented.iter().take(MOST_NAMES).map(bare).collect::<Vec<_>>().join(", ");
    match presented.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Tells whether the server's certificate is signed by itself.
fn is_its_own_issuer(chain: &Chain, now: UnixTime) -> bool {
    let anyone = ServerName::try_from("localhost");
    let (Some(leaf), Ok(name)) = (chain.first(), anyone) else {
        return false;
    };
    let mut itself = RootCertStore::empty();
    itself.add_parsable_certificates([leaf.clone()]);
    // an empty store is one that no verifier can be made of
    matches!(
        verify(std::slice::from_ref(leaf), &name, &Arc::new(itself), now),
        Ok(()) | Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))
    )
}

/// Says until when something is good.
pub(super) fn shown(end: Option<u64>, now: UnixTime) -> String {
    match end {
        Some(end) => {
            format!("until {} ({} days)", date(end), end.saturating_sub(now.as_secs()) / DAY)
        }
        None => "for ever".to_owned(),
    }
}

fn date(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    moment.map_or_else(
        || format!("{seconds} s after 1970"),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    /// The last day of 2030.
    const NOW: u64 = 1_924_905_600;

    /// An authority, one below it, and a certificate of that for `push.example.com`, good until 2031-01-10.
    struct Made {
        root: CertificateDer<'static>,
        middle: CertificateDer<'static>,
        leaf: CertificateDer<'static>,
    }

    fn authority(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn server(names: &[&str]) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2030, 6, 1);
        params.not_after = date_time_ymd(2031, 1, 10);
        params
    }

    fn make() -> Made {
        let keys: [KeyPair; 3] = std::array::from_fn(|_| KeyPair::generate().unwrap());
        let [root_key, middle_key, leaf_key] = keys;
        let root = authority("root").self_signed(&root_key).unwrap();
        let issuer = Issuer::new(authority("root"), &root_key);
        let middle = authority("middle").signed_by(&middle_key, &issuer).unwrap();
        let issuer = Issuer::new(authority("middle"), &middle_key);
        let leaf = server(&["push.example.com"]).signed_by(&leaf_key, &issuer).unwrap();
        Made { root: root.der().clone(), middle: middle.der().clone(), leaf: leaf.der().clone() }
    }

    fn told(
        chain: &Chain,
        root: Option<&CertificateDer<'static>>,
        name: &str,
        now: u64,
    ) -> Result<Valid, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        roots.add_parsable_certificates(root.cloned());
        let name = ServerName::try_from(name.to_owned()).unwrap();
        judge(chain, &name, &believed(roots), at(now))
    }

    /// The public authorities, and these.
    fn believed(asked: RootCertStore) -> Roots {
        let public = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Roots { asked: Arc::new(asked), public: Arc::new(public) }
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_good_chain_has_an_end_and_a_warning_before_it() {
        let Made { root, middle, leaf } = make();
        let chain = [leaf, middle];
        let end = 1_925_769_600;
        let told = |now| told(&chain, Some(&root), "push.example.com", now);
        assert_eq!(told(NOW), Ok(Valid { until: Some(end), soon: Some(end) }));
        let month = 30 * DAY;
        assert_eq!(told(NOW - month), Ok(Valid { until: Some(end), soon: None }));
        let expired = told(NOW + month).unwrap_err();
        assert!(expired.contains("ended on 2031-01-10 00:00 UTC: renew it"), "{expired}");
        let early = told(NOW - 12 * month).unwrap_err();
        assert!(early.contains("good only from 2030-06-01") && early.contains("clock"), "{early}");
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let Made { root, middle, leaf } = make();
        let whole = [leaf.clone(), middle];
        let wrong_name = told(&whole, Some(&root), "other.example.com", NOW).unwrap_err();
        assert!(
            wrong_name.contains("is for push.example.com, not for other.example.com"),
            "{wrong_name}"
        );
        let lonely = told(&[leaf], Some(&root), "push.example.com", NOW).unwrap_err();
        assert!(lonely.contains("fullchain.pem"), "{lonely}");
        // a public one looks the same where its second intermediate is missing
        let own_authority = told(&whole, None, "push.example.com", NOW).unwrap_err();
        for words in ["fullchain.pem", "one of your own", "--ca"] {
            assert!(own_authority.contains(words), "{own_authority}");
        }

        let key = KeyPair::generate().unwrap();
        let self_made = server(&["a.example"]).self_signed(&key).unwrap();
        let self_made = told(&[self_made.der().clone()], None, "a.example", NOW).unwrap_err();
        assert!(self_made.contains("of your own making"), "{self_made}");
        let mut params = server(&["a.example"]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let authority = told(&[authority.der().clone()], None, "a.example", NOW).unwrap_err();
        assert!(authority.contains("CA:FALSE"), "{authority}");
    }

    #[test]
    fn a_public_certificate_is_not_held_against_another_authority() {
        let Made { root, middle, leaf } = make();
        let other = authority("other").self_signed(&KeyPair::generate().unwrap()).unwrap();
        let store = |root: CertificateDer<'static>| {
            let mut roots = RootCertStore::empty();
            roots.add(root).unwrap();
            Arc::new(roots)
        };
        let roots = Roots { asked: store(other.der().clone()), public: store(root) };
        let name = ServerName::try_from("push.example.com").unwrap();
        let told = judge(&[leaf, middle], &name, &roots, at(NOW)).unwrap_err();
        assert!(told.contains("leave --ca out"), "{told}");
    }

    #[test]
    fn what_lives_for_days_is_renewed_in_its_last_third() {
        let key = KeyPair::generate().unwrap();
        let mut params = server(&["a.example"]);
        params.not_before = date_time_ymd(2030, 12, 28);
        params.not_after = date_time_ymd(2031, 1, 3);
        let certificate = params.self_signed(&key).unwrap();
        let end = NOW + 3 * DAY;
        for (now, soon) in [(NOW, None), (NOW + DAY - 1, None), (NOW + DAY + 1, Some(end))] {
            let mut roots = RootCertStore::empty();
            roots.add(certificate.der().clone()).unwrap();
            let name = ServerName::try_from("a.example").unwrap();
            let told = judge(&[certificate.der().clone()], &name, &believed(roots), at(now));
            assert_eq!(told, Ok(Valid { until: Some(end), soon }), "{now}");
        }
    }

    #[test]
    fn of_many_names_some_are_shown() {
        let names: Vec<String> =
            (0..7).map(|name| format!("DnsName(\"{name}.example\")")).collect();
        let shown = presented_names(&names);
        assert!(shown.starts_with("0.example, 1.example") && shown.ends_with("and 2 more"));
    }
}
