//! The operator's page: files in the binary, and the policy that keeps everything else out.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_SECURITY_POLICY;

use crate::edge::state::PublicSide;

/// One file of the page. None of them holds anything about the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Document,
    Style,
    Script,
    /// pusher-js as it is published, for the two clients of the demo.
    PusherJs,
    PusherJsLicence,
}

/// Answers with a file. The document may talk to this port and, for its test client, to the public
/// one, as it is reached from `host`.
pub(super) fn serve(part: Part, public: &PublicSide, host: Option<&str>) -> HttpResponse {
    let (content_type, text) = match part {
        Part::Document => ("text/html; charset=utf-8", include_str!("page/page.html")),
        Part::Style => ("text/css; charset=utf-8", include_str!("page/page.css")),
        Part::Script => ("text/javascript; charset=utf-8", include_str!("page/page.js")),
        Part::PusherJs => ("text/javascript; charset=utf-8", include_str!("page/pusher.min.js")),
        Part::PusherJsLicence => {
            ("text/plain; charset=utf-8", include_str!("page/pusher.min.js.LICENSE.txt"))
        }
    };
    let sockets = public.sockets(host).join(" ");
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
         connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .body(text)
}
