//! Checks `⟨key⟩:⟨signature⟩`, which the backend of an application gives to its clients (protocol section 3.3).

use crate::config::App;

/// Why a signature does not count. The client's matter, or its backend's.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AuthError<'a> {
    /// There is no colon in it.
    Format,
    /// The key is not the application's, or not any more.
    UnknownKey(&'a str),
    /// The signature is of another text, or made with another secret.
    WrongSignature {
        /// The text that should have been signed.
        signed: String,
        /// The signature that came.
        given: &'a str,
    },
}

/// Checks that `auth` is a signature of `signed` with a credential that is valid at `unix` (seconds since 1970).
///
/// # Errors
/// [`AuthError`] says what is wrong; it never holds the signature that would be right.
pub(super) fn check<'a>(
    app: &App,
    auth: &'a str,
    signed: String,
    unix: i64,
) -> Result<(), AuthError<'a>> {
    let (key, given) = auth.split_once(':').ok_or(AuthError::Format)?;
    let credential = app.credential(key, unix).ok_or(AuthError::UnknownKey(key))?;
    if credential.verifies(&[signed.as_bytes()], given) {
        Ok(())
    } else {
        Err(AuthError::WrongSignature { signed, given })
    }
}
