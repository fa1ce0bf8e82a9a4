//! `rsctl healthcheck`: the image has no shell and no curl, so the controller asks itself.

use crate::client::controller;
use crate::outcome::{Exit, Outcome};
use crate::parse::values::ControllerUrl;
use std::net::SocketAddr;

/// Asks the admin endpoint, which no client on the network can fill with connections.
pub(super) async fn healthcheck(admin_listen: SocketAddr) -> Outcome {
    let url = ControllerUrl::at(admin_listen);
    match controller::get(&url, "/healthz").await {
        Ok(answer) if answer.code == 200 => Outcome::print(Exit::Ok, &(answer.line() + "\n")),
        Ok(answer) => Outcome::because(Exit::Failed, format_args!("{url} answers {}: {}", answer.code, answer.line())),
        Err(error) => Outcome::error(Exit::Failed, &error),
    }
}
