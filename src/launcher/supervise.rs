//! Supervises the program: forwards signals, returns its exit code, and reacts when the members change.
//!
//! **Invariant:** after a signal that asks for an end, the program is not restarted. While the state of the replica set
//! is unknown, nothing is done to the program. No process that it started outlives it for longer than the grace time.

use std::collections::BTreeSet;
use std::io;
use std::pin::pin;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use nix::sys::signal::{Signal, kill};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::child::{Child, Reaper};
use super::signals::{Signals, asks_to_stop};
use super::variables::values;
use super::{keep_files, name, prepare, unstartable};
use crate::connection_string::Endpoint;
use crate::model::Host;
use crate::outcome::{Exit, Outcome, note};
use crate::parse::values::OnChange;
use crate::parse::written;
use crate::publish::Status;
use crate::settings::ExecSettings;

/// The delay of the second reaction. The first one comes at once. One reaction covers all changes during its delay.
const DELAY_MIN: Duration = Duration::from_millis(200);
/// Each further delay is longer by this factor.
const DELAY_FACTOR: f32 = 4.0;
/// The longest time from a change to the reaction, when changes continue.
const DELAY_MAX: Duration = Duration::from_secs(60);
/// After this time without a reaction, the next reaction is quick again.
const CALM: Duration = Duration::from_secs(120);
/// How often to look for processes that the program left behind.
const CLEAR_POLL: Duration = Duration::from_millis(20);
/// How long to wait until killed processes are gone. The kernel normally needs a few milliseconds.
const CLEAR_WITHIN: Duration = Duration::from_secs(5);

/// Runs the program until it ends, by itself or because a signal asks for it. `newest` holds the newest known status.
pub(crate) async fn supervise(
    settings: &ExecSettings,
    given: Endpoint,
    newest: watch::Receiver<Option<Status>>,
) -> Outcome {
    let (signals, reaper) = match (Signals::new(), Reaper::new()) {
        (Ok(signals), Ok(reaper)) => (signals, reaper),
        (Err(error), _) | (_, Err(error)) => return unwatchable(&error),
    };
    let files = values(&settings.variables, &given, &settings.secret_files);
    let supervisor =
        Supervisor { settings, given, newest, signals, reaper, delays: Delays::new(), told_to_stop: false };
    let outcome = supervisor.run().await;
    if let Ok(values) = files {
        values.remove_files();
    }
    outcome
}

fn unwatchable(error: &io::Error) -> Outcome {
    Outcome::because(
        Exit::Failed,
        format_args!("cannot watch over a program: {error}: leave out --on-change to start it without"),
    )
}

struct Supervisor<'s> {
    settings: &'s ExecSettings,
    /// The endpoint that the program knows.
    given: Endpoint,
    newest: watch::Receiver<Option<Status>>,
    signals: Signals,
    reaper: Reaper,
    delays: Delays,
    told_to_stop: bool,
}

/// How one run of the program ends.
enum End {
    /// The program has ended with this exit code.
    Code(u8),
    /// The program runs, but none of the hosts that it knows is a member. It should use this endpoint.
    EndpointLost(Endpoint),
}

