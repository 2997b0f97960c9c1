//! The wire names of what happens to sessions.

use firefly_domain::Session;

super::wire! {
    Session:
    Started => "SessionStarted" v 1,
    Joined => "ProjectJoined" v 1,
    Left => "ProjectLeft" v 1,
    Ended => "SessionEnded" v 1,
}
