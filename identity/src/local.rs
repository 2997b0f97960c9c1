//! Letting a person on Firefly's own host in, without a password: they could read its files anyway.

use std::net::SocketAddr;

use firefly_domain::Segment;

/// The sign-in of the one user of a Firefly that only its own host can reach.
#[derive(Clone, Debug)]
pub struct LocalSignIn {
    user: Segment,
}

/// Local sign-in was asked for on an address that other hosts can reach.
#[derive(Debug, thiserror::Error)]
#[error("local sign-in needs a loopback address, and {0} is none; listen on 127.0.0.1 or [::1]")]
pub struct NotLoopback(SocketAddr);

impl LocalSignIn {
    /// Allows local sign-in for a listener.
    ///
    /// # Errors
    ///
    /// The listener's address is not a loopback address.
    pub fn new(user: Segment, listen: SocketAddr) -> Result<Self, NotLoopback> {
        if listen.ip().is_loopback() {
            Ok(Self { user })
        } else {
            Err(NotLoopback(listen))
        }
    }

    /// The user who is signed in.
    pub const fn user(&self) -> &Segment {
        &self.user
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_sign_in_is_refused_on_addresses_that_others_reach() {
        let user = Segment::parse("local").unwrap();
        for address in ["0.0.0.0:2440", "[::]:2440", "192.168.1.2:2440"] {
            assert!(
                LocalSignIn::new(user.clone(), address.parse().unwrap()).is_err(),
                "{address}"
            );
        }
        for address in ["127.0.0.1:2440", "127.1.2.3:2440", "[::1]:2440"] {
            assert!(
                LocalSignIn::new(user.clone(), address.parse().unwrap()).is_ok(),
                "{address}"
            );
        }
    }
}
