//! A DNS server on loopback, UDP and TCP. The test sets its answers and may change them at any time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
pub use hickory_server::proto::rr::RecordType;
use hickory_server::proto::rr::rdata::SRV;
use hickory_server::proto::rr::{Name, RData, Record};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo, Server};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::{TcpListener, UdpSocket};

/// The TTL of Docker's answers, in seconds. With it, a cache shows in the tests.
const TTL_SECONDS: u32 = 600;

/// The answer to one question.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These addresses, if they fit the type of the question.
    Records(Vec<IpAddr>),
    /// SRV: targets with their ports.
    Srv(Vec<(&'static str, u16)>),
    /// NXDOMAIN: the name does not exist.
    NxDomain,
    /// NOERROR without records: the name exists, but has no record of this type.
    NoData,
    /// SERVFAIL.
    ServFail,
    /// REFUSED.
    Refused,
    /// No answer.
    Silence,
    /// A late answer.
    Delay(Duration, Box<Answer>),
    /// A truncated answer over UDP, and these addresses over TCP.
    Truncated(Vec<IpAddr>),
    /// A truncated answer over TCP too.
    TruncatedAlways,
}

#[derive(Default)]
struct Zone {
    /// SERVFAIL for names that are not known, as where there is no upstream server.
    fails_for_unknown: bool,
    answers: HashMap<(String, RecordType), Answer>,
    asked: HashMap<(String, RecordType), usize>,
}

impl Zone {
    /// Answers as real servers do: a name with records of one type has no data of other types; other names do not exist.
    fn answer(&mut self, name: &str, kind: RecordType) -> Answer {
        *self.asked.entry((name.to_owned(), kind)).or_default() += 1;
        let known = self.answers.keys().any(|(known, _)| known == name);
        let default = match known {
            true => Answer::NoData,
            false if self.fails_for_unknown => Answer::ServFail,
            false => Answer::NxDomain,
        };
        self.answers.get(&(name.to_owned(), kind)).cloned().unwrap_or(default)
    }
}

/// The server. It ends when dropped.
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _server: Server<Handler>,
}

impl DnsServer {
    /// Starts the server on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let (udp, tcp) = bind().await;
        let address = udp.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone::default()));
        let mut server = Server::new(Handler(zone.clone()));
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(5), 64);
        Self { address, zone, _server: server }
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the answer for a name and a type. The name has no final dot.
    pub fn set(&self, name: &str, kind: RecordType, answer: Answer) {
        self.zone.lock().unwrap().answers.insert((name.to_owned(), kind), answer);
    }

    /// Makes it fail for names that it does not know, as Docker's server does without an upstream server.
    pub fn fail_for_unknown(&self) {
        self.zone.lock().unwrap().fails_for_unknown = true;
    }

    /// Forgets a name.
    pub fn forget(&self, name: &str) {
        self.zone.lock().unwrap().answers.retain(|(known, _), _| known != name);
    }

    /// Sets the answer for A and AAAA.
    pub fn set_both(&self, name: &str, answer: Answer) {
        self.set(name, RecordType::A, answer.clone());
        self.set(name, RecordType::AAAA, answer);
    }

    /// Answers as Swarm does for a service whose tasks have these addresses. Without tasks the name does not exist.
    pub fn tasks(&self, service: &str, ips: impl IntoIterator<Item = Ipv4Addr>) {
        let ips: Vec<IpAddr> = ips.into_iter().map(IpAddr::V4).collect();
        let answer = if ips.is_empty() { Answer::NxDomain } else { Answer::Records(ips) };
        self.set_both(&format!("tasks.{service}"), answer);
    }

    /// How often this question was asked.
    pub fn asked(&self, name: &str, kind: RecordType) -> usize {
        self.zone.lock().unwrap().asked.get(&(name.to_owned(), kind)).copied().unwrap_or(0)
    }
}

/// Binds UDP and TCP to the same port. It tries several ports: one that is free for UDP may be taken for TCP.
async fn bind() -> (UdpSocket, TcpListener) {
    for _ in 0..50 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("50 ports that were free for UDP were all taken for TCP");
}

struct Handler(Arc<Mutex<Zone>>);

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut handle: R) -> ResponseInfo {
        let info = request.request_info().unwrap();
        let name: Name = info.query.name().into();
        let kind = info.query.query_type();
        let plain = name.to_ascii().trim_end_matches('.').to_lowercase();
        let mut answer = self.0.lock().unwrap().answer(&plain, kind);
        while let Answer::Delay(time, later) = answer {
            tokio::time::sleep(time).await;
            answer = *later;
        }
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let mut records = Vec::new();
        match answer {
            Answer::Silence | Answer::Delay(..) => {
                return Header { metadata, counts: HeaderCounts::default() }.into();
            }
            Answer::NxDomain => metadata.response_code = ResponseCode::NXDomain,
            Answer::ServFail => metadata.response_code = ResponseCode::ServFail,
            Answer::Refused => metadata.response_code = ResponseCode::Refused,
            Answer::NoData => {}
            Answer::TruncatedAlways => metadata.truncation = true,
            Answer::Truncated(_) if info.protocol == Protocol::Udp => metadata.truncation = true,
            Answer::Records(ips) | Answer::Truncated(ips) => records = addresses(&name, kind, &ips),
            Answer::Srv(targets) => records = targets.iter().map(|t| srv(&name, t)).collect(),
        }
        let response = MessageResponseBuilder::from_message_request(request);
        // Fails if the client has closed the connection.
        let sent = handle.send_response(response.build(metadata, &records, [], [], [])).await;
        sent.unwrap_or_else(|_| Header { metadata, counts: HeaderCounts::default() }.into())
    }
}

fn addresses(name: &Name, kind: RecordType, ips: &[IpAddr]) -> Vec<Record> {
    let fitting = ips.iter().filter(|ip| ip.is_ipv4() == (kind == RecordType::A));
    fitting.map(|&ip| Record::from_rdata(name.clone(), TTL_SECONDS, ip.into())).collect()
}

fn srv(name: &Name, (target, port): &(&str, u16)) -> Record {
    let target = Name::from_ascii(format!("{target}.")).unwrap();
    Record::from_rdata(name.clone(), TTL_SECONDS, RData::SRV(SRV::new(0, 0, *port, target)))
}
