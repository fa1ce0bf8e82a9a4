//! Clients that stop to send, stop to read, come in crowds, or are web pages.

use super::super::connection::converse;
use super::*;
use crate::publish::PauseStatus;
use tokio::io::DuplexStream;

/// A connection in memory. Through the kernel, a clock that tests stop would run ahead of the bytes on a busy machine.
pub(super) fn connection(status: Status) -> (DuplexStream, watch::Sender<Arc<Snapshot>>) {
    let (feed, snapshots) = watch::channel(snapshot(status));
    let (client, server) = tokio::io::duplex(64 * 1024);
    tokio::spawn(converse(server, router(Served::new(snapshots, LIMIT, 1, 1))));
    (client, feed)
}

/// A status that no buffer holds.
pub(super) fn long_status() -> Status {
    Status { because: "x".repeat(2_000_000), ..healthy() }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_to_read_loses_its_connection() {
    let (mut stream, _feed) = connection(long_status());
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'H', "the answer has begun");
    tokio::time::sleep(Duration::from_secs(11)).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < 2_000_000, "the answer broke off: {} bytes came", rest.len());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_the_whole_answer() {
    let (mut stream, _feed) = connection(long_status());
    stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut piece = vec![0; 200_000];
    for _ in 0..10 {
        stream.read_exact(&mut piece).await.unwrap();
        tokio::time::sleep(Duration::from_secs(9)).await;
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"}\n"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_to_send_loses_its_connection() {
    for begun in ["", "GET /healthz HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let ((mut stream, _feed), since) = (connection(healthy()), Instant::now());
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(11), "{begun:?} is kept for {:?}", since.elapsed());
    }
}

/// The answer to one request on a connection that stays open.
async fn ask(stream: &mut DuplexStream, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nif-none-match: *\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap().into());
    }
    answer
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_is_answered_on_an_old_connection_and_then_it_ends() {
    let (mut stream, _feed) = connection(healthy());
    for _ in 0..59 {
        ask(&mut stream, "/v1/uri").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let since = Instant::now();
    let answer = ask(&mut stream, "/v1/uri?wait=300s").await;
    assert!(answer.starts_with("HTTP/1.1 304 "), "{answer}");
    assert!(since.elapsed() >= Duration::from_secs(300));
    let answered = Instant::now();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(answered.elapsed() < Duration::from_secs(1), "it takes no further request");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_outlives_the_longest_wait_and_ends() {
    let ((mut stream, _feed), since) = (connection(healthy()), Instant::now());
    stream.write_all(b"GET /v1/events HTTP/1.0\r\n\r\n").await.unwrap();
    let mut events = Vec::new();
    let _ = stream.read_to_end(&mut events).await;
    let lasted = since.elapsed().as_secs();
    assert!((301..=640).contains(&lasted), "{lasted} s");
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let server = serving(healthy()).await;
    let mut crowd = Vec::new();
    for _ in 0..PUBLIC.of_one_address {
        crowd.push(connect_from(1, server.address).await);
    }
    let mut another = connect_from(1, server.address).await;
    let closed = tokio::time::timeout(Duration::from_secs(5), another.read(&mut [0])).await.expect("closed at once");
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    assert_eq!(server.answer("/healthz").await, answer(200, "ok"), "from another address");
    drop(crowd);
    let free = async {
        let mut answered = [0];
        while answered != [b'H'] {
            let mut stream = connect_from(1, server.address).await;
            let _ = stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await;
            let _ = stream.read(&mut answered).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), free).await.expect("connections that ended are free again");
}

#[tokio::test]
async fn bodies_and_long_headers_are_refused() {
    let server = serving(healthy()).await;
    for body in ["content-length: 5\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
        let reply = server.raw(&format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{body}")).await;
        assert!(reply.starts_with("HTTP/1.1 413 ") && reply.ends_with("requests have no body\n"), "{reply}");
    }
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(17_000));
    let reply = server.raw(&long).await;
    assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
}

#[tokio::test]
async fn the_history_is_served_whole() {
    let server = serving(healthy()).await;
    assert_eq!(server.answer("/v1/history").await, answer(200, "{\"events\":[]}"));
    let text = |text: &str| text.to_owned();
    let event = crate::model::Event {
        key: text("k"),
        at_ms: 1_763_720_400_900,
        by: text("a"),
        what: text("w"),
        why: text("y"),
        changes: vec![],
        version: Some(7),
    };
    let old = server.feed.borrow().clone();
    server.feed.send_replace(Arc::new(Snapshot { history: [event].into(), ..(*old).clone() }));
    let (_, body) = server.answer("/v1/history").await;
    assert!(body.contains("\"at\":\"2025-11-21T10:20:00Z\"") && body.contains("\"config_version\":7"), "{body}");
}

#[tokio::test]
async fn a_name_that_may_mean_two_members_removes_none() {
    let server = serving_admin().await;
    let mut status = healthy();
    status.members[1].host = "mongo-node1:27018".to_owned();
    server.feed.send_replace(snapshot(status));
    for (name, code) in [("mongo-node1", 409), ("node3", 409), ("node9", 404)] {
        let request = format!("POST /v1/remove?node={name} HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n");
        let reply = server.raw(&format!("{request}host: localhost\r\nx-rsctl: 1\r\n\r\n")).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {code} ")), "{name}: {reply}");
        assert_eq!(reply.contains("may mean any of"), name == "mongo-node1", "{reply}");
    }
}

#[tokio::test]
async fn admin_requests_of_web_pages_are_refused() {
    let server = serving_admin().await;
    let header = "x-rsctl: 1\r\n";
    for (headers, why) in [
        (format!("host: 127.0.0.1\r\n{header}origin: http://127.0.0.1:8081\r\n"), "the header Origin "),
        (format!("host: 127.0.0.1\r\n{header}origin: null\r\n"), "the header Origin "),
        (format!("host: rebound.example:8081\r\n{header}"), "the header Host "),
        (format!("host: 10.0.0.1:8081\r\n{header}"), "the header Host "),
        (format!("host: 127.0.0.1\r\nhost: evil\r\n{header}"), "the header Host "),
        (header.to_owned(), "the header Host "),
        ("host: 127.0.0.1\r\n".to_owned(), "the header `X-Rsctl: 1` is missing"),
        ("host: 127.0.0.1\r\ncontent-type: text/plain\r\n".to_owned(), "the header `X-Rsctl: 1` is missing"),
    ] {
        for path in ["/v1/remove?node=mongo-node2", "/v1/recover?evidence=0123456789abcdef", "/nowhere"] {
            let request = format!("POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n");
            let reply = server.raw(&request).await;
            assert!(reply.starts_with("HTTP/1.1 403 "), "{path} with {headers:?}: {reply}");
            let body = reply.split_once("\r\n\r\n").unwrap().1;
            assert!(body.starts_with(why) && body.lines().count() == 1, "{headers:?}: {body}");
        }
    }
    for host in ["127.0.0.1", "127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:8081", "127.1.2.3:1"] {
        let request = "POST /v1/remove?node=mongo-node2 HTTP/1.1\r\nconnection: close\r\n";
        let reply = server.raw(&format!("{request}host: {host}\r\n{header}\r\n")).await;
        assert!(reply.starts_with("HTTP/1.1 409 "), "{host}: {reply}");
    }
    assert_eq!(server.answer("/healthz").await, answer(200, "ok"), "what is read needs no header");
}

#[tokio::test]
async fn while_it_is_paused_the_set_takes_no_other_request() {
    let server = serving_admin().await;
    let post = async |path: &str| {
        let request = format!("POST {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n");
        let reply = server.raw(&format!("{request}host: localhost\r\nx-rsctl: 1\r\n\r\n")).await;
        reply.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let pauses =
        [("?for=1h", 202), ("?for=168h&reason=new%20disks", 202), ("?for=169h", 400), ("?for=0s", 400), ("", 400)];
    for (query, code) in pauses {
        assert_eq!(post(&format!("/v1/pause{query}")).await, code, "{query}");
    }
    let pause = PauseStatus { left_ms: 60_000, reason: String::new(), kept_by: 3 };
    server.feed.send_replace(snapshot(Status { pause: Some(pause), ..healthy() }));
    for path in ["/v1/remove?node=mongo-node2", "/v1/readdress?to=ips", "/v1/recover?evidence=0123456789ab"] {
        assert_eq!(post(path).await, 409, "{path}");
    }
    assert_eq!((post("/v1/pause?for=2h").await, post("/v1/resume").await), (202, 202));
    assert_eq!(server.get("/v1/recover?evidence=0123456789ab", "").await.0, 404, "asking changes nothing");
    assert!(server.answer("/metrics").await.1.contains("\nrsctl_paused 1\n"));
}
