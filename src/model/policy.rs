//! What the operator wants and allows.

/// How members are named in the replica set config.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberAddress {
    /// The name that mongod reports where DNS leads back to that task, else its IP.
    #[default]
    Auto,
    /// Names only; a task whose name does not resolve waits.
    Hostname,
    /// IPs only.
    Ip,
}

/// Whether a set that lost its majority to new addresses is brought back without being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// When the evidence is complete.
    #[default]
    Auto,
    /// Never: report what would be done.
    Manual,
}

/// Whether blank nodes may become a new set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bootstrap {
    /// When all expected nodes are shown to be blank.
    #[default]
    Auto,
    /// Never: this deployment had a set before.
    Never,
}

impl MemberAddress {
    /// Every choice with its name in settings.
    pub const CHOICES: [(&str, Self); 3] = [("auto", Self::Auto), ("hostname", Self::Hostname), ("ip", Self::Ip)];
}

impl Recovery {
    /// Every choice with its name in settings.
    pub const CHOICES: [(&str, Self); 2] = [("auto", Self::Auto), ("manual", Self::Manual)];
}

impl Bootstrap {
    /// Every choice with its name in settings.
    pub const CHOICES: [(&str, Self); 2] = [("auto", Self::Auto), ("never", Self::Never)];
}
