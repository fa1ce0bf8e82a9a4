//! The floor: the commands of an operator who knows everything in advance.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use tokio::time::{Instant, sleep};

use crate::set::Set;

/// The limit of every wait here.
const LIMIT: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(5);

/// The settings that rsctl chooses for a set of this size, so that rsctl and the floor differ only in their commands.
pub(crate) fn quick() -> Document {
    doc! { "heartbeatIntervalMillis": 500 }
}

/// `replSetInitiate` of one member, and waits until it takes writes.
pub(crate) async fn initiate(set: &Set, settings: Document) {
    let config =
        doc! { "_id": "rs", "version": 1, "members": [{ "_id": 0, "host": set.host(0) }], "settings": settings };
    set.command(0, doc! { "replSetInitiate": config }).await.unwrap();
    until_writable(&set.nodes[0].client()).await;
}

/// `rs.initiate()` with all members at once, as MongoDB's manual describes it.
pub(crate) async fn initiate_all(set: &Set) {
    let hosts = (0i32..).zip(0..set.nodes.len());
    let members: Vec<_> = hosts.map(|(id, n)| doc! { "_id": id, "host": set.host(n) }).collect();
    set.command(0, doc! { "replSetInitiate": { "_id": "rs", "members": members } }).await.unwrap();
}

/// One reconfig on the primary. Tries again while another reconfig is in progress.
pub(crate) async fn reconfig(primary: &Client, edit: impl Fn(&mut Document)) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let mut config = config(primary).await;
        edit(&mut config);
        let command = doc! { "replSetReconfig": config, "maxTimeMS": 5000 };
        let Err(error) = primary.database("admin").run_command(command).await else { return };
        assert!(Instant::now() < deadline, "the ideal reconfig is refused: {error}");
        sleep(AGAIN).await;
    }
}

/// The newest config, with the next version number.
pub(crate) async fn config(node: &Client) -> Document {
    let reply = node.database("admin").run_command(doc! { "replSetGetConfig": 1 }).await.unwrap();
    let mut config = reply.get_document("config").unwrap().clone();
    let next = version(&config) + 1;
    config.insert("version", next);
    config
}

/// The server reports the version with the integer width that the config had.
pub(crate) fn version(config: &Document) -> i64 {
    config.get_i64("version").or_else(|_| config.get_i32("version").map(i64::from)).unwrap()
}

pub(crate) fn members(config: &mut Document) -> &mut Vec<Bson> {
    config.get_array_mut("members").unwrap()
}

pub(crate) fn member(list: &mut [Bson], host: &str) -> usize {
    let at = |entry: &Bson| entry.as_document().unwrap().get_str("host").is_ok_and(|h| h == host);
    list.iter().position(at).unwrap()
}

/// A new member with an `_id` that no other member has.
pub(crate) fn newcomer(config: &Document, host: &str, votes: i32) -> Document {
    let ids = config.get_array("members").unwrap().iter().map(|m| m.as_document().unwrap().get_i32("_id").unwrap());
    doc! { "_id": ids.max().unwrap_or(0) + 1, "host": host, "votes": votes, "priority": votes }
}

/// Sends `replSetStepUp` to these members in turn until one is elected.
pub(crate) async fn step_up(candidates: &[Client]) {
    let deadline = Instant::now() + LIMIT;
    for node in candidates.iter().cycle() {
        if node.database("admin").run_command(doc! { "replSetStepUp": 1 }).await.is_ok() {
            // The new primary must not wait for a member that is down.
            let _ = node.database("admin").run_command(doc! { "replSetAbortPrimaryCatchUp": 1 }).await;
            return;
        }
        assert!(Instant::now() < deadline, "nobody can be elected");
        sleep(AGAIN).await;
    }
}

pub(crate) async fn until_writable(node: &Client) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let hello = node.database("admin").run_command(doc! { "hello": 1 }).await.unwrap_or_default();
        if hello.get_bool("isWritablePrimary").unwrap_or(false) {
            return;
        }
        assert!(Instant::now() < deadline, "no primary: {hello}");
        sleep(AGAIN).await;
    }
}
