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
}

/// What the driver has to do with a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Start(usize),
    Crash(usize),
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
            n if n < 12 => self.controller_crashes(),
            n if n < 22 => self.dns_fails(),
            n if n < 45 => self.task_dies(),
            n if n < 50 => self.all_tasks_die(),
            n if n < 53 && !self.named => self.tasks_swap_addresses(),
            n if n < 70 => self.partition(),
            n if n < 78 => self.bad_network(),
            n if n < 83 => self.slow_replication(),
            n if n < 92 => self.volume_is_wiped(),
            n if n < 96 => self.scale_up(),
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
        let address = self.places[place].addr;
        self.note(|w| format!("{} dies{}", w.places[place].name, if refuses { "" } else { " silently" }));
        let here = &mut self.places[place];
        here.proc = None;
        here.refuses = refuses;
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

    fn all_tasks_die(&mut self) {
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

    fn dns_fails(&mut self) {
        let controller = self.rng.below(self.wakes.len());
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
        self.after(300, 15_000, Event::Undo(Undo::Dns(controller)));
    }

    /// The task comes back with an empty volume, under its old address or, where addresses are IPs, a new one.
    fn volume_is_wiped(&mut self) {
        let Some(place) = self.any_place(Self::up) else { return };
        if !self.may_lose(place) {
            return;
        }
        let address = if self.named || self.rng.percent(50) { self.places[place].addr } else { self.fresh_address() };
        let dangerous = self.holds_vote(self.places[place].addr) && (self.named || address == self.places[place].addr);
        if dangerous && !self.all_others_well(place) {
            return;
        }
        self.kill(place);
        self.note(|w| format!("{} is wiped", w.places[place].name));
        let fresh = if self.named { self.fresh_address() } else { address };
        let here = &mut self.places[place];
        here.dir = Dir::default();
        here.wiped = dangerous.then_some(None);
        here.addr = fresh;
        here.listed = false;
        self.after(200, 5000, Event::Undo(Undo::Start(place)));
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
            refuses: true,
        });
        self.places.len() - 1
    }

    fn scale_up(&mut self) {
        if self.places.iter().filter(|p| !p.retired).count() < PLACES_MAX {
            let place = self.add_place();
            self.note(|w| format!("{} is new", w.places[place].name));
            let at = self.places[place].addr;
            self.start(place, at);
        }
    }

    /// A task and its volume go for good.
    fn scale_down(&mut self) {
        let Some(place) = self.any_place(|p| !p.retired) else { return };
        let left = self.places.iter().filter(|p| !p.retired).count() - 1;
        if left < self.expect || !self.may_lose(place) {
            return;
        }
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
        // With names every task has a new IP behind its name; with IPs the address itself may change.
        let moves = if self.named { true } else { self.rng.percent(30) && self.may_move(place) };
        let at = if moves { self.fresh_address() } else { self.places[place].addr };
        self.start(place, at);
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
            if let Some(proc) = self.proc(place) {
                proc.slow_until = 0;
            }
        }
        for controller in 0..self.wakes.len() {
            self.orders.push(Order::Start(controller));
        }
    }
}
