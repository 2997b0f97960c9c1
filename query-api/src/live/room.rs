//! How many live connections there may be: in all, and of one user, so that nobody takes the room of all others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use firefly_domain::Segment;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// Live connections of one user at once, on both transports: more windows than anybody has, and an eighth of the room.
pub const USER_CONNECTIONS_MAX: usize = 1_024;

/// How many connections each user has.
#[derive(Clone, Debug, Default)]
pub struct Users(Arc<Mutex<HashMap<Segment, usize>>>);

/// The room of one connection, which is free again when this is dropped.
#[derive(Debug)]
pub struct Room {
    users: Users,
    user: Segment,
    _of_all: OwnedSemaphorePermit,
}

impl Users {
    /// Takes room for a connection of a user, out of the room of its transport; `most` is what the user may have.
    ///
    /// # Errors
    ///
    /// 429: the user has as many connections as they may have. 503: all of the room is taken.
    pub fn enter(
        &self,
        user: &Segment,
        most: usize,
        transport: &Arc<Semaphore>,
    ) -> Result<Room, Error> {
        let mut users = self.lock();
        let count = users.get(user).copied().unwrap_or_default();
        if count >= most {
            return Err(Error::too_many_of_user(most));
        }
        let of_all = Arc::clone(transport).try_acquire_owned();
        let of_all = of_all.map_err(|_| Error::too_many_subscribers())?;
        users.insert(user.clone(), count + 1);
        Ok(Room {
            users: self.clone(),
            user: user.clone(),
            _of_all: of_all,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Segment, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut users = self.users.lock();
        if let Some(count) = users.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_takes_no_more_than_theirs_and_gives_all_of_it_back() {
        let (users, transport) = (Users::default(), Arc::new(Semaphore::new(4)));
        let [alice, bob] = ["alice", "bob"].map(|name| Segment::parse(name).unwrap());
        let enter = |user| users.enter(user, 2, &transport);
        let first = enter(&alice).unwrap();
        let second = enter(&alice).unwrap();
        assert!(enter(&alice).is_err());
        let bobs = enter(&bob).unwrap();
        drop(first);
        let third = enter(&alice).unwrap();
        assert_eq!(transport.available_permits(), 1);
        drop((second, third, bobs));
        assert_eq!(transport.available_permits(), 4);
        assert!(users.lock().is_empty());
    }
}
