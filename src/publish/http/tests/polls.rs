//! Clients that wait for another URI.

use super::*;

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
async fn a_client_that_needs_a_primary_hears_of_the_new_uri_when_there_is_one() {
    let moved = || Status { seeds: vec!["new:27017".into()], ..healthy() };
    let server = serving(Status { primary: None, ..moved() }).await;
    assert_eq!(server.answer("/v1/uri?primary=true").await, answer(503, "there is no primary"));
    let waiting = server.get("/v1/uri?wait=30s&primary=true", "");
    let feeding = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.feed.send(snapshot(Status { primary: None, term: Some(4), ..moved() })).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.feed.send(snapshot(moved())).unwrap();
        Instant::now()
    };
    let ((code, _, body), elected) = tokio::join!(waiting, feeding);
    assert_eq!((code, body.as_str()), (200, "mongodb://new:27017/?replicaSet=rs\n"));
    assert!(elected.elapsed() < Duration::from_secs(1), "at once: {:?}", elected.elapsed());
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
