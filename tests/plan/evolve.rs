//! The world after a step is done and all its effects have happened.

use crate::words;
use crate::world::{Answer, World};
use bson::doc;
use rsctl::model::{Host, Lock, Member, NodeState, Observed, ReplConfig};
use rsctl::plan::Step;

impl World {
    /// Does the step. New members finish their initial sync, and removed members notice their removal. The age of locks
    /// does not change.
    pub fn apply(&mut self, step: &Step, observed: &Observed) {
        match step {
            Step::Wait => {}
            Step::TakeLock { on, lock } | Step::TakeOverLock { on, lock, .. } => self.set_lock(on, Some(lock)),
            Step::ReleaseLock { on } => self.set_lock(on, None),
            Step::Initiate { on, .. } => self.initiate(on, step),
            Step::Reconfig { on, .. } => {
                assert_eq!(self.state(&self.task(on)), Some(NodeState::Primary), "a reconfig goes to the primary");
                self.install(on, step);
            }
            Step::Recover { on, next } | Step::AcceptLoss { on, next } => {
                let label = self.configs.iter().find(|(_, c)| *c == next.base()).unwrap().0.clone();
                let word = self.task(on);
                self.nodes.get_mut(&word).unwrap().config = (!label.is_empty()).then_some(label);
                self.install(on, step);
                self.request = None;
                if matches!(step, Step::AcceptLoss { .. }) {
                    self.nodes.values_mut().for_each(|spec| spec.held = None);
                }
            }
            Step::Fsync { on } => {
                let process = observed.probe(on).unwrap_or_else(|| panic!("{on} cannot be asked")).process;
                self.unsynced.retain(|word| words::process(word) != process);
            }
            Step::MarkRemoved { on } => {
                let word = self.task(on);
                self.nodes.get_mut(&word).unwrap().marked_removed = true;
            }
            Step::SetSyncSource { on, source, .. } => {
                let (word, source) = (self.task(on), self.task(source));
                let process = words::process(&self.process_of(&word, &self.nodes[&word]));
                self.sync_source_requests.retain(|request| request.on != process);
                self.nodes.get_mut(&word).unwrap().source = Some(source);
            }
            Step::StepUp { on } | Step::AbortCatchUp { on } => {
                self.switchover = None;
                if let Some(replaced) = self.lead(&self.task(on)).filter(|old| self.nodes[old].unlisted.is_some()) {
                    let process = self.process_of(&replaced, &self.nodes[&replaced]);
                    self.switched_over.insert(words::process(&process));
                }
            }
        }
        self.refusals.clear();
    }

    /// Makes this node the primary, and returns the one that led before.
    fn lead(&mut self, word: &str) -> Option<String> {
        let old = self.nodes.keys().find(|w| self.state(w) == Some(NodeState::Primary)).cloned();
        if let Some(old) = &old {
            self.nodes.get_mut(old).unwrap().answer = Answer::State(NodeState::Secondary);
        }
        self.nodes.get_mut(word).unwrap().answer = Answer::State(NodeState::Primary);
        self.nodes.values_mut().for_each(|spec| spec.sees = None);
        old
    }

    /// Gives the primary the highest priority. Returns whether there is one that can have it.
    pub fn prefer_primary(&mut self) -> bool {
        let Some(word) = self.nodes.keys().find(|w| self.state(w) == Some(NodeState::Primary)).cloned() else {
            return false;
        };
        let label = self.nodes[&word].config.clone().unwrap_or_default();
        let Some(config) = self.configs.get(&label) else { return false };
        let there = |m: &Member| m.votes && self.task_if_known(&m.host).as_deref() == Some(word.as_str());
        let Some(at) = config.members().iter().position(there) else { return false };
        let mut document = config.document().clone();
        document.get_array_mut("members").unwrap()[at].as_document_mut().unwrap().insert("priority", 5);
        let preferred = ReplConfig::from_stored(document).unwrap();
        self.configs.insert(label, preferred);
        true
    }

    /// What the servers do by themselves: a secondary with a higher priority than the primary takes over. Returns
    /// whether one did.
    pub fn take_over(&mut self) -> bool {
        let Some(primary) = self.nodes.keys().find(|w| self.state(w) == Some(NodeState::Primary)).cloned() else {
            return false;
        };
        let Some(config) = self.config_of(&self.nodes[&primary]) else { return false };
        let task = |m: &Member| self.task_if_known(&m.host);
        let led = config.members().iter().find(|m| task(m).as_ref() == Some(&primary)).map_or(1.0, |m| m.priority);
        let preferred = config.members().iter().filter(|m| m.votes && m.priority > led).filter_map(task);
        let mut working = preferred.filter(|w| self.state(w) == Some(NodeState::Secondary));
        let Some(next) = working.next() else { return false };
        self.lead(&next);
        true
    }

    /// The word under which the scenario describes the node that answers at an address.
    fn task(&self, host: &Host) -> String {
        let direct = self.word(host).and_then(|word| self.owner(word)).map(|(word, _)| word.to_owned());
        direct.unwrap_or_else(|| {
            let short = words::shorten(&host.to_string());
            words::task_of_name(&short).unwrap_or_else(|| panic!("nobody is at {host}"))
        })
    }

    fn set_lock(&mut self, on: &Host, lock: Option<&Lock>) {
        let words_of = |lock: &Lock| {
            let seed = self.word(&lock.seed).map_or_else(|| words::shorten(&lock.seed.to_string()), str::to_owned);
            (lock.token.0.clone(), seed, Some(words::word_of(&lock.seed_process.0.bytes())))
        };
        let said = lock.map(words_of);
        let word = self.task(on);
        self.nodes.get_mut(&word).unwrap().lock = said;
    }

