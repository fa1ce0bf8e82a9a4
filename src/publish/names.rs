//! The names that operators have for a member: its address, its host name, and the Swarm node that it runs on.

use super::status::{MemberStatus, Status};
use crate::discovery::ServiceName;
use crate::model::Host;

/// Why a name means no member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nobody has this name.
    #[error("no such member; there are: {}", .0.join(", "))]
    Unknown(Vec<String>),
    /// Several members have it.
    #[error("this may mean any of {}; name one of them", .0.join(", "))]
    Ambiguous(Vec<String>),
}

impl Status {
    /// Adds the Swarm node to each member whose host name tells it.
    pub(crate) fn name_nodes(&mut self, services: &[ServiceName]) {
        for member in &mut self.members {
            let host: Option<Host> = member.host.parse().ok();
            let node = host.as_ref().and_then(|host| services.iter().find_map(|service| service.node_of(host)));
            member.node = node.map(str::to_owned);
        }
    }

    /// The member that an operator means. An address names one member at most. A host name or a node may name several.
    pub(crate) fn member_named(&self, text: &str) -> Result<&MemberStatus, NameError> {
        if let Some(member) = self.members.iter().find(|member| member.host == text) {
            return Ok(member);
        }
        let of_host = |m: &MemberStatus| m.host.rsplit_once(':').is_some_and(|(name, _)| name == text);
        let of_node = |m: &MemberStatus| m.node.as_ref().is_some_and(|node| node.eq_ignore_ascii_case(text));
        let meant: Vec<_> = self.members.iter().filter(|member| of_host(member) || of_node(member)).collect();
        let hosts = |members: &[&MemberStatus]| members.iter().map(|member| member.host.clone()).collect();
        match meant.as_slice() {
            [member] => Ok(member),
            [] => Err(NameError::Unknown(self.members.iter().map(|member| member.host.clone()).collect())),
            several => Err(NameError::Ambiguous(hosts(several))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::healthy;

    /// A set of these members, of a service that is called `mongo`.
    fn set(hosts: &[&str]) -> Status {
        let mut status = healthy();
        let member = |host: &&str| MemberStatus { host: (*host).to_owned(), ..healthy().members.remove(0) };
        status.members = hosts.iter().map(member).collect();
        status.name_nodes(&["mongo".parse().unwrap()]);
        status
    }

    #[test]
    fn a_member_is_meant_by_its_address_its_host_or_its_node() {
        let set = set(&["mongo-node1:27017", "mongo-node2:27017", "10.0.0.3:27017"]);
        let meant = |text| set.member_named(text).map(|member| member.host.as_str());
        for text in ["mongo-node2:27017", "mongo-node2", "node2", "NODE2"] {
            assert_eq!(meant(text), Ok("mongo-node2:27017"), "{text}");
        }
        assert_eq!(meant("10.0.0.3"), Ok("10.0.0.3:27017"));
        for text in ["", "node3", "node", "2", "mongo", "mongo-node2:27018", "ode2"] {
            assert!(matches!(meant(text), Err(NameError::Unknown(all)) if all.len() == 3), "{text}");
        }
    }

    #[test]
    fn a_name_that_may_mean_two_means_none() {
        let both = set(&["mongo-a:27017", "mongo-a:27018", "mongo-mongo-a:27017"]);
        for text in ["a", "mongo-a"] {
            let error = both.member_named(text).unwrap_err();
            assert!(matches!(error, NameError::Ambiguous(_)), "{text}: {error}");
        }
        assert_eq!(both.member_named("mongo-a:27018").unwrap().host, "mongo-a:27018", "an address is not ambiguous");
    }
}
