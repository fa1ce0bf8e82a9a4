//! Defaults of the controller's settings. The help shows them, and a command that works without a controller uses them.

use std::time::Duration;

/// See `--replace-after`.
pub const REPLACE_AFTER: Duration = Duration::from_secs(30);
/// See `--remove-after`.
pub const REMOVE_AFTER: Duration = Duration::from_secs(600);
/// See `--failover-after`.
pub const FAILOVER_AFTER: Duration = Duration::from_secs(2);
/// See `--stable-for`.
pub const STABLE_FOR: Duration = Duration::from_millis(300);
/// See `--interval`.
pub const INTERVAL: Duration = Duration::from_secs(5);
