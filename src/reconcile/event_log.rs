//! The history of the set, as this controller knows it: what it did, and what it saw others do.
//!
//! **Invariant:** nothing here is read by a decision, waited for, or repeated. What cannot be kept is lost.

use crate::model::{Difference, EVENTS_MAX, Event, Host, Observed, PauseWord, ReplConfig, merged};
use crate::plan::{Plan, Step};
use bson::oid::ObjectId;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The largest number of events that wait for a member that can keep them.
const UNKEPT_MAX: usize = 20;

/// What this controller remembers of the history. The members keep it too, because this ends with the process.
pub struct EventLog {
    by: String,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    events: VecDeque<Event>,
    unkept: VecDeque<Event>,
    config: Option<ReplConfig>,
    /// A config that was sent, and whose outcome is not known.
    tried: Option<(ReplConfig, Event)>,
    term: Option<i64>,
    /// The pause of the last observation.
    pause: Option<PauseWord>,
    /// How many events were noted.
    noted: usize,
    /// The newest history, and what it was made from.
    made: Option<Made>,
}

struct Made {
    noted: usize,
    kept: Vec<Arc<[Event]>>,
    history: Arc<[Event]>,
}

impl EventLog {
    /// An empty log of the controller with this name.
    pub fn new(by: String) -> Self {
        Self { by, memory: Mutex::default() }
    }

    /// The history: what this controller knows, and what the members of this observation keep.
    pub fn history(&self, observed: &Observed) -> Arc<[Event]> {
        let mut memory = self.memory();
        let kept: Vec<_> = observed.nodes.values().filter_map(|node| node.probe()?.history.clone()).collect();
        // An observation is made every few milliseconds during changes, and the history differs once a minute.
        let same = |made: &&Made| {
            let pairs = made.kept.iter().zip(&kept);
            made.noted == memory.noted
                && made.kept.len() == kept.len()
                && pairs.into_iter().all(|(a, b)| Arc::ptr_eq(a, b))
        };
        if let Some(made) = memory.made.as_ref().filter(same) {
            return Arc::clone(&made.history);
        }
        let all = memory.events.iter().chain(kept.iter().flat_map(|events| events.iter()));
        let history: Arc<[Event]> = merged(all.cloned()).into();
        memory.made = Some(Made { noted: memory.noted, kept, history: Arc::clone(&history) });
        history
    }

