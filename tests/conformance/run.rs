//! Runs a sequence on simulated or real mongods, and returns the result of each step.

use super::edit::edited;
use super::picture::{Picture, Sketcher};
use super::script::{Section, Step};
use rsctl::model::{Host, Lock, Probe, ProbeError, ProcessId, ReplConfig, SetName, Token};
use rsctl::mongo::{Admin, Error};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// The result of one step: its outcome, and the state of the set when it has stopped changing.
#[derive(Clone, Debug, PartialEq)]
pub struct StepResult {
    pub step: String,
    pub outcome: String,
    pub after: Picture,
    before: Picture,
}

impl fmt::Display for StepResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n  {}", self.step, self.outcome)?;
        self.after.since(&self.before).iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// Simulated or real mongods, and the actions on them that are not commands.
pub trait Ground {
    type Commands: Admin;
    fn admin(&self) -> &Self::Commands;
    /// The address that a letter stands for.
    fn address(&mut self, letter: char) -> SocketAddr;
    /// The letter that stands for an address.
    fn letter(&self, host: &Host) -> String;
    async fn start(&mut self, node: usize, at: SocketAddr);
    fn kill(&mut self, node: usize);
    fn wipe(&mut self, node: usize);
    /// Stops replication to this node, or lets it continue.
    async fn hold(&mut self, node: usize, held: bool);
    /// Makes one write with `w: 1`. Returns whether the node accepted it.
    async fn write(&mut self, node: usize, at: SocketAddr) -> bool;
    /// The pause between two observations.
    const PAUSE: Duration;
    /// Without an expected result, a set that has not changed for this time is at rest.
    const REST: Duration;
    /// The limit of the wait for the expected result.
    fn limit(&self) -> Duration;
}

/// The expected result must stay unchanged for this many pauses.
const STEADY: u32 = 2;

pub async fn run_section<G: Ground>(mut ground: G, section: &Section, hints: Option<&[StepResult]>) -> Vec<StepResult> {
    let mut at = Vec::new();
    for node in 0..section.nodes {
        let address = ground.address(char::from(b'a' + node as u8));
        ground.start(node, address).await;
        at.push(Some(address));
    }
    let mut run = Run { ground, at, sketcher: Sketcher::default(), before: Picture::blank(section.nodes) };
    let mut results = Vec::new();
    for (number, step) in section.steps.iter().enumerate() {
        let outcome = run.take(&step.text).await;
        let hint = hints.and_then(|h| h.get(number)).map(|t| &t.after);
        let after = run.settle(hint).await;
        let before = std::mem::replace(&mut run.before, after.clone());
        results.push(StepResult { step: step.text.clone(), outcome, after, before });
    }
    results
}

/// The results that the file holds for these steps.
pub fn written(section: &Section) -> Vec<StepResult> {
    let mut before = Picture::blank(section.nodes);
    let mut results = Vec::new();
    for Step { text, gives } in &section.steps {
        let (outcome, lines) = gives.split_first().map_or((String::new(), &[][..]), |(o, l)| (o.clone(), l));
        let after = before.with(lines);
        results.push(StepResult { step: text.clone(), outcome, after: after.clone(), before });
        before = after;
    }
    results
}

pub fn write_down(section: &mut Section, results: &[StepResult]) {
    for (step, results) in section.steps.iter_mut().zip(results) {
        step.gives = vec![results.outcome.clone()];
        step.gives.extend(results.after.since(&results.before));
    }
}

struct Run<G> {
    ground: G,
    /// The address of each running node, and the last address of each node.
    at: Vec<Option<SocketAddr>>,
    sketcher: Sketcher,
    before: Picture,
}

fn node(word: &str) -> usize {
    usize::from(word.as_bytes()[0] - b'A')
}

fn letter(word: &str) -> char {
    word.chars().next().expect("an address")
}

impl<G: Ground> Run<G> {
    async fn take(&mut self, text: &str) -> String {
        let (head, edits) = text.split_once(": ").unwrap_or((text, ""));
        let words: Vec<&str> = head.split(' ').collect();
        let outcome = match words.as_slice() {
            ["kill", who] => {
                self.ground.kill(node(who));
                self.at[node(who)] = None;
                return "done".to_owned();
            }
            ["start", who, at] => return self.start(node(who), letter(at)).await,
            ["wipe", who] => {
                self.ground.wipe(node(who));
                return "done".to_owned();
            }
            ["hold", who] => return self.hold(node(who), true).await,
            ["release", who] => return self.hold(node(who), false).await,
            ["write", who] => {
                let Some(at) = self.at[node(who)] else { return "down".to_owned() };
                let taken = self.ground.write(node(who), at).await;
                return if taken { "taken" } else { "not taken" }.to_owned();
            }
            [command, who, rest @ ..] => {
                let Some(at) = self.at[node(who)] else { return "down".to_owned() };
                self.command(command, at, rest, edits).await
            }
            _ => panic!("no such step: {text}"),
        };
        match outcome {
            Ok(()) => "ok".to_owned(),
            Err(Error::LockHeld) => "held".to_owned(),
            Err(Error::Server { code, .. }) => format!("refused, {code}"),
            Err(other) => other.kind().to_owned(),
        }
    }

