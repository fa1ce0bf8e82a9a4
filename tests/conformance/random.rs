//! Random sequences from a seed.

use super::picture::name;
use super::script::{Section, Step};
use super::sim::rng::Rng;

const NODES: usize = 3;
const STEPS: usize = 10;

/// A sequence that makes a set of three, and then has ten random steps.
pub fn section(seed: u64) -> Section {
    let mut rng = Rng::new(seed);
    let mut up = [true; NODES];
    let mut at = ['a', 'b', 'c'];
    let mut fresh = 'h';
    let begin = ["initiate A", "reconfig A: add b, add c", "fsync A", "fsync B", "fsync C", "stepup A"];
    let mut steps: Vec<Step> = begin.map(Step::new).into();
    while steps.len() < STEPS + begin.len() {
        let (node, other) = (rng.below(NODES), rng.below(NODES));
        let who = name(node);
        let address = |n: usize| at[n];
        let text = match rng.below(16) {
            _ if !up[node] => {
                up[node] = true;
                if rng.percent(40) {
                    at[node] = fresh;
                    fresh = char::from(fresh as u8 + 1);
                }
                format!("start {who} {}", at[node])
            }
            0 | 1 => {
                up[node] = false;
                format!("kill {who}")
            }
            2 => format!("stepup {who}"),
            3 => format!("write {who}"),
            4 => format!("reconfig {who}: host {} {}", address(other), address(other)),
            5 => format!("reconfig {who}: novote {}", address(other)),
            6 => format!("reconfig {who}: vote {}", address(other)),
            7 => format!("reconfig {who}: drop {}", address(other)),
            8 => format!("reconfig {who}: version +0"),
            9 => format!("reconfig {who}: add {}", address(other)),
            10 => format!("reconfig {who}: novote {}, drop {}", address(other), address(node)),
            11 => format!("force {who}: setting dummy 1").replace(": setting dummy 1", ""),
            12 => format!("fsync {who}"),
            13 => format!("lock {who} t{}", rng.below(2)),
            14 => format!("initiate {who}"),
            _ => format!("reconfig {who}: id {} 9", address(other)),
        };
        steps.push(Step::new(&text));
    }
    Section { remarks: Vec::new(), title: format!("seed {seed}"), nodes: NODES, steps }
}