    /// Notes what others did since the last observation: a config that this controller did not send, and a new primary.
    pub(super) fn observed(&self, observed: &Observed, plan: &Plan) {
        let mut memory = self.memory();
        if let Some(config) = &plan.config
            && memory.config.as_ref().is_none_or(|known| config.is_newer_than(known))
        {
            // The server gives a config that it was sent its own term.
            let known = memory.config.take().filter(|known| !same(known, config));
            let changes = known.map(|known| known.difference(config)).unwrap_or_default();
            if let Some((_, event)) = memory.tried.take().filter(|(sent, _)| same(sent, config)) {
                memory.note(event);
            } else if !changes.is_empty() {
                memory.note(told(self.seen(&changes, config.version())));
            }
            memory.config = Some(config.clone());
        }
        if memory.pause.as_ref() != observed.pause.as_ref().map(|pause| &pause.word) {
            let (before, now) = (memory.pause.take(), observed.pause.as_ref().map(|pause| pause.word.clone()));
            let event = self.of_pause(before.as_ref(), now.as_ref());
            event.into_iter().for_each(|event| memory.note(event));
            memory.pause = now;
        }
        let view = plan.primary.as_ref().and_then(|host| observed.probe(host)?.view.as_ref());
        if let (Some(primary), Some(view)) = (&plan.primary, view)
            && memory.term.is_none_or(|term| view.term > term)
        {
            memory.term = Some(view.term);
            let event = self.leads(primary, view.term);
            let ago = view.elected_for.map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(0));
            memory.note(told(Event { at_ms: event.at_ms.saturating_sub(ago), ..event }));
        }
    }

    /// Notes a step that was done.
    pub(super) fn done(&self, plan: &Plan) {
        let mut memory = self.memory();
        memory.tried = None;
        let Some(event) = self.event_of(plan) else { return };
        // Whatever comes out of a force is not somebody else's.
        match &plan.next {
            Step::Recover { .. } | Step::AcceptLoss { .. } => memory.config = None,
            Step::Reconfig { next, .. } => memory.config = Some(next.config().clone()),
            _ => {}
        }
        memory.note(event);
    }

    /// Notes a step whose command failed. The server may have done it all the same, which a later observation shows.
    pub(super) fn failed(&self, plan: &Plan) {
        if let Step::Reconfig { next, .. } = &plan.next {
            self.memory().tried = self.event_of(plan).map(|event| (next.config().clone(), event));
        }
    }

    /// The event of a step. Some steps come again and again, or belong to another one.
    fn event_of(&self, plan: &Plan) -> Option<Event> {
        let version = match &plan.next {
            Step::Wait | Step::TakeLock { .. } | Step::TakeOverLock { .. } | Step::ReleaseLock { .. } => return None,
            Step::Fsync { .. } | Step::SetSyncSource { .. } => return None,
            Step::Reconfig { next, .. } => Some(next.config().version()),
            // The server adds a random number to the version.
            Step::Recover { .. } | Step::AcceptLoss { .. } => None,
            Step::Initiate { .. } | Step::MarkRemoved { .. } | Step::StepUp { .. } | Step::AbortCatchUp { .. } => None,
        };
        let key = ObjectId::new().to_hex();
        let event = self.event(key, plan.next.to_string(), plan.because.to_string());
        Some(Event { changes: lines(&plan.next.differences()), version, ..event })
    }

    /// The events that no member was asked to keep yet. They are not handed out again.
    pub(super) fn take_unkept(&self) -> Vec<Event> {
        self.memory().unkept.drain(..).collect()
    }

    /// The event of a config that this controller did not send.
    fn seen(&self, changes: &[Difference], version: i64) -> Event {
        let votes = |change: &Difference| matches!(change, Difference::GotVote(_)).then(|| change.to_string());
        // Only the server itself sends a config that gives new members their votes, and nothing else.
        let granted: Option<Vec<String>> = changes.iter().map(votes).collect();
        let (what, why) = match granted {
            Some(granted) => (granted.join("; "), "the server gives a new member its vote".to_owned()),
            None => ("the config changed".to_owned(), "not by this controller".to_owned()),
        };
        let event = self.event(Event::key_of_config(version), what, why);
        Event { changes: lines(changes), version: Some(version), ..event }
    }

    /// The event of a pause that began, was changed, or ended. All controllers give it one key.
    fn of_pause(&self, before: Option<&PauseWord>, now: Option<&PauseWord>) -> Option<Event> {
        let (word, ended) = now.map(|word| (word, false)).or(before.map(|word| (word, true)))?;
        let key = format!("{}-{}", if ended { "resumed" } else { "paused" }, word.said_ms());
        let until = bson::DateTime::from_millis(word.until_ms().div_euclid(1000) * 1000);
        let until = until.try_to_rfc3339_string().unwrap_or_default();
        let why = if word.why().is_empty() { "an operator asked for it" } else { word.why() };
        let over = word.left(super::requests::now_ms()).is_none();
        let (what, why) = match (ended, over) {
            (false, _) => (format!("paused until {until}"), why),
            (true, true) => ("resumed".to_owned(), "the time of the pause is over"),
            (true, false) => ("resumed".to_owned(), "an operator ended the pause"),
        };
        tracing::info!(%what, %why, "pause");
        let event = self.event(key, what, why.to_owned());
        Some(Event { at_ms: if ended { event.at_ms } else { word.said_ms() }, ..event })
    }

    fn leads(&self, primary: &Host, term: i64) -> Event {
        let key = Event::key_of_primary(term);
        self.event(key, format!("{primary} is primary"), format!("elected in term {term}"))
    }

    fn event(&self, key: String, what: String, why: String) -> Event {
        let at_ms = bson::DateTime::now().timestamp_millis();
        Event { key, at_ms, by: self.by.clone(), what, why, changes: Vec::new(), version: None }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs what others did. The log has what this controller does already.
fn told(event: Event) -> Event {
    let changes = (!event.changes.is_empty()).then(|| event.changes.join("; "));
    tracing::info!(what = %event.what, why = %event.why, changes = changes.map(tracing::field::display), "seen");
    event
}

fn lines(changes: &[Difference]) -> Vec<String> {
    changes.iter().map(Difference::to_string).collect()
}

/// Whether a config that was sent is this one. The server adds defaults, and marks of its own.
fn same(sent: &ReplConfig, stored: &ReplConfig) -> bool {
    let members = |config: &ReplConfig| {
        let each = config.members().iter().map(|m| (m.id, m.host.clone(), m.votes, m.priority.to_bits()));
        each.collect::<Vec<_>>()
    };
    sent.version() == stored.version() && members(sent) == members(stored)
}

impl Memory {
    fn note(&mut self, event: Event) {
        self.noted += 1;
        let event = event.bounded();
        for (list, max) in [(&mut self.events, EVENTS_MAX), (&mut self.unkept, UNKEPT_MAX)] {
            if list.len() >= max {
                list.pop_front();
            }
            list.push_back(event.clone());
        }
    }
}
