//! What applications and operators wait for, from the event to its end.

use std::time::Duration;

use mongodb::bson::{Bson, doc};
use mongodb::options::WriteConcern;
use tokio::time::{Instant, sleep, sleep_until};

use crate::Options;
use crate::ideal;
use crate::lost;
use crate::network::BlackHole;
use crate::planned;
use crate::pulse::Pulse;
use crate::report::{Goal, Series};
use crate::set::{Kind, Set};
use crate::stand::{Contender, LIMIT, Stand, controller};

/// How long Swarm waits before it starts a new task (`restart_policy` of the stack in `deploy/swarm`).
const RESTART_DELAY: Duration = Duration::from_secs(2);

/// The value of `--replace-after` and `--remove-after` that the bench sets (`stand::controller`).
const GRACE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    ColdStart,
    PrimaryKilled,
    TaskRemoved,
    MachineLost,
    Switchover,
    TaskStopped,
    Stall,
    MemberMoved,
    StackRecreated,
    MemberAdded,
    MemberRemoved,
}

impl Moment {
    pub(crate) const ALL: [Self; 11] = [
        Self::ColdStart,
        Self::PrimaryKilled,
        Self::TaskRemoved,
        Self::MachineLost,
        Self::Switchover,
        Self::TaskStopped,
        Self::Stall,
        Self::MemberMoved,
        Self::StackRecreated,
        Self::MemberAdded,
        Self::MemberRemoved,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ColdStart => "cold-start",
            Self::PrimaryKilled => "primary-killed",
            Self::TaskRemoved => "task-removed",
            Self::MachineLost => "machine-lost",
            Self::Switchover => "switchover",
            Self::TaskStopped => "task-stopped",
            Self::Stall => "stall",
            Self::MemberMoved => "member-moved",
            Self::StackRecreated => "stack-recreated",
            Self::MemberAdded => "member-added",
            Self::MemberRemoved => "member-removed",
        }
    }
}

/// Measures a moment once per round. `None` if this contender cannot show it.
pub(crate) async fn measure(moment: Moment, kind: Kind, who: Contender, options: &Options) -> Option<Vec<Series>> {
    eprintln!("{} with {}: {who:?}", moment.name(), kind.word());
    match moment {
        Moment::ColdStart => Some(cold_start(kind, who, options).await),
        Moment::PrimaryKilled => Some(vec![primary_gone(kind, who, options, false).await?]),
        Moment::TaskRemoved => Some(vec![primary_gone(kind, who, options, true).await?]),
        Moment::MachineLost => lost::machines(kind, who, options).await,
        Moment::Switchover => planned::switchovers(kind, who, options).await,
        Moment::TaskStopped => planned::stops(kind, who, options).await,
        Moment::Stall => planned::stalls(kind, who, options).await,
        Moment::MemberMoved => member_moved(kind, who, options).await,
        Moment::StackRecreated => stack_recreated(kind, who, options).await,
        Moment::MemberAdded => member_added(kind, who, options).await,
        Moment::MemberRemoved => member_removed(kind, who, options).await,
    }
}

async fn cold_start(kind: Kind, who: Contender, options: &Options) -> Vec<Series> {
    let mut writable =
        Series::new("cold start: writable", Goal { at_most: Some(0.5), than_alone: Some(20.0), ..Goal::default() });
    let mut all_in = Series::new("cold start: all voting", Goal::of_floor(1.5));
    for _ in 0..options.rounds {
        let mut stand = Stand { set: Set::planned(kind, 3).await, controller: None };
        stand.set.start(2).await;
        if who == Contender::Rsctl {
            let controller = controller(&stand.set, options, 3, &[]);
            let waits = |s: &rsctl::publish::Status| s.waiting.iter().any(|w| w.contains("2 of 3"));
            controller.until("the third task awaited", LIMIT, waits).await;
            stand.controller = Some(controller);
        }
        let answered = stand.set.start(1).await;
        let uri = match who {
            Contender::Rsctl => published(&stand, |_| true).await,
            Contender::Floor => {
                ideal::initiate(&stand.set, ideal::quick()).await;
                format!("mongodb://{}/?replicaSet=rs", stand.set.host(0))
            }
            Contender::Alone => {
                ideal::initiate_all(&stand.set).await;
                stand.set.uri()
            }
        };
        let adding = async {
            if who == Contender::Floor {
                let primary = stand.set.nodes[0].client();
                let hosts = [stand.set.host(1), stand.set.host(2)];
                ideal::reconfig(&primary, |config| {
                    for host in &hosts {
                        let entry = ideal::newcomer(config, host, 1);
                        ideal::members(config).push(Bson::Document(entry));
                    }
                })
                .await;
            }
        };
        let writing = async {
            let mut pulse = Pulse::start(&uri).await;
            writable.push(pulse.next_after(answered, LIMIT).await);
        };
        tokio::join!(adding, writing);
        all_in.push(Some(stand.until_members(3, 3).await - answered));
    }
    vec![writable, all_in]
}

