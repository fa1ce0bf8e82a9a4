//! A cache of the configs that mongods store. Nearly all members store the same bytes in every observation.
//!
//! **Invariant:** the result depends only on the bytes, not on the mongod that they come from.

use super::Error;
use crate::model::ReplConfig;
use bson::{Document, RawDocumentBuf};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The number of configs to keep: the current one and the next one, for two sets.
const KEPT: usize = 4;

/// The configs that were read last. So fifty members with one config cost one read and one copy.
#[derive(Default)]
pub(super) struct Configs(Mutex<VecDeque<(RawDocumentBuf, ReplConfig)>>);

impl Configs {
    /// Reads a document of `local.system.replset`.
    pub(super) fn read(&self, stored: RawDocumentBuf) -> Result<ReplConfig, Error> {
        let unreadable = || Error::Unreadable("local.system.replset");
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = kept.iter().find(|(bytes, _)| *bytes == stored) {
            return Ok(config.clone());
        }
        let document = Document::try_from(stored.as_ref()).map_err(|_| unreadable())?;
        let config = ReplConfig::from_stored(document).map_err(|_| unreadable())?;
        kept.truncate(KEPT - 1);
        kept.push_front((stored, config.clone()));
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn stored(version: i32) -> RawDocumentBuf {
        let members = [doc! { "_id": 0, "host": "a:27017" }];
        RawDocumentBuf::try_from(&doc! { "_id": "rs", "version": version, "term": 1_i64, "members": members }).unwrap()
    }

    #[test]
    fn equal_bytes_are_one_config_and_others_are_read() {
        let configs = Configs::default();
        let first = configs.read(stored(1)).unwrap();
        assert!(std::ptr::eq(first.document(), configs.read(stored(1)).unwrap().document()));
        assert_eq!(configs.read(stored(2)).unwrap().version(), 2);
        assert_eq!(configs.read(stored(1)).unwrap(), first);
    }

    #[test]
    fn only_the_last_few_are_kept() {
        let configs = Configs::default();
        (1..100).for_each(|version| drop(configs.read(stored(version)).unwrap()));
        assert_eq!(configs.0.lock().unwrap().len(), KEPT);
    }

    #[test]
    fn nonsense_is_an_error_and_is_not_kept() {
        let configs = Configs::default();
        let nonsense = RawDocumentBuf::try_from(&doc! { "_id": "rs" }).unwrap();
        assert!(configs.read(nonsense).is_err());
        assert!(configs.0.lock().unwrap().is_empty());
    }
}
