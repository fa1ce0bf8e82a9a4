//! A container that is removed closes its connections and is silent from then on. A host that is silent closes nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rsctl::model::ProbeError;
use rsctl::mongo::{Access, Admin, Mongods};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::arena::Node;
use crate::network::{Network, PORT};

const LIMIT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(500);

pub async fn a_closed_end_is_told_once() {
    let mut network = Network::new();
    if !network.can_cut() {
        return;
    }
    let mut node = Node::start(&mut network, 0).await;
    let at = |node: &Node| SocketAddr::new(IpAddr::V4(node.mongod.ip()), PORT);
    let wake = Arc::new(Notify::new());
    let mongods = Mongods::new(Access::default(), Arc::clone(&wake));
    let here = at(&node);
    mongods.probe(here, LIMIT).await.expect("it answers");
    // Reads all notifications that the new connection causes.
    while timeout(SILENCE, wake.notified()).await.is_ok() {}
    node.mongod.kill();
    node.lodging.as_ref().unwrap().leave();
    timeout(LIMIT, wake.notified()).await.expect("the end of the connection is noticed");
    assert_eq!(mongods.probe(here, SILENCE).await.err(), Some(ProbeError::Closed), "a process ended there");
    assert_eq!(mongods.probe(here, SILENCE).await.err(), Some(ProbeError::Timeout), "and that is all that is known");

    let there = network.fresh_ip();
    node.start_at(there).await;
    let there = at(&node);
    mongods.probe(there, LIMIT).await.expect("it answers");
    node.lodging.as_ref().unwrap().leave();
    assert_eq!(mongods.probe(there, SILENCE).await.err(), Some(ProbeError::Timeout), "nothing was closed");
}
