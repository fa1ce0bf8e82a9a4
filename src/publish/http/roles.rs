//! Whether one member is in a role: what a load balancer asks before it sends a client there. The paths are those
//! that users of Patroni know.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::{Parameters, Served, line};
use crate::parse::span;
use crate::publish::MemberStatus;

/// HAProxy asks with OPTIONS unless it is told otherwise.
pub(super) fn routes() -> Router<Served> {
    let mut router = Router::new();
    for (paths, states) in [
        (["/primary", "/leader", "/master", "/read-write"].as_slice(), ["PRIMARY"].as_slice()),
        (&["/replica", "/secondary"], &["SECONDARY"]),
        (&["/read-only"], &["PRIMARY", "SECONDARY"]),
    ] {
        for path in paths {
            let check = move |served: State<Served>, query: Parameters, headers: HeaderMap| async move {
                role(&served, query, &headers, states)
            };
            router = router.route(path, get(check).options(check));
        }
    }
    router
}

/// Which server HAProxy is about to judge, with `http-check send-state`:
/// `UP; address=10.0.1.5; port=27017; name=primary/mongo1; …`.
const SERVER_STATE: &str = "x-haproxy-server-state";

/// What is asked.
struct RoleQuery {
    host: String,
    lag: Option<Duration>,
}

impl RoleQuery {
    fn read(query: Parameters, headers: &HeaderMap) -> Result<Self, &'static str> {
        let wanted =
            "the parameters are ?host=HOST:PORT, a member's address, and &lag=10s if it must not be further behind";
        let Query(pairs) = query.map_err(|_| wanted)?;
        let (mut host, mut lag) = (None, None);
        for (name, value) in pairs {
            match name.as_str() {
                "host" => host = Some(value),
                "lag" => {
                    lag = Some(seconds_or_span(&value).ok_or("lag: seconds, or a time with its unit such as 500ms")?)
                }
                _ => return Err(wanted),
            }
        }
        let host = host.or_else(|| server_of_haproxy(headers)).ok_or(wanted)?;
        Ok(Self { host, lag })
    }

    /// A balancer knows members by where they are, whatever the set calls them.
    fn means(&self, member: &MemberStatus) -> bool {
        member.host == self.host || member.address.as_ref() == Some(&self.host)
    }
}

fn server_of_haproxy(headers: &HeaderMap) -> Option<String> {
    let state = headers.get(SERVER_STATE)?.to_str().ok()?;
    let value = |name| state.split("; ").find_map(|part| part.strip_prefix(name));
    let (ip, port): (IpAddr, u16) = (value("address=")?.parse().ok()?, value("port=")?.parse().ok()?);
    Some(SocketAddr::new(ip, port).to_string())
}

fn seconds_or_span(text: &str) -> Option<Duration> {
    text.parse().map(Duration::from_secs).ok().or_else(|| span(text).ok())
}

fn role(served: &Served, query: Parameters, headers: &HeaderMap, states: &[&str]) -> Response {
    let query = match RoleQuery::read(query, headers) {
        Ok(query) => query,
        Err(wanted) => return line(StatusCode::BAD_REQUEST, wanted),
    };
    if let Some(why) = served.stale() {
        return line(StatusCode::SERVICE_UNAVAILABLE, &why);
    }
    let newest = served.newest();
    let Some(member) = newest.status.members.iter().find(|member| query.means(member)) else {
        return line(StatusCode::SERVICE_UNAVAILABLE, "no member has this address");
    };
    if !member.healthy || !states.contains(&member.state.as_str()) {
        return line(StatusCode::SERVICE_UNAVAILABLE, &member.state);
    }
    match query.lag.and_then(|most| too_far_behind(member, most)) {
        Some(why) => line(StatusCode::SERVICE_UNAVAILABLE, &why),
        None => line(StatusCode::OK, &member.state),
    }
}

/// How far it is behind, if that is too far. A primary is behind nobody; what is not known may be too far.
fn too_far_behind(member: &MemberStatus, most: Duration) -> Option<String> {
    if member.state == "PRIMARY" {
        return None;
    }
    match member.lag_ms.map(Duration::from_millis) {
        Some(lag) if lag <= most => None,
        Some(lag) => Some(format!("{} and {lag:?} behind", member.state)),
        None => Some(format!("{} and nobody knows how far behind", member.state)),
    }
}
