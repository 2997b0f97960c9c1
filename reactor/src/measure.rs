//! What the reactor counts.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::plan::Action;
use crate::runtime::{Observed, Serves, Status};

const CONTAINERS: &str = "firefly_containers";
const POOL: &str = "firefly_pool_containers";
const ACTIONS: &str = "firefly_reactor_actions_total";

/// Says what the counters mean.
pub fn describe() {
    describe_gauge!(
        CONTAINERS,
        "Containers of projects at the last look, by state: running, paused, or stopped and kept"
    );
    describe_gauge!(
        POOL,
        "Containers started ahead at the last look: waiting to be claimed, and wanted"
    );
    describe_counter!(
        ACTIONS,
        "Actions of the reactor that came to an end, by what was to be done and whether it was: done, failed, or not let through"
    );
}

/// Notes what a look at the engine has shown.
pub fn looked(observed: &[Observed], pool_size: usize) {
    let count = |it: fn(&Observed) -> bool| observed.iter().filter(|found| it(found)).count() as f64;
    let of_project = |found: &Observed| matches!(found.serves, Serves::Project(_));
    let running = count(|it| matches!((&it.serves, &it.status), (Serves::Project(_), Status::Running { .. })));
    let paused = count(|it| matches!((&it.serves, &it.status), (Serves::Project(_), Status::Paused { .. })));
    let all = observed.iter().filter(|it| of_project(it)).count() as f64;
    gauge!(CONTAINERS, "state" => "running").set(running);
    gauge!(CONTAINERS, "state" => "paused").set(paused);
    gauge!(CONTAINERS, "state" => "stopped").set(all - running - paused);
    let waiting = count(|it| matches!((&it.serves, &it.status), (Serves::Pool(_), Status::Running { .. })));
    gauge!(POOL, "state" => "waiting").set(waiting);
    gauge!(POOL, "state" => "wanted").set(pool_size as f64);
}

/// Notes what became of an action.
pub fn acted(action: &Action, outcome: &'static str) {
    counter!(ACTIONS, "action" => action.name(), "outcome" => outcome).increment(1);
}
