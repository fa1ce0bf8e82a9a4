//! Sets in the shapes in which people have them. Each is adopted and goes through the same: status, a member replaced,
//! the primary killed, the whole stack deployed anew. No acknowledged write is lost. The guide *Adopting a set* has the
//! shapes as a table.

use rsctl::publish::Status;
use tokio::time::Instant;

use crate::cluster::LIMIT;
use crate::shaped_set::ShapedSet;
use crate::support::private_network::in_private_network;
use crate::support::writer::missing;

/// How the member of a task is addressed when its set is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// By its IP.
    Ip,
    /// By the host name of its task.
    Name,
    /// By `localhost`. Its task has a host name that leads to it.
    Localhost,
    /// By the id of its container. It leads to the task in the container only.
    ContainerId,
}

impl At {
    /// Whether the member is known by name once the set is adopted.
    pub fn gets_name(self) -> bool {
        matches!(self, Self::Name | Self::Localhost)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Open,
    Keyfile,
    /// With certificates for host names.
    Tls,
}

/// A set before rsctl comes.
#[derive(Debug)]
pub struct Shape {
    /// The tasks of the service, with what their members have beside the defaults.
    pub tasks: &'static [(At, &'static str)],
    /// How many of these are members. The others are empty.
    pub members: usize,
    /// An arbiter outside of the service. It stays at its address.
    pub arbiter: bool,
    pub access: Access,
    /// The stack was removed before rsctl comes, and deployed anew with host names.
    pub deployed_anew: bool,
}

const BY_IP: Shape = Shape {
    tasks: &[(At::Ip, ""), (At::Ip, ""), (At::Ip, "")],
    members: 3,
    arbiter: false,
    access: Access::Open,
    deployed_anew: false,
};

const OLDER_CONTROLLERS: Shape = Shape { deployed_anew: true, ..BY_IP };

const BY_NAMES: Shape =
    Shape { tasks: &[(At::Name, ""), (At::Name, ""), (At::Name, "")], access: Access::Tls, ..BY_IP };

const MIXED: Shape = Shape { tasks: &[(At::Ip, ""), (At::Ip, ""), (At::Name, "")], ..BY_IP };

/// `rs.initiate()` in one container.
const BY_CONTAINER_ID: Shape = Shape {
    tasks: &[(At::ContainerId, ""), (At::ContainerId, ""), (At::ContainerId, "")],
    members: 1,
    access: Access::Keyfile,
    ..BY_IP
};

const AT_LOCALHOST: Shape =
    Shape { tasks: &[(At::Localhost, ""), (At::Name, ""), (At::Name, "")], members: 1, ..BY_IP };

const TUNED: Shape = Shape {
    tasks: &[
        (At::Ip, r#"{"priority": 2}"#),
        (At::Ip, ""),
        (At::Ip, r#"{"priority": 0, "hidden": true, "tags": {"use": "reports"}}"#),
        (At::Ip, ""),
    ],
    members: 4,
    arbiter: true,
    access: Access::Keyfile,
    ..BY_IP
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_by_ip() {
    goes_through("a_set_by_ip", &BY_IP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_of_an_older_controller_that_is_deployed_anew() {
    goes_through("a_set_of_an_older_controller_that_is_deployed_anew", &OLDER_CONTROLLERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_by_names_with_certificates_for_the_names() {
    goes_through("a_set_by_names_with_certificates_for_the_names", &BY_NAMES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_by_name_beside_others_by_ip() {
    goes_through("one_member_by_name_beside_others_by_ip", &MIXED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_named_by_a_container_id_with_a_keyfile() {
    goes_through("a_member_named_by_a_container_id_with_a_keyfile", &BY_CONTAINER_ID).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_at_localhost() {
    goes_through("a_member_at_localhost", &AT_LOCALHOST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priorities_a_hidden_member_and_an_arbiter_with_a_keyfile() {
    goes_through("priorities_a_hidden_member_and_an_arbiter_with_a_keyfile", &TUNED).await;
}

async fn goes_through(test: &str, shape: &'static Shape) {
    // On 127.0.0.0/8 the servers take every IP for localhost, which must not stand beside a name.
    if !in_private_network(&format!("shapes::{test}")) {
        return;
    }
    let began = Instant::now();
    let mut set = ShapedSet::made(shape).await;
    let mut acknowledged: Vec<i64> = (-20..0).collect();
    set.insert(&acknowledged).await;
    if shape.deployed_anew {
        set.deploy_anew().await;
    }
    let mut controller = set.controller();
    let adopted = set.settled(&controller, "the set adopted", |_| true).await;
    println!("figures: {test}: adopted after {:?}", began.elapsed());
    let writer = set.writer(&controller).await;

    set.replace_a_member(&adopted).await;
    let is_changed = |s: &Status| s.config_version > adopted.config_version;
    let status = set.settled(&controller, "the member replaced", is_changed).await;

    writer.reset_gap();
    let (old, primary) = (status.primary.clone(), set.primary(&status));
    set.cluster.nodes[primary].kill();
    controller.until("another primary", LIMIT, |s| s.primary.is_some() && s.primary != old).await;
    assert!(writer.next_acknowledged(LIMIT).await, "writes go on");
    println!("figures: {test}: writes out for {:?} after the primary was killed", writer.tally().longest_gap);
    set.cluster.nodes[primary].restart().await.unwrap();
    let before = set.settled(&controller, "everybody well again", |_| true).await;
    let ids = set.ids(&before);

    assert!(writer.next_acknowledged(LIMIT).await, "there is load");
    controller.kill();
    let answered = set.deploy_anew().await;
    acknowledged.extend(writer.tally().acknowledged);
    writer.rest().await;
    let controller = set.controller();
    let after = set.settled(&controller, "the stack deployed anew", |_| true).await;
    println!("figures: {test}: settled {:?} after the last mongod answered", answered.elapsed());
    assert_eq!(set.ids(&after), ids, "each directory is the same member");
    set.writer(&controller).await.rest().await;
    let lost = missing(&set.uri(&controller).await, &acknowledged).await.unwrap();
    assert_eq!(lost, Vec::<i64>::new(), "acknowledged writes are lost");
    println!("figures: {test}: {} acknowledged writes, all in {:?}", acknowledged.len(), began.elapsed());
}
