//! The faults of the nemesis. Every fault undoes itself at its end: all mongods run, no connection is cut, and DNS is
//! right.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::time::sleep;

use crate::arena::Arena;
use crate::checks;
use crate::support::dns::Answer;

/// A stall of this many milliseconds costs no election.
const STALL_MAX: u64 = 1400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill,
    KillMost,
    Stop,
    Freeze,
    Stall,
    Move,
    MoveMost,
    MoveAll,
    Swap,
    Wipe,
    Dns,
    Cut,
    CutAndKill,
}

const ALL: [Fault; 13] = [
    Fault::Kill,
    Fault::KillMost,
    Fault::Stop,
    Fault::Freeze,
    Fault::Stall,
    Fault::Move,
    Fault::MoveMost,
    Fault::MoveAll,
    Fault::Swap,
    Fault::Wipe,
    Fault::Dns,
    Fault::Cut,
    Fault::CutAndKill,
];

impl Fault {
    /// Picks the next fault. Every thirteen rounds have each kind once, in random order.
    pub fn pick(arena: &mut Arena) -> Self {
        if arena.deck.is_empty() {
            let only = std::env::var("RSCTL_NEMESIS_ONLY").unwrap_or_default();
            arena.deck = ALL.into_iter().filter(|fault| fault.name().contains(&only)).collect();
            assert!(!arena.deck.is_empty(), "no fault is called {only}");
        }
        let at = arena.rng.below(arena.deck.len());
        match arena.deck.swap_remove(at) {
            Self::Cut if !arena.network.can_cut() => Self::Kill,
            Self::CutAndKill if !arena.network.can_cut() => Self::KillMost,
            fault => fault,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "one killed",
            Self::KillMost => "most or all killed",
            Self::Stop => "one stopped (SIGTERM)",
            Self::Freeze => "one frozen",
            Self::Stall => "the primary stalls",
            Self::Move => "one moved",
            Self::MoveMost => "most moved",
            Self::MoveAll => "all moved, addresses permuted",
            Self::Swap => "two swapped addresses",
            Self::Wipe => "one wiped",
            Self::Dns => "DNS fails or lies",
            Self::Cut => "one cut off",
            Self::CutAndKill => "one cut off, another killed",
        }
    }

    /// Whether the controller may force a config. Only the new addresses of a majority justify it.
    pub fn may_force(self) -> bool {
        matches!(self, Self::MoveMost | Self::MoveAll)
    }

    pub async fn strike(self, arena: &mut Arena) {
        match self {
            Self::Kill => arena.kills(1).await,
            Self::KillMost => {
                let most = arena.most();
                arena.kills(most).await;
            }
            Self::Stop => arena.stops().await,
            Self::Freeze => arena.freezes().await,
            Self::Stall => arena.stalls().await,
            Self::Move => arena.moves(1).await,
            Self::MoveMost => {
                let majority = arena.nodes.len() / 2 + 1;
                arena.moves(majority).await;
            }
            Self::MoveAll => arena.all_move().await,
            Self::Swap => arena.swaps().await,
            Self::Wipe => arena.wipes().await,
            Self::Dns => arena.dns_fails().await,
            Self::Cut => arena.cuts(false).await,
            Self::CutAndKill => arena.cuts(true).await,
        }
    }
}

