//! Names and labels: how an instance finds its own containers, and never anyone else's.
//!
//! Labels say what never changes: whose instance a container is of, and which directories it was made with. Whom it works
//! for can change, so its name says that, and the engine sees to it that no two have the same.

use std::collections::HashMap;

use bollard::query_parameters::{
    EventsOptions, EventsOptionsBuilder, ListContainersOptions, ListContainersOptionsBuilder,
};
use firefly_domain::ProjectId;
use uuid::Uuid;

use super::super::{Serves, Slot};

const INSTANCE_LABEL: &str = "studio.firefly.instance";

/// Names the run directory of a container that holds a project-server.
const PLACE_LABEL: &str = "studio.firefly.place";

/// Names the form that a container was made in: one that would be made otherwise today is not started again.
const MADE_AS_LABEL: &str = "studio.firefly.made-as";

/// Hex digits of the instance's id in a name: enough to tell, and short enough to read.
const SHORT_LENGTH: usize = 12;

/// What stands before the id of a place in the pool.
const POOL: &str = "pool-";

/// The events that end a container's life.
const EVENTS: [&str; 2] = ["die", "destroy"];

/// What a container's name and labels tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Whom it works for.
    pub(super) serves: Serves,
    /// The place of its run directory.
    pub(super) place: Uuid,
    /// The form that it was made in.
    pub(super) made_as: String,
}

/// The names of one instance.
#[derive(Clone, Debug)]
pub(super) struct Names {
    instance: Uuid,
    short: String,
}

impl Names {
    pub(super) fn of(instance: Uuid) -> Self {
        Self {
            instance,
            short: short(&instance),
        }
    }

    /// The container that works for a project, or waits for one.
    pub(super) fn container(&self, serves: Serves) -> String {
        let short = &self.short;
        match serves {
            Serves::Project(project) => format!("firefly-{short}-{project}"),
            Serves::Pool(slot) => format!("firefly-{short}-{POOL}{slot}"),
        }
    }

    /// Whom the container of this name works for.
    fn read_name(&self, name: &str) -> Option<Serves> {
        // The engine puts a slash before its names.
        let name = name.strip_prefix('/').unwrap_or(name);
        let rest = name.strip_prefix("firefly-")?.strip_prefix(&self.short)?;
        let id = rest.strip_prefix('-')?;
        match id.strip_prefix(POOL) {
            Some(slot) => Some(Serves::Pool(Slot::from_uuid(slot.parse().ok()?))),
            None => Some(Serves::Project(id.parse().ok()?)),
        }
    }

    /// The short-lived container that looks at a workspace.
    pub(super) fn tool(&self, project: ProjectId) -> String {
        format!("firefly-{}-{project}-tool", self.short)
    }

    /// The short-lived container that becomes the project image.
    pub(super) fn image_maker(&self) -> String {
        format!("firefly-{}-image", self.short)
    }

    /// The network that containers of the instance were on in earlier versions.
    pub(super) fn former_network(&self) -> String {
        format!("firefly-{}", self.short)
    }

    /// The labels of a container that holds a project-server: the place of its run directory, and the form that it is made
    /// in.
    pub(super) fn labels(&self, place: &Uuid, made_as: &str) -> HashMap<String, String> {
        let mut labels = self.instance_labels();
        labels.insert(PLACE_LABEL.to_owned(), place.to_string());
        labels.insert(MADE_AS_LABEL.to_owned(), made_as.to_owned());
        labels
    }

    /// The labels of whatever else belongs to the instance.
    pub(super) fn instance_labels(&self) -> HashMap<String, String> {
        HashMap::from([(INSTANCE_LABEL.to_owned(), self.instance.to_string())])
    }

    /// What takes the instance's label away from something that inherits it.
    pub(super) fn nobodys_labels(&self) -> HashMap<String, String> {
        HashMap::from([(INSTANCE_LABEL.to_owned(), String::new())])
    }

    /// Whether a container with these labels holds a project-server.
    pub(super) fn has_place(labels: &HashMap<String, String>) -> bool {
        labels.contains_key(PLACE_LABEL)
    }

    /// Reads name and labels of a container of this instance that holds a project-server.
    pub(super) fn read(&self, name: &str, labels: &HashMap<String, String>) -> Option<Told> {
        if *labels.get(INSTANCE_LABEL)? != self.instance.to_string() {
            return None;
        }
        Some(Told {
            serves: self.read_name(name)?,
            place: labels.get(PLACE_LABEL)?.parse().ok()?,
            made_as: labels.get(MADE_AS_LABEL)?.clone(),
        })
    }

    /// Asks for all containers of the instance that hold a project-server.
    pub(super) fn list_options(&self) -> ListContainersOptions {
        ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&HashMap::from([("label", self.label_filter())]))
            .build()
    }

    /// Asks for all containers of the instance, whatever they are for.
    pub(super) fn list_everything_options(&self) -> ListContainersOptions {
        let label = format!("{INSTANCE_LABEL}={}", self.instance);
        ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&HashMap::from([("label", vec![label])]))
            .build()
    }

    /// Asks for the ends of project containers of the instance, from a time in Unix seconds on.
    pub(super) fn events_options(&self, since: i64) -> EventsOptions {
        EventsOptionsBuilder::default()
            .since(&since.to_string())
            .filters(&HashMap::from([
                ("type", vec!["container".to_owned()]),
                ("event", EVENTS.map(str::to_owned).to_vec()),
                ("label", self.label_filter()),
            ]))
            .build()
    }

    fn label_filter(&self) -> Vec<String> {
        vec![
            format!("{INSTANCE_LABEL}={}", self.instance),
            PLACE_LABEL.to_owned(),
        ]
    }
}

fn short(uuid: &Uuid) -> String {
    let mut hex = uuid.simple().to_string();
    hex.truncate(SHORT_LENGTH);
    hex
}

#[cfg(test)]
mod tests {
    use firefly_domain::ProjectKey;

    use super::*;

    fn project() -> ProjectId {
        ProjectKey::new("alice", "montage", "app").unwrap().id()
    }

    fn slot() -> Slot {
        Slot::from_uuid(Uuid::from_u128(7))
    }

    #[test]
    fn a_name_shows_the_instance_and_whom_a_container_works_for() {
        let names = Names::of(Uuid::from_u128(0xabcd << 112));
        assert_eq!(
            names.container(Serves::Project(project())),
            "firefly-abcd00000000-f32f5d34-c761-5b43-a1b6-1a1ba3eb0a0b"
        );
        assert_eq!(
            names.container(Serves::Pool(slot())),
            "firefly-abcd00000000-pool-00000000-0000-0000-0000-000000000007"
        );
    }

    #[test]
    fn names_and_labels_are_read_back_by_their_own_instance_only() {
        let (ours, theirs) = (
            Names::of(Uuid::from_u128(1)),
            Names::of(Uuid::from_u128(2 << 64)),
        );
        let place = Uuid::from_u128(9);
        for serves in [Serves::Project(project()), Serves::Pool(slot())] {
            let (name, labels) = (ours.container(serves), ours.labels(&place, "form"));
            let told = Told {
                serves,
                place,
                made_as: "form".to_owned(),
            };
            assert_eq!(ours.read(&name, &labels), Some(told.clone()));
            assert_eq!(ours.read(&format!("/{name}"), &labels), Some(told));
            assert_eq!(theirs.read(&name, &labels), None);
            assert_eq!(ours.read(&name, &ours.instance_labels()), None);
            assert_eq!(ours.read(&ours.tool(project()), &labels), None);
        }
    }
}
