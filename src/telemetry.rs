//! Logs: to stderr, as text for people and as JSON for collectors.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For reading.
    Text,
    /// For machines: one object per line.
    Json,
}

impl LogFormat {
    /// Every choice with its name in settings.
    pub const CHOICES: [(&str, Self); 3] = [("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json)];
}

/// Starts logging for the life of the process. A second call changes nothing.
pub fn start(level: LevelFilter, format: LogFormat, colour: bool) {
    let terminal = io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let layer = fmt::layer().with_writer(io::stderr);
    let layer = if json {
        layer.json().flatten_event(true).with_span_list(false).boxed()
    } else {
        layer.with_ansi(terminal && colour).with_target(false).boxed()
    };
    // Below us only trouble is of interest, whatever level is set for our own lines.
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("rsctl", level);
    // Fails only when logging has been started already.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}
