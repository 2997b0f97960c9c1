//! What reactors see of each other beside the log: in some worlds nothing at all.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use firefly_domain::lease::Holder;

use super::world::World;
use crate::{Life, Peers};

/// The others, as one life of a reactor sees them.
pub struct PeersOf {
    world: Arc<World>,
    life: super::world::Life,
}

impl PeersOf {
    pub fn new(world: &Arc<World>, life: super::world::Life) -> Self {
        Self {
            world: Arc::clone(world),
            life,
        }
    }
}

#[async_trait]
impl Peers for PeersOf {
    async fn sign(&self) -> io::Result<()> {
        let signed = self.world.call(self.life, "show a sign", |state| {
            state.sign(self.life);
            Ok(())
        });
        signed.await.map_err(io::Error::other)
    }

    async fn life(&self, process: Holder) -> Life {
        let looked = self.world.call(self.life, "look at a process", |state| {
            Ok(state.life(process.process.as_u128() as super::world::Life))
        });
        looked.await.unwrap_or(Life::Unknown)
    }

    async fn leave(&self) -> bool {
        unreachable!("no reactor ends by itself here")
    }
}
