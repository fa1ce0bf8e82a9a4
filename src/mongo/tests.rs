//! Tests of what the mongod client learns and remembers about addresses.

use super::{Access, Admin, Mongods};
use crate::model::ProbeError;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::test]
async fn ten_thousand_addresses_that_come_and_go_leave_nothing_behind() {
    let mongods = Mongods::new(Access::default(), Arc::default());
    for n in 0..10_000_u16 {
        let [high, low] = n.to_be_bytes();
        let at = SocketAddr::from(([127, 77, high, low], 9));
        assert!(mongods.probe(at, Duration::from_secs(1)).await.is_err(), "no process listens there");
        mongods.keep_only(&BTreeSet::from([at]));
        assert_eq!(mongods.nodes.lock().unwrap().len(), 1);
    }
}

/// A mongod at `maxConns` does this, and so does a firewall that resets only this controller's connections.
#[tokio::test]
async fn a_process_that_accepts_a_connection_and_closes_it_is_alive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mongods = Mongods::new(Access::default(), Arc::default());
    let closes = async {
        loop {
            drop(listener.accept().await.unwrap());
        }
    };
    let probe = mongods.probe(at, Duration::from_secs(1));
    let answer = tokio::select! { answer = probe => answer, () = closes => unreachable!("it never ends") };
    assert_eq!(answer.map(drop), Err(ProbeError::Dropped));
    drop(listener);
    assert_eq!(mongods.probe(at, Duration::from_secs(1)).await.map(drop), Err(ProbeError::Refused));
}