impl Supervisor<'_> {
    async fn run(mut self) -> Outcome {
        loop {
            let child = match prepare(self.settings, &self.given).map(Child::start) {
                Ok(Ok(child)) => child,
                Ok(Err(error)) => return unstartable(self.settings, &error),
                Err(outcome) => return outcome,
            };
            let end = match self.attend(&child).await {
                End::Code(code) => {
                    self.clear(&child, Instant::now() + self.settings.stop_grace).await;
                    code
                }
                End::EndpointLost(endpoint) => {
                    let name = name(self.settings);
                    note(format_args!("none of the hosts that {name} knows is a member any more: restarting it"));
                    self.given = endpoint;
                    let code = self.stop(&child).await;
                    if !self.told_to_stop {
                        continue;
                    }
                    code
                }
            };
            return Outcome::silent(Exit::Program(end));
        }
    }

    /// Forwards signals and reacts to changes, until the program ends or must be restarted.
    async fn attend(&mut self, child: &Child) -> End {
        loop {
            let endpoint = {
                let mut due = pin!(due(self.settings, &self.given, &mut self.newest, &mut self.delays));
                loop {
                    tokio::select! {
                        code = self.reaper.wait(child) => return End::Code(code),
                        signal = self.signals.next() => {
                            child.forward(signal);
                            self.told_to_stop |= asks_to_stop(signal);
                        }
                        endpoint = &mut due, if !self.told_to_stop => break endpoint,
                    }
                }
            };
            match self.settings.on_change {
                OnChange::Signal(signal) => {
                    if let Err(outcome) = keep_files(self.settings, &endpoint) {
                        note(outcome); // the program keeps the old file, and the next change tries again
                    } else {
                        child.send(signal);
                    }
                    self.given = endpoint;
                }
                OnChange::Restart | OnChange::Ignore => return End::EndpointLost(endpoint),
            }
        }
    }

    /// Ends the program: sends SIGTERM, and after the grace time kills it. All that it started gets the same time.
    async fn stop(&mut self, child: &Child) -> u8 {
        let deadline = Instant::now() + self.settings.stop_grace;
        child.send(Signal::SIGTERM);
        let code = loop {
            tokio::select! {
                code = self.reaper.wait(child) => break code,
                signal = self.signals.next() => {
                    child.forward(signal);
                    self.told_to_stop |= asks_to_stop(signal);
                }
                () = sleep_until(deadline) => {
                    self.note_killing("");
                    child.kill();
                    break self.reaper.wait(child).await;
                }
            }
        };
        self.clear(child, deadline).await;
        code
    }

    /// Ends what the ended program left behind, because it may hold a port: sends SIGTERM to each process once, and kills
    /// it after the deadline. npm ends at once on SIGTERM, and the server that it started does not even get the signal.
    async fn clear(&mut self, child: &Child, deadline: Instant) {
        let mut told = BTreeSet::new();
        let mut killing = false;
        while Instant::now() < deadline + CLEAR_WITHIN {
            let left = self.reaper.left_behind(child);
            if left.is_empty() {
                return;
            }
            if Instant::now() >= deadline {
                if !std::mem::replace(&mut killing, true) && self.settings.stop_grace > Duration::ZERO {
                    self.note_killing("what was started by ");
                }
                child.kill();
                left.iter().for_each(|id| _ = kill(*id, Signal::SIGKILL));
            }
            left.iter().filter(|id| told.insert(**id)).for_each(|id| _ = kill(*id, Signal::SIGTERM));
            tokio::select! {
                () = sleep(CLEAR_POLL) => {}
                signal = self.signals.next() => {
                    left.iter().for_each(|id| _ = kill(*id, signal));
                    self.told_to_stop |= asks_to_stop(signal);
                }
            }
        }
    }

    fn note_killing(&self, what: &str) {
        let (name, grace) = (name(self.settings), written(self.settings.stop_grace));
        note(format_args!("{what}{name} has not ended within {grace}: killing it"));
    }
}

/// Waits until a reaction is needed, and then for a delay, so that a series of changes causes one reaction.
async fn due(
    settings: &ExecSettings,
    given: &Endpoint,
    newest: &mut watch::Receiver<Option<Status>>,
    delays: &mut Delays,
) -> Endpoint {
    loop {
        let need = newest.borrow_and_update().as_ref().and_then(|status| needed(settings, given, status));
        if need.is_some() {
            sleep(delays.next()).await;
            // The newest status decides, not the one before the delay.
            let need = newest.borrow().as_ref().and_then(|status| needed(settings, given, status));
            if let Some(endpoint) = need {
                return endpoint;
            }
        } else if newest.changed().await.is_err() {
            return std::future::pending().await; // the sender is gone: rsctl ends
        }
    }
}

/// The endpoint that the program should use, if a reaction is needed.
fn needed(settings: &ExecSettings, given: &Endpoint, status: &Status) -> Option<Endpoint> {
    let endpoint = status.endpoint().ok()?;
    let needed = match settings.on_change {
        OnChange::Ignore => false,
        OnChange::Restart => status.primary.is_some() && endpoint_lost(given, &endpoint, status),
        OnChange::Signal(_) => {
            let values = |endpoint| values(&settings.variables, endpoint, &settings.secret_files).ok();
            values(given) != values(&endpoint)
        }
    };
    needed.then_some(endpoint)
}

/// Whether none of the hosts that the program knows is a member. If one is, a driver finds the others through it.
fn endpoint_lost(given: &Endpoint, now: &Endpoint, status: &Status) -> bool {
    let members: Vec<Host> = status.members.iter().filter_map(|member| member.host.parse().ok()).collect();
    !given.each().any(|host| members.contains(host) || now.each().any(|other| other == host))
}

/// The delays before reactions. Only what repeats is delayed. The delays grow, and they are random, so that applications
/// do not restart in step.
struct Delays {
    waits: ExponentialBackoff,
    last: Option<Instant>,
}

impl Delays {
    fn new() -> Self {
        Self { waits: waits(), last: None }
    }

    fn next(&mut self) -> Duration {
        let repeats = self.last.replace(Instant::now()).is_some_and(|last| last.elapsed() <= CALM);
        if !repeats {
            self.waits = waits();
            return Duration::ZERO;
        }
        self.waits.next().unwrap_or(DELAY_MAX)
    }
}

