//! The status page: an HTML file, its scripts and its style, which show the status JSON and the events.
//!
//! **Invariant:** a browser runs no script, and loads nothing, but these files from here. What the page shows is from the
//! network, and none of it becomes HTML.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const HTML: &str = include_str!("page/index.html");
/// The files that the page loads: path, type and text.
const FILES: [(&str, &str, &str); 4] = [
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/picture.js", "text/javascript; charset=utf-8", include_str!("page/picture.js")),
    ("/words.js", "text/javascript; charset=utf-8", include_str!("page/words.js")),
];

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || async move { file(kind, text) }))
    })
}

/// The page for a browser. Every other client gets `index`.
pub(super) fn page_or(index: &'static str, headers: &HeaderMap) -> Response {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut answer = if accepts.flat_map(|list| list.split([',', ';'])).any(|kind| kind.trim() == "text/html") {
        file("text/html; charset=utf-8", HTML)
    } else {
        index.into_response()
    };
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    answer
}

/// Not stored: after an update of rsctl the page must fit the status that it reads.
fn file(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_has_no_parts_from_elsewhere() {
        let texts: Vec<&str> = FILES.iter().map(|(_, _, text)| *text).chain([HTML]).collect();
        let size: usize = texts.iter().map(|text| text.len()).sum();
        assert!(size <= 60_000, "{size} bytes");
        for text in &texts {
            let namespace = "http://www.w3.org/2000/svg";
            let text = text.replace(namespace, "");
            assert!(!text.contains("//cdn") && !text.contains("http://") && !text.contains("https://"));
            assert!(text.lines().count() < 400, "a file is as long as a file of the program may be");
        }
        // The policy forbids all of these, and the browser would leave them out.
        for inline in ["<style", "style=", "<script>", "onclick", "onload", "javascript:"] {
            assert!(!HTML.contains(inline), "{inline}");
        }
        for (path, _, _) in FILES.iter().filter(|(path, _, _)| path.starts_with("/page.")) {
            assert!(HTML.contains(&format!("\"{}\"", &path[1..])), "a path of its own place, for proxies: {path}");
        }
    }

    /// Names of members, states, notes and findings are from the network.
    #[test]
    fn nothing_from_the_network_becomes_html_or_code() {
        for (path, _, text) in FILES.iter().filter(|(path, _, _)| path.ends_with(".js")) {
            let markup = ["HTML", "document.write", "DOMParser", "ContextualFragment", "srcdoc", "xlink"];
            let running = ["eval(", "Function(", "import(", "setTimeout(\"", "setInterval(\"", "javascript:"];
            for word in markup.into_iter().chain(running) {
                assert!(!text.contains(word), "{path}: {word}");
            }
        }
    }
}
