//! What is remembered of addresses.

use super::{Access, Admin, Mongods};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn ten_thousand_addresses_that_come_and_go_leave_nothing_behind() {
    let mongods = Mongods::new(Access::default(), Arc::default());
    for n in 0..10_000_u16 {
        let [high, low] = n.to_be_bytes();
        let at = SocketAddr::from(([127, 77, high, low], 9));
        assert!(mongods.probe(at, Duration::from_secs(1)).await.is_err(), "nobody listens there");
        mongods.keep_only(&BTreeSet::from([at]));
        assert_eq!(mongods.nodes.lock().unwrap().len(), 1);
    }
}