    fn initiate(&mut self, on: &Host, step: &Step) {
        assert!(self.configs.is_empty(), "a second initiate");
        let mut document = step.resulting_config().unwrap().document().clone();
        let settings = document.get_document_mut("settings").unwrap();
        settings.insert("replicaSetId", words::generation("R1"));
        self.configs.insert(String::new(), ReplConfig::from_stored(document).unwrap());
        let word = self.task(on);
        let spec = self.nodes.get_mut(&word).unwrap();
        spec.answer = Answer::State(NodeState::Primary);
        spec.user_data = None;
        self.unsynced.insert(word);
    }

    /// Stores the config of a step on every member that is reachable.
    fn install(&mut self, on: &Host, step: &Step) {
        let primary = self.task(on);
        let label = self.nodes[&primary].config.clone().unwrap_or_default();
        // The config is parsed again, as it is when the new members have their votes.
        let next = ReplConfig::from_stored(step.resulting_config().unwrap().document().clone()).unwrap();
        let old = self.configs.insert(label.clone(), next.clone());
        assert!(old.is_some(), "there was a config");
        for member in next.members() {
            // No node has this address.
            if member.host.port() == 9 {
                continue;
            }
            let word = self.task(&member.host);
            self.arrive(&word, &label, member.arbiter);
        }
        let hosts: Vec<Host> = next.members().iter().map(|m| m.host.clone()).collect();
        let is_member =
            |world: &Self, word: &str| hosts.iter().any(|h| world.task_if_known(h).as_deref() == Some(word));
        let outside: Vec<String> = self.nodes.keys().filter(|word| !is_member(self, word)).cloned().collect();
        for word in outside {
            let spec = self.nodes.get_mut(&word).unwrap();
            if spec.by_its_word && !hosts.contains(&words::host(&word)) {
                self.nodes.remove(&word);
                continue;
            }
            match spec.answer {
                // A controller does not probe an address that neither DNS nor a config has.
                Answer::Error(_) if spec.unlisted.is_some() => drop(self.nodes.remove(&word)),
                Answer::State(NodeState::Secondary | NodeState::Startup2)
                    if spec.config.as_deref().unwrap_or_default() == label =>
                {
                    spec.answer = Answer::State(NodeState::Removed);
                }
                _ => {}
            }
        }
    }

    fn task_if_known(&self, host: &Host) -> Option<String> {
        self.word(host)
            .and_then(|word| self.owner(word))
            .map(|(word, _)| word.to_owned())
            .or_else(|| words::task_of_name(&words::shorten(&host.to_string())))
    }

    /// A member that answers finishes its initial sync. It is then no longer `newlyAdded`.
    fn arrive(&mut self, word: &str, label: &str, arbiter: bool) {
        use NodeState as S;
        let fresh = format!("{}2", words::default_data(word));
        let Some(spec) = self.nodes.get_mut(word) else { return };
        let Answer::State(state) = spec.answer else { return };
        if state == S::Blank {
            self.unsynced.insert(word.to_owned());
        }
        if matches!(state, S::Startup2) {
            spec.data = Some(Some(fresh));
        }
        if matches!(state, S::Blank | S::Startup2 | S::Removed | S::Startup) {
            spec.answer = Answer::State(if arbiter { S::Arbiter } else { S::Secondary });
            spec.config = (!label.is_empty()).then(|| label.to_owned());
        }
        spec.unhealthy = None;
    }
}

/// The changed members of the config that a step sends, in the notation of `config`.
pub fn sends(step: &Step) -> Option<String> {
    match step {
        Step::Reconfig { next, .. } | Step::Recover { next, .. } | Step::AcceptLoss { next, .. } => {
            let old = next.base().document().get_array("members").unwrap();
            let new = next.config().document().get_array("members").unwrap();
            let changed: Vec<_> =
                new.iter().filter(|entry| !old.contains(entry)).map(|e| member(e.as_document().unwrap())).collect();
            (!changed.is_empty()).then(|| changed.join(" "))
        }
        Step::Initiate { config, .. } => {
            let document = config.document();
            let members = document.get_array("members").unwrap();
            let members: Vec<_> = members.iter().map(|e| member(e.as_document().unwrap())).collect();
            let heartbeat = document.get_document("settings").unwrap().get_i32("heartbeatIntervalMillis").unwrap();
            Some(format!("v{} {} heartbeat={heartbeat}", config.version(), members.join(" ")))
        }
        Step::TakeLock { lock, .. } | Step::TakeOverLock { lock, .. } => {
            let process = words::word_of(&lock.seed_process.0.bytes());
            Some(format!("{}:{}/{process}", lock.token, words::shorten(&lock.seed.to_string())))
        }
        Step::Wait
        | Step::ReleaseLock { .. }
        | Step::Fsync { .. }
        | Step::MarkRemoved { .. }
        | Step::SetSyncSource { .. }
        | Step::StepUp { .. }
        | Step::AbortCatchUp { .. } => None,
    }
}

fn member(entry: &bson::Document) -> String {
    let mut text = format!("{}:{}", entry.get("_id").unwrap(), words::shorten(entry.get_str("host").unwrap()));
    let empty = doc! {};
    let tags = entry.get_document("tags").unwrap_or(&empty);
    match tags.get_str("rsctlData").map(|data| data.parse::<rsctl::model::DataId>()) {
        Ok(Ok(data)) => text += &format!("/{}", words::word_of(&data.0.bytes())),
        _ => text += "/-",
    }
    for (key, value) in entry.iter().filter(|(key, _)| !["_id", "host", "tags"].contains(&key.as_str())) {
        text += &format!(",{key}={value}");
    }
    for (key, value) in tags.iter().filter(|(key, _)| *key != "rsctlData") {
        text += &format!(",{key}={}", value.as_str().unwrap_or("?"));
    }
    text
}
