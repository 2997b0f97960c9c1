//! The keys by which the reactor and a project-server recognise each other.
//!
//! A key is derived, not stored: after a restart the reactor knows the keys of the containers it finds.

use std::fmt::Display;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use firefly_domain::{Generation, ProjectId};

use crate::Secret;

/// Makes the control keys of one installation.
#[derive(Clone, Debug)]
pub struct ControlKeys(Secret);

impl ControlKeys {
    /// Derives keys from the installation's secret.
    pub const fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// The key of the container that serves one opening of a project.
    pub fn key(&self, project: ProjectId, generation: Generation) -> String {
        URL_SAFE_NO_PAD.encode(
            self.0
                .derive(&format!("project-server control, {project}, {generation}")),
        )
    }

    /// The key of a container that was started ahead, until a project gets it.
    pub fn of_slot(&self, slot: impl Display) -> String {
        URL_SAFE_NO_PAD.encode(
            self.0
                .derive(&format!("project-server control, pool, {slot}")),
        )
    }
}

#[cfg(test)]
mod tests {
    use firefly_domain::ProjectKey;

    use super::*;

    #[test]
    fn every_opening_has_a_key_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let keys = ControlKeys::new(Secret::load_or_create(&folder.path().join("secret")).unwrap());
        let project = ProjectKey::new("alice", "montage", "app").unwrap().id();
        let other = ProjectKey::new("alice", "montage", "other").unwrap().id();
        let first = keys.key(project, Generation::new(1));
        assert_eq!(first, keys.key(project, Generation::new(1)));
        assert_ne!(first, keys.key(project, Generation::new(2)));
        assert_ne!(first, keys.key(other, Generation::new(1)));
        assert_ne!(keys.of_slot("one"), keys.of_slot("two"));
    }
}