    async fn start(&mut self, node: usize, at: char) -> String {
        let at = self.ground.address(at);
        self.ground.start(node, at).await;
        self.at[node] = Some(at);
        "done".to_owned()
    }

    async fn hold(&mut self, node: usize, held: bool) -> String {
        self.ground.hold(node, held).await;
        "done".to_owned()
    }

    async fn command(&mut self, command: &str, at: SocketAddr, rest: &[&str], edits: &str) -> Result<(), Error> {
        let mut base = at;
        if let ["from", other] = rest {
            base = self.at[node(other)].expect("a base that runs");
        }
        let config = match command {
            "initiate" => Some(first(at)),
            "reconfig" | "force" => {
                let config = self.probe(base).await.ok().and_then(|p| p.config);
                Some(config.unwrap_or_else(|| first(at)))
            }
            _ => None,
        };
        let ground = &mut self.ground;
        let sent = config.map(|config| {
            let mut address = |letter| Host::from(ground.address(letter)).to_string();
            let raised = if command == "initiate" { "version +0, " } else { "" };
            edited(&config, &format!("{raised}{edits}"), &mut address)
        });
        let lock = |token: &str| Lock {
            token: Token(token.to_owned()),
            seed: Host::from(at),
            seed_process: ProcessId(bson::oid::ObjectId::from_bytes([7; 12])),
        };
        let admin = self.ground.admin();
        match (command, sent, rest) {
            ("initiate", Some(sent), _) => admin.initiate(at, &sent).await,
            ("reconfig", Some(sent), _) => admin.reconfig(at, &sent).await,
            ("force", Some(sent), _) => admin.force(at, &sent).await,
            ("stepup", ..) => admin.step_up(at).await,
            ("endcatchup", ..) => admin.abort_catch_up(at).await,
            ("fsync", ..) => admin.fsync(at).await,
            ("lock", _, [token]) => admin.take_lock(at, &lock(token)).await,
            ("takeover", _, [stale, token]) => admin.take_over_lock(at, &lock(stale), &lock(token)).await,
            ("unlock", ..) => admin.release_lock(at).await,
            ("syncfrom", _, [source]) => {
                let source = Host::from(self.ground.address(letter(source)));
                self.ground.admin().sync_from(at, &source).await
            }
            _ => panic!("no such command: {command}"),
        }
    }

    async fn probe(&self, at: SocketAddr) -> Result<Probe, ProbeError> {
        self.ground.admin().probe(at, Duration::from_secs(3)).await
    }

    async fn observe(&mut self) -> (Picture, i64) {
        let mut observations = Vec::new();
        for at in self.at.clone() {
            observations.push(match at {
                Some(at) => Some(self.probe(at).await),
                None => None,
            });
        }
        let ground = &self.ground;
        self.sketcher.draw(&observations, &|host| ground.letter(host))
    }

    /// Waits until the set is as expected. Without an expectation, or if the limit passes, it waits until the set stays
    /// the same.
    async fn settle(&mut self, hint: Option<&Picture>) -> Picture {
        let (began, limit) = (Instant::now(), self.ground.limit());
        let (mut last, mut same_since, mut same) = (Picture::default(), Instant::now(), 0);
        loop {
            let (picture, version) = self.observe().await;
            if picture == last {
                same += 1;
            } else {
                (last, same_since, same) = (picture.clone(), Instant::now(), 0);
            }
            // If no change is expected, one observation is enough: a late change shows after the next step.
            let still = |h: &Picture| h.grown.is_empty() && h.set == self.before.set && h.nodes == self.before.nodes;
            let steady = if hint.is_some_and(still) { 0 } else { STEADY };
            let expected = hint == Some(&picture) && same >= steady;
            let at_rest = same_since.elapsed() >= G::REST && (hint.is_none() || began.elapsed() >= limit);
            // After twice the limit, the set does not stop changing by itself, so the present state is the result.
            if expected || at_rest || began.elapsed() >= limit * 2 {
                self.sketcher.accept(version);
                return picture;
            }
            // Another member won the election by chance. A step-up makes the expected member the primary.
            let wanted = hint.and_then(Picture::primary).filter(|_| same >= STEADY);
            if let (Some(wanted), Some(now)) = (wanted, picture.primary())
                && wanted != now
                && let Some(at) = self.at[wanted]
            {
                let _ = self.ground.admin().step_up(at).await;
            }
            tokio::time::sleep(G::PAUSE).await;
        }
    }
}

/// A first config with a short election timeout.
fn first(at: SocketAddr) -> ReplConfig {
    let mut document = ReplConfig::first(&SetName::new("rs"), &Host::from(at), 3).document().clone();
    document.get_document_mut("settings").expect("settings").insert("electionTimeoutMillis", 2000);
    ReplConfig::from_stored(document).expect("a first config")
}
