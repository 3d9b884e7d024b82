//! How many clients were sent away instead of being connected, by cause.

use micronotifier_actors::metrics::Counter;
use micronotifier_actors::protocol::ErrorCode;

use super::admission::NotAdmitted;

/// Counters of one server, over all its workers.
#[derive(Debug, Default)]
pub struct Refusals {
    not_serving: Counter,
    node_full: Counter,
    address_full: Counter,
    too_fast: Counter,
    app_full: Counter,
    unknown_app: Counter,
    app_disabled: Counter,
    tls_required: Counter,
    origin: Counter,
    protocol: Counter,
    path: Counter,
}

impl Refusals {
    /// Counts a client that was answered 503 before the upgrade.
    pub(super) fn count_unadmitted(&self, refused: NotAdmitted) {
        let counter = match refused {
            NotAdmitted::NotServing => &self.not_serving,
            NotAdmitted::Full => &self.node_full,
            NotAdmitted::AddressFull => &self.address_full,
            NotAdmitted::TooFast => &self.too_fast,
            NotAdmitted::AppFull => &self.app_full,
        };
        counter.add(1);
    }

    /// Counts a client that was told the code after the upgrade.
    pub(super) fn count_told(&self, code: ErrorCode) {
        let counter = match code {
            ErrorCode::UnknownApplication => &self.unknown_app,
            ErrorCode::ApplicationDisabled => &self.app_disabled,
            ErrorCode::TlsRequired => &self.tls_required,
            ErrorCode::Unauthorized => &self.origin,
            ErrorCode::UnsupportedProtocol => &self.protocol,
            ErrorCode::PathNotFound => &self.path,
            ErrorCode::OverQuota => &self.app_full,
            _ => return,
        };
        counter.add(1);
    }

    /// Returns each cause and how many were sent away for it.
    pub fn by_cause(&self) -> [(&'static str, u64); 11] {
        [
            ("not_serving", self.not_serving.get()),
            ("node_full", self.node_full.get()),
            ("address_full", self.address_full.get()),
            ("too_fast", self.too_fast.get()),
            ("app_full", self.app_full.get()),
            ("unknown_app", self.unknown_app.get()),
            ("app_disabled", self.app_disabled.get()),
            ("tls_required", self.tls_required.get()),
            ("origin", self.origin.get()),
            ("protocol", self.protocol.get()),
            ("path", self.path.get()),
        ]
    }
}
