//! What goes wrong, and what ends it again.

use super::dns::DnsView;
use super::node::Dir;
use super::world::{End, Event, Place, World};
use std::net::Ipv4Addr;

/// The end of a fault.
#[derive(Clone, Debug)]
pub enum Undo {
    Start(usize),
    Heal(Vec<(End, End)>),
    Dns(usize),
    Calm,
    Controller(usize),
    Unlist(usize),
    /// A task that DNS has dropped already is stopped.
    Stop(usize),
    /// A straggler lags by now: the volume of this one is wiped.
    Wipe(usize),
    KillPrimary,
    /// Whom an operator wanted out goes for good.
    Retire(usize),
    /// It stays after all.
    Restart(usize),
}

/// What the driver has to do with a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Start(usize),
    Crash(usize),
    /// An operator wants the node at this place out.
    Remove(usize, usize, Ipv4Addr),
}

const PLACES_MAX: usize = 7;

impl World {
    /// One fault, and the time of the next.
    pub fn fault(&mut self) {
        if !self.faults_on {
            return;
        }
        self.after(100, 6000, Event::Fault);
        let fragile = self.fragile();
        match self.rng.below(100) {
            // A second fault while a wiped volume may vote (limit 2).
            _ if fragile => {}
            n if n < 11 => self.controller_crashes(),
            n if n < 20 => {
                let controller = self.rng.below(self.wakes.len());
                self.dns_fails(controller, 25_000);
            }
            n if n < 36 => self.task_dies(),
            n if n < 44 => self.task_is_stopped(),
            n if n < 49 => self.all_tasks_die(),
            n if n < 53 && !self.named => self.tasks_swap_addresses(),
            n if n < 68 => self.partition(),
            n if n < 75 => self.bad_network(),
            n if n < 80 => self.slow_replication(),
            n if n < 86 => self.volume_is_wiped(),
            n if n < 90 => self.straggler_before_a_wipe(),
            n if n < 94 => drop(self.scale_up()),
            n if n < 96 => self.operator_removes(),
            _ => self.scale_down(),
        }
    }

    fn any_place(&mut self, wanted: impl Fn(&Place) -> bool) -> Option<usize> {
        let fit: Vec<usize> = (0..self.places.len()).filter(|i| wanted(&self.places[*i])).collect();
        self.rng.pick(&fit)
    }

    fn up(place: &Place) -> bool {
        place.proc.is_some() && !place.retired
    }

    pub fn kill(&mut self, place: usize) {
        let refuses = self.rng.percent(70);
        self.kill_so(place, refuses);
    }

    /// Kills it; its address then refuses connections, or is silent.
    pub fn kill_so(&mut self, place: usize, refuses: bool) {
        let (now, address) = (self.now, self.places[place].addr);
        self.record.saw("kills");
        self.note(|w| format!("{} dies{}", w.places[place].name, if refuses { "" } else { " silently" }));
        let here = &mut self.places[place];
        here.proc = None;
        here.refuses = refuses;
        here.died_at = Some(now);
        here.dir.killed();
        if refuses {
            for other in (0..self.places.len()).filter(|o| *o != place) {
                self.after(1, 4, Event::Broken { from: other, address });
            }
            for controller in 0..self.wakes.len() {
                self.after(1, 4, Event::Wake(controller));
            }
        }
        self.after(0, 1500, Event::Undo(Undo::Unlist(place)));
    }

    fn task_dies(&mut self) {
        let Some(place) = self.any_place(Self::up) else { return };
        self.kill(place);
        self.after(200, 15_000, Event::Undo(Undo::Start(place)));
    }

    /// Swarm drops a task from DNS before it stops it, and a mongod that is told to stop leads no more.
    fn task_is_stopped(&mut self) {
        let Some(place) = self.any_place(|p| Self::up(p) && p.listed) else { return };
        self.note(|w| format!("{} is about to be stopped", w.places[place].name));
        self.record.saw("planned stops");
        self.places[place].listed = false;
        self.after(100, 3000, Event::Undo(Undo::Stop(place)));
    }

    fn stop(&mut self, place: usize) {
        if self.places[place].listed || self.places[place].proc.is_none() {
            return;
        }
        if !self.faults_on || self.fragile() {
            self.places[place].listed = true;
            return;
        }
        self.step_down(place, "it shuts down");
        self.kill(place);
        self.after(200, 8000, Event::Undo(Undo::Start(place)));
    }

    fn all_tasks_die(&mut self) {
        self.record.saw("all killed at once");
        for place in 0..self.places.len() {
            if Self::up(&self.places[place]) {
                self.kill(place);
                self.after(300, 4000, Event::Undo(Undo::Start(place)));
            }
        }
    }

