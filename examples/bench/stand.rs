//! One contender and its replica set.

use std::time::Duration;

use futures_util::future::join_all;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use rsctl::publish::Status;
use tokio::time::{Instant, sleep};

use crate::Options;
use crate::ideal;
use crate::report::Series;
use crate::set::{Kind, PORT, Set};
use crate::support::controller::Controller;

/// The limit of every wait here.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// A set is at rest when no secondary has changed its sync source for this long.
const REST: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(3);

/// What controls the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    /// The program under test, with DNS discovery.
    Rsctl,
    /// The ideal commands of an operator who knows everything.
    Floor,
    /// No controller: MongoDB with its own settings and timeouts.
    Alone,
}

impl Contender {
    pub(crate) const ALL: [Self; 3] = [Self::Rsctl, Self::Floor, Self::Alone];
}

pub(crate) struct Stand {
    pub(crate) set: Set,
    pub(crate) controller: Option<Controller>,
}

impl Stand {
    /// A healthy set of `voters` members, with addresses for `planned` members in total.
    pub(crate) async fn settled(
        contender: Contender,
        kind: Kind,
        voters: usize,
        planned: usize,
        options: &Options,
    ) -> Self {
        let mut stand = Self { set: Set::planned(kind, planned).await, controller: None };
        stand.set.start(voters).await;
        match contender {
            Contender::Rsctl => stand.controller = Some(controller(&stand.set, options, 3, &[])),
            Contender::Floor => stand.form(ideal::quick()).await,
            Contender::Alone => stand.form(doc! {}).await,
        }
        stand.until_whole(voters).await;
        stand
    }

    /// Makes a set of all running mongods without rsctl.
    pub(crate) async fn form(&self, settings: Document) {
        ideal::initiate(&self.set, settings).await;
        let primary = self.set.nodes[0].client();
        ideal::reconfig(&primary, |config| {
            for n in 1..self.set.nodes.len() {
                let entry = ideal::newcomer(config, &self.set.host(n), 1);
                ideal::members(config).push(Bson::Document(entry));
            }
        })
        .await;
    }

    /// The index of the mongod that accepts writes.
    pub(crate) async fn primary(&self) -> usize {
        let deadline = Instant::now() + LIMIT;
        loop {
            for n in 0..self.set.nodes.len() {
                let hello = self.set.command(n, doc! { "hello": 1 }).await.unwrap_or_default();
                if hello.get_bool("isWritablePrimary").unwrap_or(false) {
                    return n;
                }
            }
            assert!(Instant::now() < deadline, "no primary\n{}", self.story());
            sleep(POLL).await;
        }
    }

    /// Waits until the config has this many members, each one serves at its present address, and at least this many vote.
    /// Spares may have become voters in the meantime. Returns the moment.
    pub(crate) async fn until_members(&self, members: usize, voters: usize) -> Instant {
        let deadline = Instant::now() + LIMIT;
        let mut seen = Document::new();
        loop {
            let client = self.set.nodes[self.primary().await].client();
            // Uses one connection while this member is primary: a new one each time would distort the measurement.
            while let Ok(status) = client.database("admin").run_command(doc! { "replSetGetStatus": 1 }).await {
                if self.are_well(&status, members, voters) {
                    return Instant::now();
                }
                if !status.get_i32("myState").is_ok_and(|state| state == 1) {
                    break;
                }
                assert!(Instant::now() < deadline, "{members} members are not well: {status}\n{}", self.story());
                seen = status;
                sleep(POLL).await;
            }
            assert!(Instant::now() < deadline, "{members} members are not well: {seen}\n{}", self.story());
        }
    }

    fn are_well(&self, status: &Document, members: usize, voters: usize) -> bool {
        let list = status.get_array("members").unwrap();
        let serves = |entry: &Bson| {
            let entry = entry.as_document().unwrap();
            let here = entry.get_str("name").is_ok_and(|name| self.set.position(name).is_some());
            here && matches!(entry.get_i32("state"), Ok(1 | 2)) && entry.get_f64("health").is_ok_and(|h| h == 1.0)
        };
        list.len() == members
            && list.iter().all(serves)
            && status.get_i32("votingMembersCount").is_ok_and(|n| n >= voters as i32)
    }

