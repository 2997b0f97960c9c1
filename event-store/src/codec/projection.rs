//! The wire names of what operators have said about projections.

use firefly_domain::Projection;

super::wire! {
    Projection:
    Skipped => "ProjectionEventSkipped" v 1,
}
