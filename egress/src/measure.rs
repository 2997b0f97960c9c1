//! What the room tells of its work, as metrics. No label holds what a project can make up.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use crate::tunnel::Place;

const PASSED: &str = "firefly_egress_passed_total";
const REFUSED: &str = "firefly_egress_refused_total";
const TUNNELS: &str = "firefly_egress_tunnels_open";
const NPM_REQUESTS: &str = "firefly_npm_requests_total";
const NPM_BYTES: &str = "firefly_npm_bytes_total";
const NPM_CACHE_BYTES: &str = "firefly_npm_cache_bytes";

/// Says what they mean.
pub fn describe() {
    describe_counter!(
        PASSED,
        Unit::Count,
        "Connections of projects to the outside, by `kind`: `tunnel` or `request` (plain HTTP)."
    );
    describe_counter!(
        REFUSED,
        Unit::Count,
        "Connections that projects asked for and did not get, by `reason`: `closed`, `not-listed`, `port`, `address`, \
         `local-name` (all by the policy), `busy` (too many are open) or `unreachable`."
    );
    describe_gauge!(
        TUNNELS,
        Unit::Count,
        "Tunnels that are open from projects to the outside."
    );
    describe_counter!(
        NPM_REQUESTS,
        Unit::Count,
        "Requests to the cache of npm's registry, by `kind` (`package`, `tarball` or `other`) and `outcome`: `hit`, \
         `revalidated` (the registry said that it has not changed), `miss` (it was fetched), `stale` (the registry is out of \
         reach), `passed` (fetched, and not kept), `absent` (there is no such thing) or `failed`."
    );
    describe_counter!(
        NPM_BYTES,
        Unit::Bytes,
        "Bytes of packages, by `from`: `cache` for those that projects got from it, `registry` for those that were fetched."
    );
    describe_gauge!(
        NPM_CACHE_BYTES,
        Unit::Bytes,
        "Bytes on the disk that the cache of npm's registry takes up."
    );
}

/// A way out was opened.
pub(crate) fn passed(kind: &'static str) {
    counter!(PASSED, "kind" => kind).increment(1);
}

/// A way out was not opened.
pub(crate) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

/// A tunnel that counts as open for as long as it is held, as does its place.
pub(crate) struct TunnelOpen(#[expect(dead_code, reason = "held, and let go of at the end")] Place);

impl TunnelOpen {
    pub(crate) fn new(place: Place) -> Self {
        gauge!(TUNNELS).increment(1.0);
        Self(place)
    }
}

impl Drop for TunnelOpen {
    fn drop(&mut self) {
        gauge!(TUNNELS).decrement(1.0);
    }
}

/// The cache was asked.
pub(crate) fn npm(kind: &'static str, outcome: &'static str) {
    counter!(NPM_REQUESTS, "kind" => kind, "outcome" => outcome).increment(1);
}

/// Bytes went out of the cache.
pub(crate) fn from_cache(bytes: usize) {
    counter!(NPM_BYTES, "from" => "cache").increment(bytes as u64);
}

/// Bytes came from the registry.
pub(crate) fn from_registry(bytes: usize) {
    counter!(NPM_BYTES, "from" => "registry").increment(bytes as u64);
}

/// The cache takes up so much.
pub(crate) fn cache_bytes(bytes: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    gauge!(NPM_CACHE_BYTES).set(bytes as f64);
}