impl Arena {
    /// Picks this many different nodes. The primary is usually one of them.
    fn victims(&mut self, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.nodes.len()).collect();
        let mut chosen = Vec::new();
        if self.rng.percent(50) {
            chosen.push(all.swap_remove(self.primary));
        }
        while chosen.len() < count {
            let at = self.rng.below(all.len());
            chosen.push(all.swap_remove(at));
        }
        self.note(&format!("nodes {chosen:?}, the primary is {}", self.primary));
        chosen
    }

    /// Picks a number from the majority up to all nodes.
    fn most(&mut self) -> usize {
        let (majority, all) = (self.nodes.len() / 2 + 1, self.nodes.len());
        self.rng.between(majority as u64, all as u64 + 1) as usize
    }

    async fn kills(&mut self, count: usize) {
        let victims = self.victims(count);
        for victim in &victims {
            self.nodes[*victim].mongod.kill();
            self.moment(300).await;
        }
        self.moment(3000).await;
        for victim in victims {
            self.nodes[victim].restart().await;
            self.moment(500).await;
        }
    }

    /// Stops a mongod as Swarm does: DNS drops the task first.
    async fn stops(&mut self) {
        let victim = self.victims(1)[0];
        self.list_without(&[victim]);
        self.moment(300).await;
        self.nodes[victim].mongod.stop().await.unwrap();
        self.moment(2000).await;
        self.nodes[victim].restart().await;
        self.list_all();
    }

    async fn freezes(&mut self) {
        let victim = self.victims(1)[0];
        self.nodes[victim].mongod.freeze();
        self.wait_out().await;
        self.nodes[victim].mongod.thaw();
    }

    /// The primary does not answer for a while, as under load or on a slow disk. A short stall costs no election.
    async fn stalls(&mut self) {
        let (primary, time) = (self.primary, self.rng.between(300, 3000));
        self.note(&format!("node {primary}, the primary, stalls for {time} ms"));
        let before = checks::term(&self.nodes[primary].mongod).await;
        self.nodes[primary].mongod.freeze();
        sleep(Duration::from_millis(time)).await;
        self.nodes[primary].mongod.thaw();
        if time <= STALL_MAX {
            sleep(Duration::from_secs(1)).await;
            let after = checks::term(&self.nodes[primary].mongod).await;
            assert_eq!(before, after, "a stall of {time} ms cost an election\n{}", self.report().await);
        }
    }

    /// Waits. The time is usually short, and sometimes longer than MongoDB's election timeout of ten seconds.
    async fn wait_out(&mut self) {
        let long = self.rng.percent(25);
        let time = if long { self.rng.between(10_500, 13_000) } else { self.rng.between(300, 4000) };
        self.note(&format!("lasts {time} ms"));
        self.moment(time).await;
        sleep(Duration::from_millis(time / 2)).await;
    }

    async fn moves(&mut self, count: usize) {
        let victims = self.victims(count);
        for victim in &victims {
            self.nodes[*victim].mongod.kill();
            self.moment(200).await;
        }
        self.list_without(&victims);
        self.moment(1500).await;
        for victim in victims {
            let ip = self.network.fresh_ip();
            self.nodes[victim].start_at(ip).await;
            self.moment(500).await;
        }
        self.list_all();
    }

    /// Gives all mongods new addresses. A recreated network gives some of the same addresses to other tasks.
    async fn all_move(&mut self) {
        let mut free = self.ips();
        for node in &mut self.nodes {
            node.mongod.kill();
        }
        self.list_without(&(0..free.len()).collect::<Vec<_>>());
        self.moment(1000).await;
        let mut chosen = Vec::new();
        while !free.is_empty() {
            let at = self.rng.below(free.len());
            let old = free.swap_remove(at);
            chosen.push(if self.rng.percent(40) { self.network.fresh_ip() } else { old });
        }
        self.note(&format!("{:?} become {chosen:?}", self.ips()));
        for (node, ip) in chosen.into_iter().enumerate() {
            self.start_elsewhere(node, ip).await;
            self.moment(300).await;
        }
        self.list_all();
    }

    async fn swaps(&mut self) {
        let pair = self.victims(2);
        let ips = [self.nodes[pair[1]].mongod.ip(), self.nodes[pair[0]].mongod.ip()];
        for node in &pair {
            self.nodes[*node].mongod.kill();
        }
        self.moment(500).await;
        for (node, ip) in pair.into_iter().zip(ips) {
            self.start_elsewhere(node, ip).await;
            self.moment(500).await;
        }
        self.list_all();
    }

    /// Starts a node at this address. The namespace of a dead mongod that still has the address gives it up first.
    async fn start_elsewhere(&mut self, node: usize, ip: Ipv4Addr) {
        for other in (0..self.nodes.len()).filter(|o| *o != node) {
            if self.nodes[other].mongod.ip() == ip
                && !self.nodes[other].mongod.is_running()
                && let Some(lodging) = &self.nodes[other].lodging
            {
                lodging.leave();
            }
        }
        self.nodes[node].start_at(ip).await;
    }

    /// Empties the directory of a secondary. It never empties the primary's: until the vote of that directory is
    /// revoked, only one other mongod would have the writes that both acknowledged.
    async fn wipes(&mut self) {
        let others: Vec<usize> = (0..self.nodes.len()).filter(|n| *n != self.primary).collect();
        let victim = self.rng.pick(&others).unwrap();
        self.nodes[victim].mongod.wipe();
        let moves = self.rng.percent(50);
        self.note(&format!("node {victim} is wiped{}", if moves { ", and moves" } else { "" }));
        self.moment(1500).await;
        let ip = if moves { self.network.fresh_ip() } else { self.nodes[victim].mongod.ip() };
        self.nodes[victim].start_at(ip).await;
        self.list_all();
    }

    async fn dns_fails(&mut self) {
        let ips = self.ips();
        let some: Vec<Ipv4Addr> = ips.iter().copied().filter(|_| self.rng.percent(50)).collect();
        let foreign = self.network.fresh_ip();
        let records = |ips: Vec<Ipv4Addr>| Answer::Records(ips.into_iter().map(IpAddr::V4).collect());
        let answer = match self.rng.below(6) {
            0 => Answer::ServFail,
            1 => Answer::NxDomain,
            2 => Answer::Silence,
            3 => records(some),
            4 => records(vec![foreign]),
            _ => records(ips.into_iter().chain([foreign]).collect()),
        };
        self.note(&format!("DNS says {answer:?}"));
        self.dns.set_both("tasks.mongo", answer);
        self.moment(1500).await;
        if self.rng.percent(50) {
            self.kills(1).await;
        }
        self.moment(4000).await;
        self.list_all();
    }

    /// Cuts a node off from other nodes, from the application and the controllers, or from all. The cut is one-way or
    /// two-way.
    async fn cuts(&mut self, and_kill: bool) {
        let victims = self.victims(2);
        let (victim, other) = (victims[0], victims[1]);
        let ips = self.ips();
        let kind = self.rng.below(5);
        for peer in (0..ips.len()).filter(|p| *p != victim) {
            let (from, to) = (self.nodes[victim].lodging.as_ref(), self.nodes[peer].lodging.as_ref());
            let (Some(from), Some(to)) = (from, to) else { continue };
            match kind {
                // Its packets do not arrive, but it receives all others.
                0 => from.cut(ips[peer]),
                // One way between two nodes.
                1 if peer != other => {}
                // From clients and controllers only.
                2 => {}
                _ => {
                    from.cut(ips[peer]);
                    to.cut(ips[victim]);
                }
            }
        }
        if let Some(lodging) = self.nodes[victim].lodging.as_ref().filter(|_| matches!(kind, 0 | 2 | 3)) {
            lodging.cut_outside();
        }
        let what = ["nothing gets out", "from one other", "from clients", "from all", "from the others"][kind];
        self.note(&format!("node {victim} is cut off: {what}"));
        if and_kill {
            self.moment(1500).await;
            self.nodes[other].mongod.kill();
            self.note(&format!("node {other} is killed"));
        }
        self.wait_out().await;
        if and_kill && self.rng.percent(50) {
            self.nodes[other].restart().await;
            self.moment(2000).await;
        }
        self.mend_all();
        if and_kill && !self.nodes[other].mongod.is_running() {
            self.nodes[other].restart().await;
        }
    }

    fn mend_all(&self) {
        self.nodes.iter().filter_map(|n| n.lodging.as_ref()).for_each(crate::network::Lodging::mend);
    }
}
