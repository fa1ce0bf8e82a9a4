//! The fuzzer's target for answers of a DNS server.

use super::resolver::{ADDRESSES_MAX, Answer, both, could_be_a_task, ips, judge, limited, srv_targets, usable};
use crate::model::{DnsTrouble, DnsTroubleKind, Family, Host};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::DnsResponse;
use hickory_resolver::proto::rr::RData;

/// Two packets, for A and AAAA, each after its length as in DNS over TCP. Both are also read as answers about SRV.
pub(crate) fn answer(bytes: &[u8]) {
    let (first, rest) = packet(bytes);
    let (second, _) = packet(rest);
    let (found, trouble) = both(records(first).map(ips), records(second).map(ips));
    listed(usable(found, trouble));
    if let Ok(records) = records(first) {
        let (targets, too_many) = limited(srv_targets(records));
        assert!(targets.len() <= ADDRESSES_MAX && (targets.len() == ADDRESSES_MAX || too_many.is_none()));
        for (target, _) in targets {
            told(DnsTrouble { name: target, kind: DnsTroubleKind::NoSuchService });
        }
    }
}

fn packet(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk() else { return (&[], &[]) };
    rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()))
}

/// What the resolver makes of a packet.
fn records(packet: &[u8]) -> Result<Vec<RData>, DnsTroubleKind> {
    let response = DnsResponse::from_buffer(packet.to_vec()).map_err(NetError::from);
    match response.and_then(|response| DnsError::from_response(response).map_err(NetError::from)) {
        Ok(response) => Ok(response.answers.iter().map(|record| record.data.clone()).collect()),
        Err(error) => judge(error),
    }
}

fn listed(answer: Answer) {
    assert!(answer.addresses.len() <= ADDRESSES_MAX);
    for ip in &answer.addresses {
        assert!(could_be_a_task(ip) && ip.to_canonical() == *ip, "{ip}");
        let host = Host::ip(*ip, 27017);
        assert_eq!(host.to_string().parse().as_ref(), Ok(&host));
    }
    let unknown: Vec<Family> = answer.trouble.iter().filter_map(half_of).collect();
    assert!(unknown.is_empty() || !answer.addresses.is_empty() || answer.trouble.len() > 1, "{:?}", answer.trouble);
    answer.trouble.into_iter().for_each(|kind| told(DnsTrouble { name: "tasks.mongo".to_owned(), kind }));
}

fn half_of(kind: &DnsTroubleKind) -> Option<Family> {
    if let DnsTroubleKind::Half { unknown, .. } = kind { Some(*unknown) } else { None }
}

/// Trouble is shown to people, in one short line.
fn told(trouble: DnsTrouble) {
    let line = trouble.to_string();
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(line.len() < 2000, "{} bytes", line.len());
}