    /// A recreated network hands out the same addresses, but not to the same tasks.
    fn tasks_swap_addresses(&mut self) {
        if !self.all_tagged() {
            return;
        }
        self.record.saw("swapped addresses");
        let mut movers = self.keepers();
        if self.rng.percent(50) {
            movers.truncate(2);
        }
        let mut addresses: Vec<Ipv4Addr> = movers.iter().map(|i| self.places[*i].addr).collect();
        for place in movers {
            if self.places[place].proc.is_some() {
                self.kill(place);
            }
            let chosen = addresses.swap_remove(self.rng.below(addresses.len()));
            let at = if self.rng.percent(25) { self.fresh_address() } else { chosen };
            self.places[place].addr = at;
            self.places[place].listed = false;
            self.after(200, 6000, Event::Undo(Undo::Start(place)));
        }
    }

    fn ends(&self) -> Vec<End> {
        let places = (0..self.places.len()).filter(|i| !self.places[*i].retired).map(End::Place);
        places.chain((0..self.wakes.len()).map(End::Controller)).collect()
    }

    fn partition(&mut self) {
        let ends = self.ends();
        let (Some(one), Some(other)) = (self.rng.pick(&ends), self.rng.pick(&ends)) else { return };
        let mut cuts = Vec::new();
        let one_way = self.rng.percent(30);
        self.record.saw(if one_way { "one-way partitions" } else { "partitions" });
        let whole = self.rng.percent(50);
        for end in ends.into_iter().filter(|e| *e != one && (whole || *e == other)) {
            cuts.push((one, end));
            if !one_way {
                cuts.push((end, one));
            }
        }
        self.note(|_| format!("cut {cuts:?}"));
        self.cut.extend(cuts.iter().copied());
        self.after(300, 20_000, Event::Undo(Undo::Heal(cuts)));
    }

    fn bad_network(&mut self) {
        (self.loss, self.slow_ms) = (self.rng.between(0, 30), self.rng.between(0, 300));
        self.record.saw("lossy networks");
        self.note(|w| format!("network: {} % lost, up to {} ms late", w.loss, w.slow_ms));
        self.after(500, 8000, Event::Undo(Undo::Calm));
    }

    fn slow_replication(&mut self) {
        let Some(place) = self.any_place(Self::up) else { return };
        let until = self.now + self.rng.between(500, 15_000);
        self.note(|w| format!("{} stops replicating for a while", w.places[place].name));
        if let Some(proc) = self.proc(place) {
            proc.slow_until = until;
        }
    }

    fn controller_crashes(&mut self) {
        let controller = self.rng.below(self.wakes.len());
        self.orders.push(Order::Crash(controller));
        self.after(10, 8000, Event::Undo(Undo::Controller(controller)));
    }

    /// Every controller misses another task, and all of them see enough to begin.
    pub fn dns_differs(&mut self) {
        for controller in 0..self.wakes.len() {
            self.dns[controller] = DnsView::Partial([controller].into());
            self.after(4000, 8000, Event::Undo(Undo::Dns(controller)));
        }
    }

    pub fn dns_fails(&mut self, controller: usize, limit: u64) {
        self.record.saw("lying DNS");
        let view = match self.rng.below(6) {
            0 => DnsView::Stale(self.listing()),
            1 => {
                let hidden = (0..self.places.len()).filter(|_| self.rng.percent(40)).collect();
                DnsView::Partial(hidden)
            }
            2 => DnsView::NoSuchService,
            3 => DnsView::ServFail,
            4 => DnsView::Silent,
            _ => DnsView::Foreign(Ipv4Addr::new(10, 9, 9, 9)),
        };
        self.note(|_| format!("DNS of controller {controller}: {view:?}"));
        self.dns[controller] = view;
        self.after(300, limit, Event::Undo(Undo::Dns(controller)));
    }

    /// The task comes back with an empty volume, under its old address or, where addresses are IPs, a new one.
    fn volume_is_wiped(&mut self) {
        if let Some(place) = self.any_place(Self::up) {
            let moves = !self.named && self.rng.percent(50);
            self.wipe(place, moves);
        }
    }

