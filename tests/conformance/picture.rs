//! The state of a set as its mongods report it, without anything that depends on time or chance.

use rsctl::model::{DataId, Host, NodeState, Probe, ProbeError, ReplConfig, UserData};
use std::collections::BTreeMap;

/// The part of an observation of all mongods that can be compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// The newest config of all mongods.
    pub set: String,
    /// The growth of its version since the picture before.
    pub grown: String,
    /// One line for each mongod.
    pub nodes: Vec<String>,
}

/// The state that is kept from one picture to the next.
#[derive(Default)]
pub struct Sketcher {
    /// The directories that were seen on each node, in the order of their appearance.
    data: BTreeMap<usize, Vec<DataId>>,
    version: i64,
}

impl Sketcher {
    pub fn draw(
        &mut self,
        observations: &[Option<Result<Probe, ProbeError>>],
        letter: &dyn Fn(&Host) -> String,
    ) -> (Picture, i64) {
        let probes = || observations.iter().flatten().flatten();
        let configs = probes().filter_map(|p| p.config.as_ref());
        let newest = configs.reduce(|a, b| if b.is_newer_than(a) { b } else { a }).cloned();
        let version = newest.as_ref().map_or(0, ReplConfig::version);
        let set = |p: &Probe| p.config.as_ref().and_then(ReplConfig::replica_set_id);
        let most = |of: &Probe| {
            let leads = probes().filter(|p| p.state == NodeState::Primary && set(p) == set(of));
            leads.filter_map(|p| p.view.as_ref()).map(|v| v.applied).max()
        };
        let nodes = observations.iter().enumerate().map(|(node, observed)| {
            let text = match observed {
                None => "down".to_owned(),
                Some(Err(error)) => error.to_string(),
                Some(Ok(probe)) => {
                    let mut text = self.describe(node, probe, newest.as_ref(), letter);
                    if let Some(view) = probe.view.as_ref().filter(|_| probe.data.is_some()) {
                        if Some(view.applied) < most(probe) {
                            text += ", behind";
                        } else if probe.state == NodeState::Primary && view.committed < view.applied {
                            // The commit point of secondaries is left out: in the model they learn it late.
                            text += ", uncommitted";
                        }
                    }
                    text
                }
            };
            format!("{}: {text}", name(node))
        });
        let nodes = nodes.collect();
        let grown = match version - self.version {
            0 => String::new(),
            n if n >= 9000 => "+random".to_owned(),
            n => format!("{n:+}"),
        };
        let set = newest.as_ref().map_or_else(|| "none".to_owned(), |c| config(c, letter));
        (Picture { set, grown, nodes }, version)
    }

    /// Records the config version of the picture that was accepted. The next growth counts from it.
    pub fn accept(&mut self, version: i64) {
        self.version = version;
    }

    fn describe(
        &mut self,
        node: usize,
        probe: &Probe,
        newest: Option<&ReplConfig>,
        letter: &dyn Fn(&Host) -> String,
    ) -> String {
        let mut parts = vec![probe.state.to_string()];
        if let Some(data) = probe.data {
            let known = self.data.entry(node).or_default();
            let at = known.iter().position(|d| *d == data).unwrap_or_else(|| {
                known.push(data);
                known.len() - 1
            });
            parts.push(format!("data {}", at + 1));
        }
        match (&probe.config, newest) {
            (Some(own), Some(newest)) if own.version() == newest.version() && own.term() == newest.term() => {}
            (Some(own), _) => parts.push(format!("config {}", config(own, letter))),
            (None, _) => {}
        }
        if let Some(primary) = &probe.sees_primary {
            parts.push(format!("sees {}", letter(primary)));
        }
        if let Some(view) = &probe.view {
            let peers = view.peers.iter().map(|(id, p)| {
                let state = if p.healthy { p.state.to_string() } else { "down".to_owned() };
                format!("{id} {state}")
            });
            parts.push(format!("[{}]", peers.collect::<Vec<_>>().join(", ")));
        }
        match probe.user_data {
            UserData::Collections(n) => parts.push(format!("{n} collections")),
            UserData::None if probe.state == NodeState::Blank => parts.push("empty".to_owned()),
            _ => {}
        }
        if let Some(lock) = &probe.lock {
            parts.push(format!("lock {}", lock.token));
        }
        if probe.set.as_ref().is_none_or(|set| set.as_str() != "rs") {
            parts.push(format!("set {:?}", probe.set));
        }
        parts.join(", ").replace(", [", " [")
    }
}

/// A config in the notation of the files: `*` is newly added, `-` has no vote, `!` cannot become primary, `?` is an
/// arbiter.
fn config(config: &ReplConfig, letter: &dyn Fn(&Host) -> String) -> String {
    let members = config.members().iter().map(|m| {
        let mark = ["", "*", "-", "*-"][usize::from(m.newly_added) + 2 * usize::from(!m.votes)];
        let lead = if m.arbiter {
            "?"
        } else if m.votes && m.priority == 0.0 {
            "!"
        } else {
            ""
        };
        format!("{}={}{mark}{lead}", m.id, letter(&m.host))
    });
    let term = if config.term().is_some() { "" } else { " (no term)" };
    members.collect::<Vec<_>>().join(" ") + term
}

pub fn name(node: usize) -> char {
    char::from(b'A' + node as u8)
}

impl Picture {
    pub fn primary(&self) -> Option<usize> {
        self.nodes.iter().position(|line| line.contains(": PRIMARY"))
    }

    /// The lines that differ from the picture before.
    pub fn since(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.set != before.set || !self.grown.is_empty() {
            lines.push(format!("set {}: {}", self.grown, self.set).replace("set :", "set:"));
        }
        lines.extend(self.nodes.iter().filter(|line| !before.nodes.contains(line)).cloned());
        lines
    }

    /// The picture after these differences: the inverse of [`Self::since`].
    pub fn with(&self, lines: &[String]) -> Self {
        let mut next = Self { grown: String::new(), ..self.clone() };
        for line in lines {
            if let Some(rest) = line.strip_prefix("set") {
                let (grown, set) = rest.split_once(": ").expect("set …: …");
                (next.grown, next.set) = (grown.trim().to_owned(), set.to_owned());
            } else if let Some(at) = next.nodes.iter().position(|n| n[..2] == line[..2]) {
                next.nodes[at].clone_from(line);
            }
        }
        next
    }

    /// The picture before the first step: every mongod is blank.
    pub fn blank(nodes: usize) -> Self {
        let nodes = (0..nodes).map(|n| format!("{}: BLANK, empty", name(n))).collect();
        Self { set: "none".to_owned(), grown: String::new(), nodes }
    }
}
