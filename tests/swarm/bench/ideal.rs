//! The floor: the ideal commands at the ideal moment, from an operator who knows everything.

use mongodb::bson::{Bson, Document, doc};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::HOSTS;
use super::inside::{LIMIT, PING_LIMIT, RETRY, command};
use crate::Outcome;
use crate::remote::{client, until_each};

/// A member whose task was removed.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Moved {
    /// Its name.
    pub(super) host: String,
    /// Its old address.
    pub(super) old: String,
}

pub(super) async fn initiate(hosts: &[String], settings: Document) -> Outcome {
    let members: Vec<_> = (0i32..).zip(hosts).map(|(id, host)| doc! { "_id": id, "host": host }).collect();
    let config = doc! { "_id": "rs", "version": 1, "members": members, "settings": settings };
    command(HOSTS[0], doc! { "replSetInitiate": config }).await.map(drop)
}

/// Initiates the first one, then adds the others in one reconfig, which is possible because they get their votes later.
pub(super) async fn add_others(hosts: Vec<String>) -> Outcome {
    reconfig(HOSTS[0], |members| {
        if members.len() == 1 {
            members
                .extend((1i32..).zip(&hosts[1..]).map(|(id, host)| Bson::Document(doc! { "_id": id, "host": host })));
        }
    })
    .await
}

/// The primary among those that answer.
pub(super) async fn leader() -> Outcome<String> {
    until_each(RETRY, LIMIT, "a primary", async || {
        for host in HOSTS {
            let hello = timeout(PING_LIMIT, command(host, doc! { "hello": 1 })).await;
            if matches!(hello, Ok(Ok(hello)) if hello.get_bool("isWritablePrimary").unwrap_or(false)) {
                return Ok(Ok(host.to_owned()));
            }
        }
        Ok(Err("there is no primary".to_owned()))
    })
    .await
}

/// Gives the member its new address in the config.
pub(super) async fn readdress(primary: &str, moved: &Moved, new: &str) -> Outcome {
    reconfig(primary, |members| {
        let of_it = |m: &&mut Document| m.get_str("host").is_ok_and(|host| host == moved.old);
        if let Some(member) = members.iter_mut().filter_map(Bson::as_document_mut).find(of_it) {
            member.insert("host", new);
        }
    })
    .await
}

/// Tries again until the server accepts it: it refuses right after an election and during another reconfig.
async fn reconfig(primary: &str, change: impl Fn(&mut Vec<Bson>)) -> Outcome {
    let deadline = Instant::now() + LIMIT;
    while let Err(why) = reconfig_once(primary, &change).await {
        if Instant::now() >= deadline {
            return Err(format!("no config was accepted in {LIMIT:?}: {why}").into());
        }
        sleep(RETRY).await;
    }
    Ok(())
}

async fn reconfig_once(primary: &str, change: impl Fn(&mut Vec<Bson>)) -> Outcome {
    let mut config = config(primary).await?;
    change(config.get_array_mut("members").map_err(|e| e.to_string())?);
    command(primary, doc! { "replSetReconfig": config }).await.map(drop)
}

/// The present config with the next version number.
async fn config(host: &str) -> Outcome<Document> {
    let mut config = command(host, doc! { "replSetGetConfig": 1 }).await?.get_document("config")?.clone();
    config.insert("version", config.get_i32("version")? + 1);
    Ok(config)
}

/// All addresses have changed: forces the new ones on the first member as soon as it has loaded its config, in the order in
/// which the members were added.
pub(super) async fn force(hosts: &[String]) -> Outcome {
    let mut config = until_each(RETRY, LIMIT, "a config", async || Ok(Ok(config(HOSTS[0]).await?))).await?;
    let members = config.get_array_mut("members").map_err(|e| e.to_string())?;
    for (member, host) in members.iter_mut().filter_map(Bson::as_document_mut).zip(hosts) {
        member.insert("host", host);
    }
    command(HOSTS[0], doc! { "replSetReconfig": config, "force": true }).await.map(drop)
}

/// Sends it to one member after the other, until one is elected.
pub(super) async fn step_up(candidates: Vec<&str>) -> Outcome {
    for host in candidates.into_iter().cycle() {
        if command(host, doc! { "replSetStepUp": 1 }).await.is_ok() {
            let _ = command(host, doc! { "replSetAbortPrimaryCatchUp": 1 }).await;
            return Ok(());
        }
        sleep(RETRY).await;
    }
    Ok(())
}

pub(super) async fn guard(primary: String) -> Outcome {
    let watched = client(&primary).await?;
    let ping = || async { watched.database("admin").run_command(doc! { "ping": 1 }).await };
    while timeout(PING_LIMIT, ping()).await.is_ok_and(|pong| pong.is_ok()) {
        sleep(RETRY).await;
    }
    timeout(LIMIT, step_up(HOSTS.into_iter().filter(|host| *host != primary).collect())).await?
}
