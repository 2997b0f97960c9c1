//! The way out against registries and hosts that are made up, and once against npm and its real registry.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected fails where it stands"
)]

mod documents;
mod proxy;
mod real_npm;
mod registry;
mod store;
mod support;
mod tarballs;
mod upstream_proxy;
