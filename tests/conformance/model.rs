//! The simulated mongods, on a clock that jumps.

use super::run::{self, Ground, StepResult};
use super::script::Section;
use super::sim::checker::CheckScope;
use super::sim::ports::Port;
use super::sim::world::{PORT, Shared, World};
use rsctl::model::{Host, NodeState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until};

pub fn run_section(section: &Section) -> Vec<StepResult> {
    run_with(
        section,
        Some(&run::written(section)).filter(|w| w.iter().all(|t| !t.outcome.is_empty())).map(Vec::as_slice),
    )
}

fn run_with(section: &Section, hints: Option<&[StepResult]>) -> Vec<StepResult> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async { run::run_section(Model::new(section.nodes), section, hints).await }))
}

pub struct Model {
    shared: Shared,
    port: Port,
}

impl Model {
    fn new(nodes: usize) -> Self {
        let mut world = World::new(7, false, 1, CheckScope::DataOnly, false);
        for _ in 0..nodes {
            world.add_machine();
        }
        let shared = Shared(Arc::new(Mutex::new(world)));
        spawn_local(live(shared.clone()));
        Self { port: Port { shared: shared.clone(), controller: 0 }, shared }
    }
}

/// Runs the events of the world when they are due.
async fn live(shared: Shared) {
    let began = Instant::now();
    loop {
        let (next, sooner) = {
            let world = shared.get();
            (world.events.next_at(), Arc::clone(&world.sooner))
        };
        let next = began + Duration::from_millis(next.unwrap_or(u64::from(u32::MAX)));
        tokio::select! {
            biased;
            () = sooner.notified() => {}
            () = sleep_until(next) => {}
        }
        shared.get().run_due(began.elapsed().as_millis() as u64);
    }
}

fn v4(at: SocketAddr) -> Ipv4Addr {
    match at.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => unreachable!("addresses here are IPv4"),
    }
}

impl Ground for Model {
    type Commands = Port;
    const PAUSE: Duration = Duration::from_millis(500);
    // This is longer than an election and than any initial sync of the model.
    const REST: Duration = Duration::from_secs(60);

    fn limit(&self) -> Duration {
        Duration::from_secs(120)
    }

    fn admin(&self) -> &Port {
        &self.port
    }

    fn address(&mut self, letter: char) -> SocketAddr {
        (Ipv4Addr::new(10, 0, 0, letter as u8), PORT).into()
    }

    fn letter(&self, host: &Host) -> String {
        match host.socket().map(v4) {
            Some(ip) => char::from(ip.octets()[3]).to_string(),
            None => host.to_string(),
        }
    }

    async fn start(&mut self, node: usize, at: SocketAddr) {
        self.shared.get().start(node, v4(at));
    }

    fn kill(&mut self, node: usize) {
        self.shared.get().kill_so(node, true);
    }

    fn wipe(&mut self, node: usize) {
        self.shared.get().machines[node].dir = super::sim::node::Dir::default();
    }

    async fn hold(&mut self, node: usize, held: bool) {
        if let Some(proc) = self.shared.get().proc(node) {
            proc.slow_until = if held { u64::MAX } else { 0 };
        }
    }

    async fn write(&mut self, node: usize, _: SocketAddr) -> bool {
        let mut world = self.shared.get();
        if world.proc(node).is_none_or(|p| p.state != NodeState::Primary || !p.writable) {
            return false;
        }
        world.write_at(node);
        true
    }
}
