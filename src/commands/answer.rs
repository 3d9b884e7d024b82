//! What the HTTP API says of an event that it does not take, in words that say what to do (protocol section 6.3).

use awc::http::StatusCode;

/// Longest part of an answer that is shown, in characters.
const MAX_WORDS: usize = 200;

/// Says what to do about an answer of the API. An API's text may hold what was signed, which is not shown.
pub(super) fn refused(status: StatusCode, text: &str, app_id: &str) -> String {
    let says = |word: &str| text.to_ascii_lowercase().contains(word);
    let wrong_secret = "the secret is not the one that the server has for this key, or a proxy changes path, query or body".to_owned();
    let remedy = match status.as_u16() {
        401 if says("signature") && !says("timestamp expired") => wrong_secret,
        401 if says("timestamp") => {
            "the clocks of this machine and of the server differ too much: let both follow NTP"
                .to_owned()
        }
        401 if says("auth_key") => format!(
            "the key is not that of application {app_id}: check --app, the id that stands in the path of the API"
        ),
        401 => wrong_secret,
        403 if !says("disabled") => wrong_secret,
        404 => format!(
            "the API has no application {app_id}, or /apps does not lead to it: check --app (its id, not its key), and which paths the proxy passes on"
        ),
        // an API says itself what it is
        413 | 429 | 502..=504 if says(r#""error""#) => own_words(text),
        413 => "the proxy takes no body of this size: nginx client_max_body_size".to_owned(),
        429 => {
            "over the application's allowance: see its limits.backend-events-per-second".to_owned()
        }
        502..=504 => {
            "the proxy does not reach the API, or the node is full or cannot reach its Redis"
                .to_owned()
        }
        _ => own_words(text),
    };
    format!("{remedy} (HTTP {})", status.as_u16())
}

fn own_words(text: &str) -> String {
    let unsigned = text.split("auth_signature").next().unwrap_or_default();
    let start: String = unsigned.chars().take(MAX_WORDS).collect();
    format!("the API does not take the event: {start}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_api_become_words_without_signatures() {
        let signature = r#"{"error":"Invalid signature: you should have sent HmacSHA256Hex(\"POST\\n/apps/1/events\\nauth_key=k&auth_timestamp=1\", your_secret_key), but you sent \"abc\"","code":401}"#;
        for (status, text, words) in [
            (StatusCode::UNAUTHORIZED, signature, "the secret is not the one"),
            (
                StatusCode::UNAUTHORIZED,
                "Timestamp expired: Given timestamp (2030-01-01T00:00:00Z) not within 600s of server time (2031-01-01T00:00:00Z)",
                "NTP",
            ),
            (
                StatusCode::UNAUTHORIZED,
                r#"{"error":"Unknown auth_key"}"#,
                "not that of application 7",
            ),
            (StatusCode::FORBIDDEN, "", "the secret is not the one"),
            (StatusCode::FORBIDDEN, r#"{"error":"Application is disabled"}"#, "is disabled"),
            (StatusCode::NOT_FOUND, "", "no application 7"),
            (StatusCode::PAYLOAD_TOO_LARGE, "", "client_max_body_size"),
            (StatusCode::PAYLOAD_TOO_LARGE, r#"{"error":"of 10240 bytes"}"#, "of 10240 bytes"),
            (StatusCode::BAD_GATEWAY, "", "does not reach the API"),
            (StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"too busy"}"#, "too busy"),
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "no route for /apps/7/events?auth_key=k&auth_signature=abc",
                "no route for /apps/7/events?auth_key=k",
            ),
        ] {
            let told = refused(status, text, "7");
            assert!(told.contains(words) && !told.contains("abc"), "{told}");
            assert!(told.ends_with(&format!("(HTTP {})", status.as_u16())), "{told}");
        }
    }
}