fn waits() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(DELAY_MIN)
        .with_max_delay(DELAY_MAX)
        .with_factor(DELAY_FACTOR)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection_string::build::tests::endpoint;
    use crate::settings::{Command, Environment, parse};

    fn settings(on_change: &str) -> ExecSettings {
        let args = ["rsctl", "exec", "--set", "A={uri}", "--on-change", on_change, "--", "x"];
        match parse(args.map(Into::into).into(), &Environment::default()).unwrap().command {
            Command::Exec(settings) => *settings,
            other => panic!("{other:?}"),
        }
    }

    fn seen(seeds: &[&str]) -> Status {
        let seeds: Vec<String> = seeds.iter().map(|seed| (*seed).to_owned()).collect();
        let set = "rs".parse().unwrap();
        Status { primary: seeds.first().cloned(), seeds, ..Status::before_any_observation(&set, 3) }
    }

    #[test]
    fn the_endpoint_is_lost_when_none_of_its_hosts_is_left() {
        let (restart, given) = (settings("restart"), endpoint(&["a:1", "b:1"]));
        let needed = |status: &Status| needed(&restart, &given, status).map(|e| e.hosts());
        assert_eq!(needed(&seen(&["c:1", "d:1"])), Some("c:1,d:1".to_owned()));
        assert_eq!(needed(&seen(&["a:1", "b:1"])), None);
        assert_eq!(needed(&seen(&["b:1", "c:1", "d:1"])), None, "one of them leads to the others");
        assert_eq!(needed(&seen(&[])), None, "the state is unknown");
        assert_eq!(needed(&Status { primary: None, ..seen(&["c:1"]) }), None, "it could not start there either");
        let member = crate::publish::healthy().members.remove(1);
        let hidden = crate::publish::MemberStatus { host: "b:1".into(), ..member };
        assert_eq!(needed(&Status { members: vec![hidden], ..seen(&["c:1"]) }), None, "a hidden member is one too");
    }

    #[test]
    fn a_signal_tells_of_every_other_value() {
        let (signal, given) = (settings("signal"), endpoint(&["a:1", "b:1"]));
        let needed = |status: &Status| needed(&signal, &given, status).map(|e| e.hosts());
        assert_eq!(needed(&seen(&["a:1", "b:1"])), None);
        assert_eq!(needed(&seen(&["a:1"])), Some("a:1".to_owned()));
        assert_eq!(needed(&Status { primary: None, ..seen(&["a:1", "c:1"]) }), Some("a:1,c:1".to_owned()));
        assert_eq!(needed(&seen(&[])), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_of_changes_gets_one_answer_and_that_which_counts() {
        let (restart, given) = (settings("restart"), endpoint(&["a:1"]));
        let (sender, mut newest) = watch::channel(None);
        let mut delays = Delays::new();
        assert_eq!(delays.next(), Duration::ZERO, "there was a reaction before");
        let storm = async {
            for round in 0..9 {
                sender.send_replace(Some(seen(&[&format!("x{round}:1")])));
                sleep(DELAY_MIN / 10).await;
            }
            std::future::pending::<()>().await;
        };
        let started = Instant::now();
        let answer = tokio::select! {
            answer = due(&restart, &given, &mut newest, &mut delays) => answer,
            () = storm => panic!("the storm does not end"),
        };
        assert_eq!(answer.hosts(), "x8:1");
        assert!((DELAY_MIN..=DELAY_MIN * 2).contains(&started.elapsed()), "{:?}", started.elapsed());
        assert!(newest.borrow_and_update().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_is_taken_back_is_none() {
        let (restart, given) = (settings("restart"), endpoint(&["a:1"]));
        let (sender, mut newest) = watch::channel(Some(seen(&["b:1"])));
        let mut delays = Delays::new();
        assert_eq!(delays.next(), Duration::ZERO, "there was a reaction before");
        let back = async {
            sleep(DELAY_MIN / 2).await;
            sender.send_replace(Some(seen(&["a:1", "b:1"])));
            sleep(DELAY_MAX * 3).await;
        };
        tokio::select! {
            answer = due(&restart, &given, &mut newest, &mut delays) => panic!("{answer:?}"),
            () = back => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_come_ever_later_while_changes_go_on_and_at_once_after_a_calm() {
        let mut delays = Delays::new();
        assert_eq!(delays.next(), Duration::ZERO);
        let waits: Vec<_> = (0..12).map(|_| delays.next()).collect();
        assert!(waits[0] <= DELAY_MIN * 2 && waits[4] > DELAY_MIN * 8, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= DELAY_MAX * 2), "{waits:?}");
        tokio::time::advance(CALM + DELAY_MIN).await;
        assert_eq!(delays.next(), Duration::ZERO);
    }
}
