//! The checks after every round. They ask the mongods, not the controller.

use std::collections::{BTreeSet, HashSet};

use futures_util::TryStreamExt;
use mongodb::Client;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReadConcern;

use crate::arena::Node;
use crate::support::mongods::Mongod;
use crate::workload::collection;

/// The config that the primary stores.
pub struct Stored {
    pub primary: usize,
    pub version: i64,
    pub set: ObjectId,
    config: Document,
}

/// Checks that there is one primary, that its config has exactly these mongods, and that the number of voters is odd
/// and at most seven.
pub async fn right(nodes: &[Node]) -> Result<Stored, String> {
    let mut primaries = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let hello = node.mongod.command(doc! { "hello": 1 }).await.map_err(|e| e.to_string())?;
        if hello.get_bool("isWritablePrimary").unwrap_or(false) {
            primaries.push(number);
        }
    }
    let [primary] = primaries[..] else { return Err(format!("the primaries are {primaries:?}")) };
    let stored = stored(&nodes[primary].mongod, primary).await;
    let members: Vec<_> = stored.config.get_array("members").unwrap().iter().filter_map(Bson::as_document).collect();
    let hosts: BTreeSet<_> = members.iter().map(|m| m.get_str("host").unwrap().to_owned()).collect();
    let addresses: BTreeSet<_> = nodes.iter().map(|n| n.mongod.address().to_string()).collect();
    if hosts != addresses || members.len() != addresses.len() {
        return Err(format!("the members are {hosts:?}, the mongods {addresses:?}"));
    }
    if members.iter().any(|m| m.contains_key("newlyAdded")) {
        return Err("a newcomer does not vote yet".to_owned());
    }
    let voters = members.iter().filter(|m| whole(m, "votes") > 0).count();
    if voters > 7 || voters % 2 == 0 {
        return Err(format!("there are {voters} voters"));
    }
    let status = nodes[primary].mongod.command(doc! { "replSetGetStatus": 1 }).await.map_err(|e| e.to_string())?;
    let peers = status.get_array("members").unwrap().iter().filter_map(Bson::as_document);
    let unwell: Vec<_> = peers.filter(|m| whole(m, "health") != 1 || ![1, 2].contains(&whole(m, "state"))).collect();
    if unwell.is_empty() { Ok(stored) } else { Err(format!("not well: {unwell:?}")) }
}

/// A number of any BSON type. An absent field counts as 1, which is MongoDB's default for `votes`.
fn whole(document: &Document, field: &str) -> i64 {
    match document.get(field) {
        Some(Bson::Int32(n)) => i64::from(*n),
        Some(Bson::Int64(n)) => *n,
        Some(Bson::Double(n)) => *n as i64,
        _ => 1,
    }
}

/// The config that this mongod stores.
pub async fn stored(mongod: &Mongod, primary: usize) -> Stored {
    let client = mongod.client();
    let found = client.database("local").collection::<Document>("system.replset").find_one(doc! {}).await;
    client.shutdown().immediate(true).await;
    let config = found.unwrap().expect("a config");
    let set = config.get_document("settings").unwrap().get_object_id("replicaSetId").unwrap();
    Stored { primary, version: whole(&config, "version"), set, config }
}

/// Those of these writes that a read at this mongod with read concern `majority` does not find.
pub async fn missing(mongod: &Mongod, numbers: &[i64]) -> mongodb::error::Result<Vec<i64>> {
    let Some(first) = numbers.first() else { return Ok(Vec::new()) };
    let client = mongod.client();
    let found = newer(&client, *first).await;
    client.shutdown().immediate(true).await;
    let found: HashSet<i64> = found?.iter().filter_map(|d| d.get_i64("_id").ok()).collect();
    Ok(numbers.iter().copied().filter(|number| !found.contains(number)).collect())
}

async fn newer(client: &Client, first: i64) -> mongodb::error::Result<Vec<Document>> {
    let filter = doc! { "_id": { "$gte": first } };
    collection(client).find(filter).read_concern(ReadConcern::majority()).await?.try_collect().await
}

/// The state of this mongod, for the report of a failure.
pub async fn describe(mongod: &Mongod) -> String {
    match mongod.command(doc! { "replSetGetStatus": 1 }).await {
        Ok(status) => {
            let peers = status.get_array("members").map(Vec::as_slice).unwrap_or_default();
            let peers = peers.iter().filter_map(Bson::as_document);
            let line =
                |m: &Document| format!("{} {}", m.get_str("name").unwrap_or("?"), m.get_str("stateStr").unwrap_or("?"));
            peers.map(line).collect::<Vec<_>>().join(", ")
        }
        Err(error) => error.to_string(),
    }
}

/// The term that this mongod knows.
pub async fn term(mongod: &Mongod) -> Option<i64> {
    mongod.command(doc! { "replSetGetStatus": 1 }).await.ok()?.get_i64("term").ok()
}