/// Waits for a published URI that `will_do` accepts.
async fn published(stand: &Stand, will_do: impl Fn(&str) -> bool) -> String {
    let controller = stand.controller.as_ref().unwrap();
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(uri) = controller.get("/v1/uri").await.ok().filter(|uri| will_do(uri)) {
            return uri.trim().to_owned();
        }
        assert!(Instant::now() < deadline, "no URI\n{}", controller.log());
        sleep(Duration::from_millis(2)).await;
    }
}

async fn primary_gone(kind: Kind, who: Contender, options: &Options, vanishes: bool) -> Option<Series> {
    let mut series = if vanishes {
        Series::new("primary's container gone", Goal { at_most: Some(1.0), ..Goal::default() })
    } else {
        Series::new("primary killed", Goal { at_most: Some(0.5), than_alone: Some(15.0), ..Goal::default() })
    };
    let mut stand = Stand::settled(who, kind, 3, 3, options).await;
    let mut pulse = Pulse::start(&stand.set.uri()).await;
    for _ in 0..options.rounds {
        pulse.next_after(Instant::now(), LIMIT).await?;
        let primary = stand.primary_at_rest().await;
        let others = stand.clients(primary).await;
        let killed = Instant::now();
        stand.set.nodes[primary].kill();
        let hole = if vanishes { Some(BlackHole::dig(stand.set.nodes[primary].ip())?) } else { None };
        stand.set.announce();
        let helping = async {
            if who == Contender::Floor {
                ideal::step_up(&others).await;
            }
        };
        let (gap, ()) = tokio::join!(pulse.next_after(killed, LIMIT), helping);
        series.push(gap);
        drop(hole);
        stand.take_back(primary).await;
    }
    Some(series)
}

async fn member_moved(kind: Kind, who: Contender, options: &Options) -> Option<Vec<Series>> {
    // Without a controller, a member that is known by IP does not come back after its address has changed.
    if who == Contender::Alone && kind == Kind::Ips {
        return None;
    }
    // With names it needs no command: it is healthy after its own first heartbeat, or the next one of the primary.
    let heartbeat = (kind == Kind::Names).then_some(0.5);
    let mut series = Series::new("member back at a new address", Goal { or_at_most: heartbeat, ..Goal::of_floor(1.5) });
    let mut stand = Stand::settled(who, kind, 3, 3, options).await;
    for _ in 0..options.rounds {
        let primary = stand.primary().await;
        let moving = (0..3).find(|n| *n != primary).unwrap();
        let old = stand.set.host(moving);
        let client = stand.set.nodes[primary].client();
        // Until its next heartbeat, the primary reports a killed member as healthy, and rsctl does not readdress it. On
        // Swarm the new task starts later than that.
        stand.set.nodes[moving].kill();
        sleep(RESTART_DELAY).await;
        let answered = stand.set.relocate(&[moving]).await;
        if who == Contender::Floor && kind == Kind::Ips {
            let new = stand.set.host(moving);
            ideal::reconfig(&client, |config| readdress(config, &old, &new)).await;
        }
        series.push(Some(stand.until_members(3, 3).await - answered));
        stand.until_calm().await;
    }
    Some(vec![series])
}

fn readdress(config: &mut mongodb::bson::Document, old: &str, new: &str) {
    let list = ideal::members(config);
    let Some(entry) =
        list.iter_mut().map(|m| m.as_document_mut().unwrap()).find(|m| m.get_str("host").is_ok_and(|h| h == old))
    else {
        return;
    };
    entry.insert("host", new);
}

async fn stack_recreated(kind: Kind, who: Contender, options: &Options) -> Option<Vec<Series>> {
    if who == Contender::Alone && kind == Kind::Ips {
        return None;
    }
    let mut writable =
        Series::new("whole stack at new addresses: writable", Goal { at_most: Some(1.0), ..Goal::default() });
    // A secondary that finds no sync source waits for one second before it tries again (6.0.5).
    let mut by_majority = Series::new("whole stack at new addresses: a majority writes", Goal::default());
    let mut stand = Stand::settled(who, kind, 3, 3, options).await;
    for _ in 0..options.rounds {
        let old: Vec<_> = (0..3).map(|n| stand.set.host(n)).collect();
        let answered = stand.set.relocate(&[0, 1, 2]).await;
        let hosts: Vec<_> = (0..3).map(|n| stand.set.host(n)).collect();
        let uri = match who {
            Contender::Rsctl => published(&stand, |uri| hosts.iter().all(|host| uri.contains(host.as_str()))).await,
            Contender::Floor => {
                let nodes: Vec<_> = (0..3).map(|n| stand.set.nodes[n].client()).collect();
                if kind == Kind::Ips {
                    let mut config = ideal::config(&nodes[0]).await;
                    old.iter().zip(&hosts).for_each(|(old, new)| readdress(&mut config, old, new));
                    let force = doc! { "replSetReconfig": config, "force": true };
                    nodes[0].database("admin").run_command(force).await.unwrap();
                }
                ideal::step_up(&nodes).await;
                stand.set.uri()
            }
            Contender::Alone => stand.set.uri(),
        };
        let first =
            async { Pulse::start_by(&uri, WriteConcern::nodes(1), LIMIT).await.next_after(answered, LIMIT).await };
        let majority = async { Pulse::start(&uri).await.next_after(answered, LIMIT).await };
        let (first, majority) = tokio::join!(first, majority);
        writable.push(first);
        by_majority.push(majority);
        stand.until_whole(3).await;
        // A controller forces a recovery at most once a minute, so each round has a controller of its own.
        if who == Contender::Rsctl && kind == Kind::Ips {
            stand.controller = Some(controller(&stand.set, options, 3, &[]));
            stand.until_calm().await;
        }
    }
    Some(vec![writable, by_majority])
}

