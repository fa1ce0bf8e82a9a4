//! The status page and the stream that it lives on.

use super::super::events::KEEP_ALIVE;
use super::surface::{connection, long_status};
use super::*;

const BROWSER: &str = "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";

#[tokio::test]
async fn a_browser_gets_the_page_and_a_program_the_list() {
    let server = serving(healthy()).await;
    let (code, head, body) = server.get("/", BROWSER).await;
    assert_eq!(code, 200);
    assert!(head.contains("content-type: text/html; charset=utf-8") && body.starts_with("<!doctype html>"), "{head}");
    for accepted in ["", "accept: */*\r\n", "accept: application/json\r\n"] {
        let (code, head, body) = server.get("/", accepted).await;
        assert_eq!((code, body.as_str()), (200, INDEX), "{accepted}");
        assert!(head.contains("vary: accept"), "{head}");
    }
}

#[tokio::test]
async fn a_browser_may_load_and_run_nothing_but_the_files_of_the_page() {
    let server = serving(healthy()).await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/picture.js", "text/javascript; charset=utf-8"),
        ("/words.js", "text/javascript; charset=utf-8"),
    ] {
        let (code, head, body) = server.get(path, BROWSER).await;
        assert_eq!(code, 200, "{path}");
        assert!(body.len() > 1000, "{path}");
        for line in [
            format!("content-type: {kind}"),
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
                .to_owned(),
            "x-content-type-options: nosniff".to_owned(),
            "referrer-policy: no-referrer".to_owned(),
            "cache-control: no-store".to_owned(),
        ] {
            assert!(head.lines().any(|l| l == line), "{path}: {line} in\n{head}");
        }
    }
    let posted = server.raw("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    assert!(posted.starts_with("HTTP/1.1 405"), "the page changes nothing: {posted}");
}

#[tokio::test(start_paused = true)]
async fn an_event_tells_how_old_the_observation_is() {
    let server = serving(healthy()).await;
    tokio::time::advance(Duration::from_secs(40)).await;
    let (_, status) = event(&mut listening(&server, "").await, "status").await;
    let status: Status = serde_json::from_str(&status).unwrap();
    assert!((40_000..50_000).contains(&status.observed_ms_ago), "{}", status.observed_ms_ago);
}

#[tokio::test(start_paused = true)]
async fn an_observation_without_a_change_is_no_event() {
    let (mut stream, feed) = connection(healthy());
    stream.write_all(b"GET /v1/events HTTP/1.0\r\n\r\n").await.unwrap();
    let mut heard = vec![0; 64 * 1024];
    let mut text = String::new();
    while !text.contains("event: status") {
        let read = stream.read(&mut heard).await.unwrap();
        text.push_str(std::str::from_utf8(&heard[..read]).unwrap());
    }
    feed.send_replace(snapshot(healthy()));
    let since = Instant::now();
    let read = stream.read(&mut heard).await.unwrap();
    assert!(heard[..read].starts_with(b":") && since.elapsed() >= KEEP_ALIVE, "only the sign of life");
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_stops_to_read_loses_its_connection_and_its_seat() {
    let (mut stream, feed) = connection(long_status());
    stream.write_all(b"GET /v1/events HTTP/1.0\r\n\r\n").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'H', "the stream has begun");
    tokio::time::sleep(Duration::from_secs(11)).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < 100_000, "little is kept for it: {} bytes", rest.len());
    assert_eq!(feed.receiver_count(), 0, "nothing is kept for it any more");
}
