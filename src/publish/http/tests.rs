use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;
use crate::publish::status::tests::healthy;

const LIMIT: Duration = Duration::from_secs(15);

/// A running server and the hand that feeds it.
struct Server {
    address: std::net::SocketAddr,
    feed: watch::Sender<Arc<Snapshot>>,
    _stop: oneshot::Sender<()>,
}

fn snapshot(status: Status) -> Arc<Snapshot> {
    Arc::new(Snapshot { status, looked_at: Instant::now() })
}

async fn serving(status: Status) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (feed, snapshots) = watch::channel(snapshot(status));
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(listener, snapshots, LIMIT, async { drop(stopped.await) }));
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
    let served = |snapshots| Served { snapshots, liveness_limit: LIMIT, pollers: Arc::new(Semaphore::new(1)) };
    let (_feed, snapshots) = watch::channel(snapshot(healthy()));
    let served = served(snapshots);
    tokio::time::advance(LIMIT - Duration::from_millis(1)).await;
    assert_eq!(healthz(State(served.clone())).await.status(), 200);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(healthz(State(served.clone())).await.status(), 503);
    assert_eq!(readyz(State(served)).await.status(), 503);
}

#[tokio::test]
async fn load_balancers_learn_a_members_role() {
    let server = serving(healthy()).await;
    for (target, expected) in [
        ("/primary?host=mongo-node1:27017", answer(200, "PRIMARY")),
        ("/primary?host=mongo-node2:27017", answer(503, "SECONDARY")),
        ("/replica?host=mongo-node2:27017", answer(200, "SECONDARY")),
        ("/read-only?host=mongo-node1:27017", answer(200, "PRIMARY")),
        ("/primary?host=elsewhere:27017", answer(503, "no member has this address")),
        ("/primary", answer(400, "the one parameter is ?host=HOST:PORT, a member's address")),
    ] {
        assert_eq!(server.answer(target).await, expected, "{target}");
    }
}

#[tokio::test]
async fn mistakes_get_one_clear_line() {
    let server = serving(healthy()).await;
    for (target, expected) in [
        ("/nowhere", answer(404, "no such page; / lists them")),
        ("/v1/uri?format=xml", answer(400, "format: one of uri, hosts, seed-list, env, json")),
        ("/v1/uri?wait=30", answer(400, "wait: a time with its unit, such as 30s")),
        ("/v1/uri?database=a/b", answer(400, "database: no name that MongoDB would take")),
        ("/v1/uri?password=x", answer(400, "the parameters are database, format and wait")),
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
async fn a_known_answer_is_not_sent_again() {
    let server = serving(healthy()).await;
    let (_, head, _) = server.get("/v1/uri", "").await;
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    for known in [tag.clone(), format!("\"x\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
        let (code, _, body) = server.get("/v1/uri", &format!("if-none-match: {known}\r\n")).await;
        assert_eq!((code, body.as_str()), (304, ""), "{known}");
    }
    assert_eq!(server.get("/v1/uri?format=hosts", &format!("if-none-match: {tag}\r\n")).await.0, 200);
}

#[tokio::test]
async fn a_waiting_client_hears_the_news_and_only_news() {
    let server = serving(healthy()).await;
    let (_, head, _) = server.get("/v1/uri", "").await;
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let header = format!("if-none-match: {tag}\r\n");
    let waiting = server.get("/v1/uri?wait=30s", &header);
    let feeding = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.feed.send(snapshot(Status { term: Some(4), ..healthy() })).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.feed.send(snapshot(Status { seeds: vec!["new:27017".into()], ..healthy() })).unwrap();
    };
    let ((code, _, body), ()) = tokio::join!(waiting, feeding);
    assert_eq!((code, body.as_str()), (200, "mongodb://new:27017/?replicaSet=rs\n"));
}

#[tokio::test]
async fn waiting_ends_without_news() {
    let server = serving(healthy()).await;
    assert_eq!(server.get("/v1/uri?wait=50ms", "if-none-match: *\r\n").await.0, 304);
    let empty = serving(Status { seeds: vec![], ..healthy() }).await;
    assert_eq!(empty.answer("/v1/uri?wait=50ms").await, answer(503, "no members are known"));
}

#[tokio::test]
async fn a_waiting_client_gets_the_first_uri() {
    let server = serving(Status { seeds: vec![], ..healthy() }).await;
    let feeding = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.feed.send(snapshot(healthy())).unwrap();
    };
    let (uri, ()) = tokio::join!(server.answer("/v1/uri?wait=30s&format=hosts"), feeding);
    assert_eq!(uri, answer(200, "mongo-node1:27017,mongo-node2:27017,mongo-node3:27017"));
}

#[tokio::test]
async fn a_crowd_of_waiting_clients_leaves_room_for_health() {
    let server = serving(healthy()).await;
    let mut crowd = Vec::new();
    for _ in 0..POLLERS_MAX {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /v1/uri?wait=30s HTTP/1.1\r\nhost: x\r\nif-none-match: *\r\n\r\n").await.unwrap();
        crowd.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.get("/v1/uri?wait=30s", "if-none-match: *\r\n").await.0, 304);
    assert_eq!(server.answer("/healthz").await, answer(200, "ok"));
}