    /// Waits until all running mongods are healthy voters and the controller has nothing left to do.
    pub(crate) async fn until_whole(&self, voters: usize) {
        self.until_members(voters, voters).await;
        self.until_calm().await;
    }

    /// Waits until the controller, if there is one, has nothing left to do.
    pub(crate) async fn until_calm(&self) {
        let calm = |s: &Status| s.next == "nothing" && s.waiting.is_empty() && s.members.iter().all(|m| m.healthy);
        if let Some(controller) = &self.controller {
            controller.until("a calm set", LIMIT, calm).await;
        }
    }

    /// Waits until every secondary has had its sync source for [`REST`]. For about one second after a change some have
    /// none, with or without rsctl.
    async fn until_all_copy(&self, primary: usize) {
        let (deadline, mut since, mut last) = (Instant::now() + LIMIT, Instant::now(), Vec::new());
        loop {
            let secondaries = self.set.nodes.iter().enumerate().filter(|(n, _)| *n != primary);
            let sources = join_all(secondaries.map(|(_, node)| node.sync_source())).await;
            let all_copy = sources.iter().all(|source| source.as_ref().is_some_and(|source| !source.is_empty()));
            if sources != last || !all_copy {
                (since, last) = (Instant::now(), sources);
            } else if since.elapsed() >= REST {
                return;
            }
            assert!(Instant::now() < deadline, "some copy from nobody: {last:?}\n{}", self.story());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the set is at rest. Returns its primary.
    pub(crate) async fn primary_at_rest(&self) -> usize {
        let primary = self.primary().await;
        self.until_all_copy(primary).await;
        primary
    }

    /// A secondary from which another one copies; any secondary if there is none.
    pub(crate) async fn source_of_another(&self, primary: usize) -> usize {
        let secondaries: Vec<_> = (0..self.set.nodes.len()).filter(|n| *n != primary).collect();
        for n in &secondaries {
            let source = self.set.nodes[*n].sync_source().await.and_then(|host| self.set.position(&host));
            if let Some(source) = source.filter(|source| secondaries.contains(source)) {
                return source;
            }
        }
        secondaries[0]
    }

    /// Measures an event in each round: first to the primary, then to a secondary from which another one copies, if there
    /// is one.
    pub(crate) async fn each_role(
        &mut self,
        rounds: usize,
        [primarys, secondarys]: &mut [Series; 2],
        mut without: impl AsyncFnMut(&mut Self, usize) -> Option<Duration>,
    ) {
        for _ in 0..rounds {
            let primary = self.primary_at_rest().await;
            primarys.push(without(self, primary).await);
            let primary = self.primary_at_rest().await;
            let head = self.source_of_another(primary).await;
            secondarys.push(without(self, head).await);
        }
    }

    /// Restarts one of three members, and waits until the set is healthy.
    pub(crate) async fn take_back(&mut self, n: usize) {
        self.set.nodes[n].restart().await.unwrap();
        self.set.announce();
        self.until_whole(3).await;
    }

    /// Clients with open connections to all members but one.
    pub(crate) async fn clients(&self, but: usize) -> Vec<Client> {
        let others = (0..self.set.nodes.len()).filter(|n| *n != but);
        let clients: Vec<_> = others.map(|n| self.set.nodes[n].client()).collect();
        for client in &clients {
            client.database("admin").run_command(doc! { "ping": 1 }).await.unwrap();
        }
        clients
    }

    fn story(&self) -> String {
        self.controller.as_ref().map(Controller::log).unwrap_or_default()
    }
}

/// The controller under test. It has the default settings, except short waiting times.
pub(crate) fn controller(set: &Set, options: &Options, expect: usize, more: &[(&str, &str)]) -> Controller {
    let (expect, port) = (expect.to_string(), PORT.to_string());
    let settings = [
        ("RSCTL_EXPECT", expect.as_str()),
        ("RSCTL_PORT", port.as_str()),
        ("RSCTL_MEMBER_ADDRESS", set.kind.setting()),
        ("RSCTL_INTERVAL", "5s"),
        ("RSCTL_REPLACE_AFTER", "2s"),
        ("RSCTL_REMOVE_AFTER", "2s"),
    ];
    let all: Vec<_> = settings.iter().chain(more).copied().collect();
    Controller::start(&options.program, set.dns.address(), &all).unwrap()
}
