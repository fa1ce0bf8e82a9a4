//! A server that demands a token.

use super::*;
use crate::publish::http::token::Guard;
use crate::secret::Secret;

async fn guarded() -> Server {
    serving_with(healthy(), Some(Guard::new(&Secret::new("s3cret-token")).unwrap())).await
}

#[tokio::test]
async fn only_role_checks_and_health_answer_without_the_token() {
    let server = guarded().await;
    for target in ["/healthz", "/readyz", "/primary?host=mongo-node1:27017", "/read-only?host=mongo-node2:27017"] {
        assert_eq!(server.answer(target).await.0, 200, "{target}");
    }
    let closed =
        ["/", "/page.js", "/v1/status", "/v1/history", "/v1/uri", "/v1/events", "/metrics", "/none", "//healthz"];
    for target in closed {
        let (code, head, body) = server.get(target, "").await;
        assert_eq!((code, body.contains("mongo-node")), (401, false), "{target}");
        assert!(head.to_ascii_lowercase().contains("www-authenticate: bearer realm=\"rsctl\""), "{head}");
    }
}

#[tokio::test]
async fn exactly_the_token_opens() {
    let server = guarded().await;
    for (header, code) in [
        ("authorization: Bearer s3cret-token\r\n", 200),
        ("authorization: bearer s3cret-token\r\n", 200),
        ("authorization: Bearer s3cret-toke\r\n", 401),
        ("authorization: Bearer s3cret-tokens\r\n", 401),
        ("authorization: Bearer \r\n", 401),
        ("authorization: Basic s3cret-token\r\n", 401),
        ("authorization: s3cret-token\r\n", 401),
        ("authorization: Bearer x\r\nauthorization: Bearer s3cret-token\r\n", 401),
        ("cookie: token=s3cret-token\r\n", 401),
    ] {
        assert_eq!(server.get("/v1/status", header).await.0, code, "{header:?}");
    }
    assert_eq!(server.answer("/v1/status?token=s3cret-token").await.0, 401, "a URL is logged, so it holds no token");
}
