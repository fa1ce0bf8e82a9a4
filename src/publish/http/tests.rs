mod page;
mod polls;
mod surface;
mod token;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connection::PUBLIC;
use super::*;
use crate::admin::{AdminEndpoint, NotRemovable};
use crate::model::{RecoveryRequest, RequestState, SwitchoverId, SwitchoverState};
use crate::publish::Status;
use crate::publish::status::tests::healthy;

const LIMIT: Duration = Duration::from_secs(15);

/// A connection from the nth loopback address.
async fn connect_from(nth: usize, to: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 9, 1 + nth as u8], 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// A running server and the hand that feeds it.
struct Server {
    address: std::net::SocketAddr,
    feed: watch::Sender<Arc<Snapshot>>,
    _stop: oneshot::Sender<()>,
}

fn snapshot(status: Status) -> Arc<Snapshot> {
    Arc::new(Snapshot::new(status))
}

async fn serving(status: Status) -> Server {
    serving_with(status, None).await
}

async fn serving_with(status: Status, guard: Option<Guard>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (feed, snapshots) = watch::channel(snapshot(status));
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(listener, snapshots, LIMIT, guard, async { drop(stopped.await) }));
    Server { address, feed, _stop: stop }
}

impl Server {
    /// Sends bytes as they are and reads until the server hangs up.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    /// The code, the head and the body of an answer.
    async fn get(&self, target: &str, headers: &str) -> (u16, String, String) {
        let answer = self.raw(&format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
    }

    async fn answer(&self, target: &str) -> (u16, String) {
        let (code, _, body) = self.get(target, "").await;
        (code, body)
    }
}

fn answer(code: u16, body: &str) -> (u16, String) {
    (code, format!("{body}\n"))
}

#[tokio::test]
async fn a_healthy_set_is_told_on_every_page() {
    let server = serving(healthy()).await;
    assert_eq!(server.answer("/healthz").await, answer(200, "ok"));
    assert_eq!(server.answer("/readyz").await, answer(200, "ready"));
    let uri = "mongodb://mongo-node1:27017,mongo-node2:27017,mongo-node3:27017/letschat?replicaSet=rs";
    assert_eq!(server.answer("/v1/uri?database=letschat").await, answer(200, uri));
    let (code, json) = server.answer("/v1/status").await;
    assert_eq!((code, serde_json::from_str::<Status>(&json).unwrap().members), (200, healthy().members));
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let server = serving(Status { primary: None, ..healthy() }).await;
    assert_eq!(server.answer("/readyz").await, answer(503, "3 of 3 members listed, no primary"));
    assert_eq!(server.answer("/healthz").await, answer(200, "ok"));
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_stopped_looking_is_not_alive() {
    let (_feed, snapshots) = watch::channel(snapshot(healthy()));
    let served = Served::new(snapshots, LIMIT, 1, 1);
    tokio::time::advance(LIMIT - Duration::from_millis(1)).await;
    assert_eq!(healthz(State(served.clone())).await.status(), 200);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(healthz(State(served.clone())).await.status(), 503);
    assert_eq!(readyz(State(served)).await.status(), 503);
}

#[tokio::test]
async fn load_balancers_learn_a_members_role() {
    let server = serving(healthy()).await;
    let parameters =
        "the parameters are ?host=HOST:PORT, a member's address, and optionally &lag=10s, the largest accepted lag";
    for (target, expected) in [
        ("/primary?host=mongo-node1:27017", answer(200, "PRIMARY")),
        ("/primary?host=mongo-node2:27017", answer(503, "SECONDARY")),
        ("/replica?host=mongo-node2:27017", answer(200, "SECONDARY")),
        ("/read-only?host=mongo-node1:27017", answer(200, "PRIMARY")),
        ("/leader?host=mongo-node1:27017", answer(200, "PRIMARY")),
        ("/secondary?host=mongo-node2:27017", answer(200, "SECONDARY")),
        ("/primary?host=elsewhere:27017", answer(503, "no member has this address")),
        ("/primary", answer(400, parameters)),
        ("/primary?host=a:1&x=y", answer(400, parameters)),
        ("/replica?host=a:1&lag=-1", answer(400, "lag: seconds, or a time with its unit such as 500ms")),
    ] {
        assert_eq!(server.answer(target).await, expected, "{target}");
    }
}

#[tokio::test]
async fn load_balancers_may_set_a_limit_to_how_far_behind() {
    let mut status = healthy();
    status.members[0].lag_ms = None;
    status.members[1].lag_ms = Some(2500);
    status.members[2].lag_ms = None;
    let server = serving(status).await;
    for (target, expected) in [
        ("/replica?host=mongo-node2:27017&lag=3", answer(200, "SECONDARY")),
        ("/replica?lag=2500ms&host=mongo-node2:27017", answer(200, "SECONDARY")),
        ("/replica?host=mongo-node2:27017&lag=2s", answer(503, "SECONDARY and 2.5s behind")),
        ("/replica?host=mongo-node3:27017&lag=1h", answer(503, "SECONDARY and its lag is unknown")),
        ("/read-only?host=mongo-node1:27017&lag=0", answer(200, "PRIMARY")),
        ("/primary?host=mongo-node2:27017&lag=3", answer(503, "SECONDARY")),
    ] {
        assert_eq!(server.answer(target).await, expected, "{target}");
    }
}

#[tokio::test]
async fn haproxy_says_in_a_header_which_server_it_means() {
    let server = serving(healthy()).await;
    // As HAProxy 2.6 sends it, with `http-check send-state`.
    let state = |place: &str| format!("DOWN 1/2; {place}; name=primary/mongo1; node=vm; weight=1/1; scur=0/0; qcur=0");
    for (path, place, code) in [
        ("/primary", "address=10.0.1.1; port=27017", 200),
        ("/primary", "address=10.0.1.2; port=27017", 503),
        ("/replica", "address=10.0.1.2; port=27017", 200),
        ("/replica", "address=10.0.1.9; port=27017", 503),
        ("/replica", "address=10.0.1.2; port=27018", 503),
        ("/replica", "address=10.0.1.2", 400),
        ("/replica", "address=mongo; port=27017", 400),
        ("/primary?host=mongo-node1:27017", "address=10.0.1.2; port=27017", 200),
        ("/primary?host=10.0.1.1:27017", "", 200),
    ] {
        let request = format!("GET {path} HTTP/1.0\r\nx-haproxy-server-state: {}\r\n\r\n", state(place));
        let reply = server.raw(&request).await;
        assert!(reply.starts_with(&format!("HTTP/1.0 {code} ")), "{path}, {place}: {reply}");
    }
}

#[tokio::test]
async fn load_balancers_ask_in_three_ways() {
    let server = serving(healthy()).await;
    for method in ["GET", "HEAD", "OPTIONS"] {
        let ask = |path: &str| format!("{method} {path}?host=mongo-node2:27017 HTTP/1.0\r\n\r\n");
        assert!(server.raw(&ask("/replica")).await.starts_with("HTTP/1.0 200"), "{method}");
        assert!(server.raw(&ask("/primary")).await.starts_with("HTTP/1.0 503"), "{method}");
    }
}

/// Reads one event: its name, its `id`, its `data`.
async fn any_event(stream: &mut TcpStream) -> (String, Option<String>, String) {
    let mut text = String::new();
    loop {
        // One byte at a time, so that the next event is left for the next call.
        text.push(stream.read_u8().await.unwrap().into());
        if !text.ends_with("\n\n") {
            continue;
        }
        let field = |field: &str| text.lines().find_map(|line| line.strip_prefix(field)).map(str::to_owned);
        if let Some(name) = field("event: ") {
            return (name, field("id: "), field("data: ").unwrap());
        }
        text.clear();
    }
}

/// Reads events until the named one comes; its `id` and `data`.
async fn event(stream: &mut TcpStream, wanted: &str) -> (Option<String>, String) {
    loop {
        let (name, id, data) = any_event(stream).await;
        if name == wanted {
            return (id, data);
        }
    }
}

async fn listening(server: &Server, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /v1/events?database=chat HTTP/1.0\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn listeners_hear_of_every_uri_and_status() {
    let server = serving(healthy()).await;
    let mut stream = listening(&server, "").await;
    let (first, uri) = event(&mut stream, "uri").await;
    let (_, head, body) = server.get("/v1/uri?database=chat", "").await;
    assert_eq!(uri, body.trim_end());
    assert!(head.contains(&format!("etag: {}", first.clone().unwrap())), "{head}");
    let (id, status) = event(&mut stream, "status").await;
    let status: Status = serde_json::from_str(&status).unwrap();
    assert_eq!((id, Status { observed_ms_ago: 0, ..status }), (None, healthy()));

    server.feed.send(snapshot(Status { term: Some(4), ..healthy() })).unwrap();
    let (_, status) = event(&mut stream, "status").await;
    assert_eq!(serde_json::from_str::<Status>(&status).unwrap().term, Some(4));
    server.feed.send(snapshot(Status { seeds: vec!["new:1".into()], term: Some(4), ..healthy() })).unwrap();
    let (second, uri) = event(&mut stream, "uri").await;
    assert_eq!(uri, "mongodb://new:1/chat?replicaSet=rs");

    // Whoever comes back is told what it has not heard.
    let mut back = listening(&server, &format!("last-event-id: {}\r\n", second.unwrap())).await;
    assert_eq!(any_event(&mut back).await.0, "status", "the URI is known there");
    server.feed.send(snapshot(healthy())).unwrap();
    assert_eq!(event(&mut back, "uri").await.0, first);
    let mut late = listening(&server, "last-event-id: \"something old\"\r\n").await;
    assert_eq!(event(&mut late, "uri").await.0, first);
}

#[tokio::test]
async fn listeners_that_do_not_read_hold_up_nobody_and_are_counted() {
    let server = serving(healthy()).await;
    let mut deaf = Vec::new();
    for _ in 0..LISTENERS_MAX {
        let mut stream = listening(&server, "").await;
        event(&mut stream, "uri").await;
        deaf.push(stream);
    }
    let (code, text) = server.answer("/v1/events").await;
    assert_eq!((code, text.as_str()), (503, "too many listeners; ask /v1/uri?wait=30s instead\n"));
    let long = "x".repeat(100_000);
    for round in 0..20 {
        server.feed.send(snapshot(Status { because: format!("{round}{long}"), ..healthy() })).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(server.answer("/healthz").await, answer(200, "ok"));
    }
    drop(deaf.pop());
    let free = async {
        while server.raw("HEAD /v1/events HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 503") {
            server.feed.send(snapshot(healthy())).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), free).await.expect("a seat that was left is free again");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_shows_that_it_lives() {
    let server = serving(healthy()).await;
    let mut stream = listening(&server, "").await;
    event(&mut stream, "status").await;
    assert_eq!(stream.read_u8().await.unwrap(), b':');
}

#[tokio::test]
async fn prometheus_is_served() {
    let server = serving(healthy()).await;
    let (code, head, body) = server.get("/metrics", "").await;
    assert_eq!(code, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(body.contains("\nrsctl_ready 1\n"), "{body}");
}

#[tokio::test]
async fn mistakes_get_one_clear_line() {
    let server = serving(healthy()).await;
    for (target, expected) in [
        ("/nowhere", answer(404, "no such page; / lists all pages")),
        ("/v1/uri?format=xml", answer(400, "format: one of uri, hosts, seed-list, env, json")),
        ("/v1/uri?wait=30", answer(400, "wait: a time with its unit, such as 30s")),
        ("/v1/uri?database=a/b", answer(400, "database: this is not a name that MongoDB accepts")),
        ("/v1/uri?primary=maybe", answer(400, "primary: true or false")),
        ("/v1/events?wait=3s", answer(400, "the parameters are database and format")),
        ("/v1/events?primary=true", answer(400, "the parameters are database and format")),
        ("/v1/uri?password=x", answer(400, "the parameters are database, format, primary and wait")),
    ] {
        assert_eq!(server.answer(target).await, expected, "{target}");
    }
    let posted = server.raw("POST /v1/uri HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    assert!(posted.starts_with("HTTP/1.1 405") && posted.ends_with("only GET and HEAD\n"), "{posted}");
}

#[tokio::test]
async fn garbage_disturbs_nobody() {
    let server = serving(healthy()).await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5000));
    for garbage in ["\r\n\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "\u{16}\u{3}\u{1}", &long, &many] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(garbage.as_bytes()).await;
        let _ = stream.shutdown().await;
        assert_eq!(server.answer("/healthz").await, answer(200, "ok"));
    }
}

#[tokio::test]
async fn a_crowd_of_waiting_clients_leaves_room_for_health() {
    let server = serving(healthy()).await;
    let mut crowd = Vec::new();
    for _ in 0..POLLERS_MAX {
        let mut stream = connect_from(crowd.len() / PUBLIC.of_one_address, server.address).await;
        stream.write_all(b"GET /v1/uri?wait=30s HTTP/1.1\r\nhost: x\r\nif-none-match: *\r\n\r\n").await.unwrap();
        crowd.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.get("/v1/uri?wait=30s", "if-none-match: *\r\n").await.0, 304);
    assert_eq!(server.answer("/healthz").await, answer(200, "ok"));
}

/// Takes no request to leave somebody out.
struct Refuses;

impl AdminEndpoint for Refuses {
    fn pause(&self, _: Duration, _: &str) {}

    fn resume(&self) {}

    fn readdress(&self, _: crate::model::AddressKind) {}

    fn remove(&self, _: &str) -> Result<(), NotRemovable> {
        Err(NotRemovable::EitherOfTwo)
    }

    fn switch_over(&self, _: &str, _: Option<&str>, _: bool) -> Option<SwitchoverId> {
        None
    }

    fn switchover_state(&self, _: SwitchoverId) -> Option<SwitchoverState> {
        None
    }

    fn recover(&self, _: RecoveryRequest) {}

    fn request_state(&self, _: &RecoveryRequest) -> Option<RequestState> {
        None
    }
}

async fn serving_admin() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, (feed, snapshots)) = (listener.local_addr().unwrap(), watch::channel(snapshot(healthy())));
    tokio::spawn(serve_admin(listener, snapshots, LIMIT, Arc::new(Refuses)));
    Server { address, feed, _stop: oneshot::channel().0 }
}

#[tokio::test]
async fn an_order_that_may_mean_two_is_refused_with_what_to_do() {
    let server = serving_admin().await;
    let post = "POST /v1/remove?node=mongo-node2 HTTP/1.1\r\nhost: localhost\r\nx-rsctl: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let refused = server.raw(post).await;
    assert!(refused.starts_with("HTTP/1.1 409") && refused.contains("ask again when `rsctl status`"), "{refused}");
}
