//! The wire names of what happens to leases.

use firefly_domain::Lease;

super::wire! {
    Lease:
    Acquired => "LeaseAcquired" v 1,
    Renewed => "LeaseRenewed" v 1,
    Released => "LeaseReleased" v 1,
    Awaited => "LeaseAwaited" v 1,
}