    fn wipe(&mut self, place: usize, moves: bool) {
        if !self.may_lose(place) {
            return;
        }
        let address = if moves { self.fresh_address() } else { self.places[place].addr };
        let dangerous = self.holds_vote(self.places[place].addr) && (self.named || address == self.places[place].addr);
        if dangerous && !self.all_others_well(place) {
            return;
        }
        self.kill(place);
        self.record.saw(if dangerous { "wiped voters" } else { "wiped volumes" });
        self.note(|w| format!("{} is wiped", w.places[place].name));
        let fresh = if self.named { self.fresh_address() } else { address };
        let here = &mut self.places[place];
        here.dir = Dir::default();
        here.wiped = dangerous.then_some(0);
        here.addr = fresh;
        here.listed = false;
        self.after(200, 5000, Event::Undo(Undo::Start(place)));
    }

    /// What rule *wiped* is for: some members lag, another one is wiped and copies slowly, and then the primary dies.
    fn straggler_before_a_wipe(&mut self) {
        let Some(leader) = self.leader() else { return };
        let Some(config) = self.config(leader) else { return };
        let voters = config.read.voters().filter_map(|m| self.place_of(&m.host)).filter(|p| *p != leader);
        let mut followers: Vec<usize> = voters.collect();
        if followers.len() < 2 {
            return;
        }
        let victim = followers.swap_remove(self.rng.below(followers.len()));
        // Whoever is needed beside primary and victim for a majority keeps up.
        let until = self.now + self.rng.between(10_000, 25_000);
        for straggler in followers.into_iter().skip(config.read.majority().saturating_sub(2)) {
            self.note(|w| format!("{} stops replicating for a while", w.places[straggler].name));
            if let Some(proc) = self.proc(straggler) {
                proc.slow_until = until;
            }
        }
        self.after(1500, 4000, Event::Undo(Undo::Wipe(victim)));
    }

    fn wipe_behind_stragglers(&mut self, victim: usize) {
        if !self.faults_on || self.fragile() || !Self::up(&self.places[victim]) || self.leader() == Some(victim) {
            return;
        }
        if self.rng.percent(40) {
            self.silenced_behind_stragglers(victim);
            return;
        }
        self.wipe(victim, false);
        if self.places[victim].wiped.is_some() {
            self.record.saw("wipes behind stragglers");
            self.places[victim].slow_sync = true;
            self.after(4000, 14_000, Event::Undo(Undo::KillPrimary));
        }
    }

    /// The same moment with another temptation: the member is only silent, and a newcomer could have its slot.
    fn silenced_behind_stragglers(&mut self, victim: usize) {
        self.record.saw("newcomers beside a silent voter");
        self.kill(victim);
        self.after(15_000, 25_000, Event::Undo(Undo::Start(victim)));
        if let Some(place) = self.scale_up() {
            self.places[place].slow_sync = true;
        }
        self.after(2000, 9000, Event::Undo(Undo::KillPrimary));
    }

    fn kill_primary(&mut self) {
        if !self.faults_on || self.fragile() {
            return;
        }
        if let Some(leader) = self.leader() {
            self.kill(leader);
            self.after(5000, 20_000, Event::Undo(Undo::Start(leader)));
        }
    }

    pub fn leader(&self) -> Option<usize> {
        self.places.iter().position(|p| p.proc.as_ref().is_some_and(|p| p.writable))
    }

    /// An operator has a node taken out before he removes it for good.
    fn operator_removes(&mut self) {
        let Some(place) = self.goes_for_good() else { return };
        let Some(known_at) = self.known_at(place) else { return };
        let controller = self.rng.below(self.wakes.len());
        self.note(|w| format!("an operator wants {} out, says controller {controller}", w.places[place].name));
        self.record.saw("removal requests");
        let here = &mut self.places[place];
        (here.unwanted, here.unwanted_at) = (true, Some(known_at));
        self.orders.push(Order::Remove(controller, place, known_at));
        self.after(500, 15_000, Event::Undo(Undo::Retire(place)));
    }

    /// The address by which an operator knows the node: where it answers, or where the config has its directory, unless
    /// another answers there. Which one it will have next he cannot know.
    fn known_at(&self, place: usize) -> Option<Ipv4Addr> {
        let here = &self.places[place];
        if here.proc.is_some() {
            return Some(here.addr);
        }
        let config = self.configs().into_iter().next()?;
        let slot = config.read.members().iter().find(|m| m.data.is_some() && m.data == here.dir.data)?;
        self.resolve(&slot.host).filter(|at| self.place_at(*at).is_none())
    }

    pub fn fresh_address(&mut self) -> Ipv4Addr {
        self.addresses += 1;
        Ipv4Addr::new(10, 0, (self.addresses / 250) as u8, (self.addresses % 250) as u8 + 2)
    }

