//! User data in a directory that is in no set yet, and what put it there.

use super::list;
use crate::model::Host;
use std::fmt;

pub(super) fn would_be_lost(f: &mut fmt::Formatter<'_>, hosts: &[Host]) -> fmt::Result {
    write!(
        f,
        "{} would lose the user data there by joining, so nothing is done: empty the data directories, or keep only the \
         one whose data the set must begin with",
        list(hosts)
    )?;
    if hosts.len() < 2 {
        return Ok(());
    }
    f.write_str(
        "; if the same scripts in docker-entrypoint-initdb.d wrote it, first take them out of the service, or each node \
         writes it again",
    )
}

pub(super) fn is_unknown(f: &mut fmt::Formatter<'_>, host: &Host) -> fmt::Result {
    write!(
        f,
        "{host} may lose user data by joining, and is not added: empty its data directory. MongoDB 4.4 does not tell what \
         is in there. If MONGO_INITDB_ROOT_USERNAME put it there, first take that out of the service"
    )
}
