//! `rsctl healthcheck`: the image has no shell and no curl, so the controller asks itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::client::controller;
use crate::outcome::{Exit, Outcome};
use crate::parse::values::ControllerUrl;

pub(super) async fn healthcheck(listen: SocketAddr) -> Outcome {
    let url = ControllerUrl::at(reachable(listen));
    match controller::get(&url, "/healthz").await {
        Ok(answer) if answer.code == 200 => Outcome::print(Exit::Ok, &(answer.line() + "\n")),
        Ok(answer) => Outcome::because(Exit::Failed, format_args!("{url} answers {}: {}", answer.code, answer.line())),
        Err(error) => Outcome::error(Exit::Failed, &error),
    }
}

/// The address to connect to. A controller that listens on all addresses is reached on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