    pub fn add_place(&mut self) -> usize {
        let name = format!("mongo-{}", self.places.len() + 1);
        let addr = self.fresh_address();
        self.places.push(Place {
            name,
            dir: Dir::default(),
            addr,
            proc: None,
            listed: false,
            retired: false,
            wiped: None,
            slow_sync: false,
            died_at: None,
            unwanted: false,
            unwanted_at: None,
            unwanted_data: None,
            refuses: true,
        });
        self.places.len() - 1
    }

    pub fn scale_up(&mut self) -> Option<usize> {
        if self.places.iter().filter(|p| !p.retired).count() >= PLACES_MAX {
            return None;
        }
        let place = self.add_place();
        self.note(|w| format!("{} is new", w.places[place].name));
        let at = self.places[place].addr;
        self.start(place, at);
        Some(place)
    }

    /// A task and its volume go for good.
    fn scale_down(&mut self) {
        if let Some(place) = self.goes_for_good() {
            self.retire(place);
        }
    }

    /// A task that the service can do without.
    fn goes_for_good(&mut self) -> Option<usize> {
        let place = self.any_place(|p| !p.retired)?;
        let left = self.places.iter().filter(|p| !p.retired).count() - 1;
        (left >= self.expect && self.may_lose(place)).then_some(place)
    }

    fn retire(&mut self, place: usize) {
        let left = self.places.iter().filter(|p| !p.retired).count() - 1;
        if !self.faults_on
            || self.places[place].retired
            || left < self.expect
            || !self.may_lose(place)
            || self.fragile()
        {
            return;
        }
        self.record.saw("tasks gone for good");
        if self.places[place].proc.is_some() {
            self.kill(place);
        }
        self.note(|w| format!("{} goes for good", w.places[place].name));
        self.places[place].retired = true;
    }

    pub fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Start(place) => self.restart(place),
            Undo::Heal(cuts) => {
                for cut in cuts {
                    self.cut.remove(&cut);
                }
                self.note(|_| "a cut heals".to_owned());
            }
            Undo::Dns(controller) => self.dns[controller] = DnsView::Good,
            Undo::Calm => (self.loss, self.slow_ms) = (0, 0),
            Undo::Controller(controller) => self.orders.push(Order::Start(controller)),
            Undo::Stop(place) => self.stop(place),
            Undo::Wipe(place) => self.wipe_behind_stragglers(place),
            Undo::KillPrimary => self.kill_primary(),
            Undo::Retire(place) => self.retire(place),
            Undo::Restart(place) => self.take_back(place),
            Undo::Unlist(place) => {
                if self.places[place].proc.is_none() {
                    self.places[place].listed = false;
                }
            }
        }
    }

    fn restart(&mut self, place: usize) {
        if self.places[place].proc.is_some() || self.places[place].retired {
            return;
        }
        // With names every task has a new IP behind its name; with IPs the address itself may change. A name that could
        // not be found in the first moment makes a set of IPs all the same (seed 108759).
        let moves = if self.named {
            !self.goes_by_ip() || self.may_move(place)
        } else {
            self.rng.percent(30) && self.may_move(place)
        };
        let at = if moves { self.fresh_address() } else { self.places[place].addr };
        self.start(place, at);
    }

    /// Whom an operator wanted out and kept: its mongod is started again, and with it ends the order.
    fn take_back(&mut self, place: usize) {
        if self.fragile() {
            self.after(500, 1000, Event::Undo(Undo::Restart(place)));
        } else {
            if self.places[place].proc.is_some() {
                self.kill(place);
            }
            self.after(200, 2000, Event::Undo(Undo::Start(place)));
        }
    }

    /// Everything that can be mended is.
    pub fn heal(&mut self) {
        self.note(|_| "all faults end".to_owned());
        self.faults_on = false;
        self.cut.clear();
        (self.loss, self.slow_ms) = (0, 0);
        for view in &mut self.dns {
            *view = DnsView::Good;
        }
        for place in 0..self.places.len() {
            self.restart(place);
            self.places[place].listed |= self.places[place].proc.is_some();
            if let Some(proc) = self.proc(place) {
                proc.slow_until = 0;
            }
        }
        let kept: Vec<usize> =
            (0..self.places.len()).filter(|i| self.places[*i].unwanted && !self.places[*i].retired).collect();
        for controller in 0..self.wakes.len() {
            // AdminRequests about tasks that stayed are forgotten, as a restart does.
            if !kept.is_empty() {
                self.orders.push(Order::Crash(controller));
            }
            self.orders.push(Order::Start(controller));
        }
        for place in kept {
            self.take_back(place);
        }
    }
}
