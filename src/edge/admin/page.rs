//! The operator's page: files in the binary, and the policy that keeps everything else out.

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_SECURITY_POLICY;

use crate::edge::state::PublicSide;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// One file of the page. None of them holds anything about the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

/// All of them. pusher-js is as it is published, for the two clients of the demo.
const FILES: [File; 15] = [
    file("/", HTML, include_str!("page/page.html")),
    file("/page.css", STYLE, include_str!("page/page.css")),
    file("/page.js", SCRIPT, include_str!("page/page.js")),
    file("/ask.js", SCRIPT, include_str!("page/ask.js")),
    file("/channels.js", SCRIPT, include_str!("page/channels.js")),
    file("/demo.js", SCRIPT, include_str!("page/demo.js")),
    file("/dom.js", SCRIPT, include_str!("page/dom.js")),
    file("/figures.js", SCRIPT, include_str!("page/figures.js")),
    file("/overview.js", SCRIPT, include_str!("page/overview.js")),
    file("/plots.js", SCRIPT, include_str!("page/plots.js")),
    file("/send.js", SCRIPT, include_str!("page/send.js")),
    file("/sse.js", SCRIPT, include_str!("page/sse.js")),
    file("/tap.js", SCRIPT, include_str!("page/tap.js")),
    file("/pusher.min.js", SCRIPT, include_str!("page/pusher.min.js")),
    file("/pusher.min.js.LICENSE.txt", TEXT, include_str!("page/pusher.min.js.LICENSE.txt")),
];

const fn file(path: &'static str, content_type: &'static str, text: &'static str) -> File {
    File { path, content_type, text }
}

/// Finds the file of a path.
pub(super) fn at(path: &str) -> Option<File> {
    FILES.into_iter().find(|file| file.path == path)
}

/// Answers with a file. The document may talk to this port and, for its test client, to the public
/// one, as it is reached from `host`.
pub(super) fn serve(file: File, public: &PublicSide, host: Option<&str>) -> HttpResponse {
    let sockets = public.sockets(host).join(" ");
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
         connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HttpResponse::Ok()
        .content_type(file.content_type)
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .body(file.text)
}
