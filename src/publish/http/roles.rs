//! Health checks of a member's role for load balancers. The paths are those of Patroni's REST API.

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

/// The paths of the pages, and the states that each accepts.
const PAGES: [(&[&str], &[&str]); 3] = [
    (&["/primary", "/leader", "/master", "/read-write"], &["PRIMARY"]),
    (&["/replica", "/secondary"], &["SECONDARY"]),
    (&["/read-only"], &["PRIMARY", "SECONDARY"]),
];

/// Whether this is the path of one of the pages.
pub(super) fn is_role(path: &str) -> bool {
    PAGES.iter().any(|(paths, _)| paths.contains(&path))
}

/// The pages. HAProxy sends OPTIONS by default, so each page accepts it.
pub(super) fn routes() -> Router<Served> {
    let mut router = Router::new();
    for (paths, states) in PAGES {
        for path in paths {
            let check = move |served: State<Served>, query: Parameters, headers: HeaderMap| async move {
                role(&served, query, &headers, states)
            };
            router = router.route(path, get(check).options(check));
        }
    }
    router
}

/// The header with the server that HAProxy checks, if `http-check send-state` is set:
/// `UP; address=10.0.1.5; port=27017; name=primary/mongo1; …`.
const SERVER_STATE: &str = "x-haproxy-server-state";

/// The parameters of a request.
struct RoleQuery {
    host: String,
    lag: Option<Duration>,
}

impl RoleQuery {
    fn read(query: Parameters, headers: &HeaderMap) -> Result<Self, &'static str> {
        let wanted =
            "the parameters are ?host=HOST:PORT, a member's address, and optionally &lag=10s, the largest accepted lag";
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

    /// Whether the host is this member's address in the config or its IP. A load balancer knows only the IP.
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

/// Why the member's lag is too large, or `None` if it is not. A primary has no lag. An unknown lag counts as too large.
fn too_far_behind(member: &MemberStatus, most: Duration) -> Option<String> {
    if member.state == "PRIMARY" {
        return None;
    }
    match member.lag_ms.map(Duration::from_millis) {
        Some(lag) if lag <= most => None,
        Some(lag) => Some(format!("{} and {lag:?} behind", member.state)),
        None => Some(format!("{} and its lag is unknown", member.state)),
    }
}
