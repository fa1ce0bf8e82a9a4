//! The addresses of one task.
//!
//! A task on a network with IPv4 and IPv6 has an address of each family, and its mongod listens on IPv4 alone unless it was
//! told otherwise. A task is a process: one that answers at any of its addresses is there.
//!
//! **Invariant:** an address is excused only if its task is known to answer. Silence at an address alone excuses nothing.

use crate::model::{Host, Node, Observed, ProbeError, ProcessId};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Marks the listed addresses that do not answer and whose tasks answer at other addresses. Which addresses belong to one
/// task is known in two ways, where no process shows it:
///
/// - One name leads to one address of each family. `named` has the addresses of every name that leads to one mongod.
/// - DNS lists as many IPv4 as IPv6 addresses, and all of one family answer, each as another process. So there is no task
///   beyond these processes.
pub(super) fn excuse_other_addresses(observed: &mut Observed, named: &[BTreeSet<SocketAddr>]) {
    let excused: Vec<Host> = {
        let silent = observed.nodes.iter().filter(|(_, node)| node.listed && is_closed(node));
        let is_another = |host: &Host| {
            let Some(at) = host.socket() else { return false };
            answers_under_its_name(observed, named, at) || answers_in_the_other_family(observed, at)
        };
        silent.map(|(host, _)| host).filter(|host| is_another(host)).cloned().collect()
    };
    for host in excused {
        if let Some(node) = observed.nodes.get_mut(&host) {
            node.answers_elsewhere = true;
        }
    }
}

/// Nothing answers, so nothing else than the task's own mongod can be there.
fn is_closed(node: &Node) -> bool {
    matches!(node.answer, Err(ProbeError::Refused | ProbeError::Timeout | ProbeError::Unreachable(_)))
}

fn answers_under_its_name(observed: &Observed, named: &[BTreeSet<SocketAddr>], at: SocketAddr) -> bool {
    let answers = |at: &SocketAddr| observed.probe(&Host::from(*at)).is_some();
    named.iter().any(|addresses| addresses.contains(&at) && addresses.iter().any(answers))
}

/// Addresses with another port are other tasks.
fn answers_in_the_other_family(observed: &Observed, at: SocketAddr) -> bool {
    let listed = || observed.tasks.hosts.iter().filter(|host| host.port() == at.port());
    let of_family = |v4: bool| listed().filter(move |host| host.socket().is_some_and(|s| s.is_ipv4() == v4));
    let process = |host: &Host| observed.probe(host).map(|probe| probe.process);
    let own = of_family(at.is_ipv4()).count();
    let others: BTreeSet<ProcessId> = of_family(!at.is_ipv4()).filter_map(process).collect();
    let are_there = of_family(!at.is_ipv4()).count() == own && others.len() == own;
    // One more process in the family is a task that the other family does not have.
    are_there && of_family(at.is_ipv4()).filter_map(process).all(|id| others.contains(&id))
}
