//! Names for places in the pool.

use uuid::Uuid;

use crate::runtime::Slot;

/// Names for places in the pool, which no other process gives.
pub struct Slots {
    size: usize,
    process: Uuid,
    given: u64,
}

impl Slots {
    /// So many places, named by this process.
    pub const fn new(size: usize, process: Uuid) -> Self {
        Self {
            size,
            process,
            given: 0,
        }
    }

    /// How many places there are.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// A name that was not given before.
    pub fn next(&mut self) -> Slot {
        self.given += 1;
        Slot::from_uuid(Uuid::new_v5(&self.process, &self.given.to_be_bytes()))
    }
}