async fn member_added(kind: Kind, who: Contender, options: &Options) -> Option<Vec<Series>> {
    if who == Contender::Alone {
        return None;
    }
    let mut added = Series::new("a member added", Goal::of_floor(1.5));
    let mut told = Series::new("URI change told", Goal { at_most: Some(0.05), ..Goal::default() });
    let rounds = options.rounds;
    let mut stand = Stand::settled(who, kind, 3, 3 + rounds, options).await;
    for round in 0..rounds {
        let primary = stand.primary().await;
        let client = stand.set.nodes[primary].client();
        let uri_change = stand.controller.as_ref().map(|c| tokio::spawn(long_poll(c.url())));
        let changes = tokio::spawn(config_changes(client.clone()));
        let answered = stand.set.start(1).await;
        let host = stand.set.host(3 + round);
        if who == Contender::Floor {
            ideal::reconfig(&client, |config| {
                let entry = ideal::newcomer(config, &host, 0);
                ideal::members(config).push(Bson::Document(entry));
            })
            .await;
        }
        added.push(Some(stand.until_members(4 + round, 3).await - answered));
        let changed = changes.await.unwrap();
        if let Some(uri_change) = uri_change {
            told.push(Some(uri_change.await.unwrap().saturating_duration_since(changed)));
        }
        stand.until_calm().await;
    }
    Some(if who == Contender::Rsctl { vec![added, told] } else { vec![added] })
}

/// Waits until the config of the primary changes. Returns the moment.
async fn config_changes(primary: mongodb::Client) -> Instant {
    let version = ideal::version(&ideal::config(&primary).await);
    while ideal::version(&ideal::config(&primary).await) == version {
        sleep(Duration::from_millis(1)).await;
    }
    Instant::now()
}

/// Waits with a long poll for another URI. Returns the moment of the answer.
async fn long_poll(url: String) -> Instant {
    let address = url.trim_start_matches("http://").parse().unwrap();
    let (tag, _) = crate::support::controller::exchange(address, "/v1/uri", "").await.unwrap();
    let known = format!("If-None-Match: {tag}\r\n");
    let (next, _) = crate::support::controller::exchange(address, "/v1/uri?wait=60s", &known).await.unwrap();
    assert_ne!(next, tag, "the wait ran out");
    Instant::now()
}

async fn member_removed(kind: Kind, who: Contender, options: &Options) -> Option<Vec<Series>> {
    if who == Contender::Alone {
        return None;
    }
    let mut series = Series::new("a member replaced by the spare, after its grace", Goal::of_floor(1.5));
    for _ in 0..options.rounds {
        let mut stand = Stand::settled(who, kind, 3, 4, options).await;
        stand.set.start(1).await;
        let spare = stand.set.host(3);
        let client = stand.set.nodes[stand.primary().await].client();
        if who == Contender::Floor {
            ideal::reconfig(&client, |config| {
                let entry = ideal::newcomer(config, &spare, 0);
                ideal::members(config).push(Bson::Document(entry));
            })
            .await;
        }
        stand.until_members(4, 3).await;
        stand.until_calm().await;
        let primary = stand.primary().await;
        let lost = (0..3).find(|n| *n != primary).unwrap();
        let host = stand.set.host(lost);
        stand.set.nodes[lost].kill();
        stand.set.announce();
        let over = Instant::now() + GRACE;
        if who == Contender::Floor {
            sleep_until(over).await;
            ideal::reconfig(&client, |config| {
                let list = ideal::members(config);
                let at = ideal::member(list, &spare);
                let entry = list[at].as_document_mut().unwrap();
                entry.insert("votes", 1);
                entry.insert("priority", 1);
            })
            .await;
            ideal::reconfig(&client, |config| {
                let list = ideal::members(config);
                let at = ideal::member(list, &host);
                list.remove(at);
            })
            .await;
        }
        series.push(Some(stand.until_members(3, 3).await.saturating_duration_since(over)));
    }
    Some(vec![series])
}
