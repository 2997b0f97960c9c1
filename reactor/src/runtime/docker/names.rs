//! Names and labels: how an instance finds its own containers, and never anyone else's.

use std::collections::HashMap;

use bollard::query_parameters::{
    EventsOptions, EventsOptionsBuilder, ListContainersOptions, ListContainersOptionsBuilder,
};
use firefly_domain::{Generation, ProjectId};
use uuid::Uuid;

const INSTANCE_LABEL: &str = "studio.firefly.instance";
const PROJECT_LABEL: &str = "studio.firefly.project";
const GENERATION_LABEL: &str = "studio.firefly.generation";

/// Hex digits of an id in a name: enough to tell, and short enough to read.
const SHORT_LENGTH: usize = 12;

/// The events that end a container's life.
const EVENTS: [&str; 2] = ["die", "destroy"];

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

    /// The container of a project; its labels tell of which opening it is.
    pub(super) fn container(&self, project: ProjectId) -> String {
        format!("firefly-{}-{}", self.short, short(project.as_uuid()))
    }

    /// The short-lived container that looks at a workspace.
    pub(super) fn tool(&self, project: ProjectId) -> String {
        format!("firefly-{}-{}-tool", self.short, short(project.as_uuid()))
    }

    /// The short-lived container that becomes the project image.
    pub(super) fn image_maker(&self) -> String {
        format!("firefly-{}-image", self.short)
    }

    /// The network of all containers of the instance.
    pub(super) fn network(&self) -> String {
        format!("firefly-{}", self.short)
    }

    /// The labels of the container of one opening.
    pub(super) fn labels(
        &self,
        project: ProjectId,
        generation: Generation,
    ) -> HashMap<String, String> {
        let mut labels = self.instance_labels();
        labels.insert(PROJECT_LABEL.to_owned(), project.to_string());
        labels.insert(GENERATION_LABEL.to_owned(), generation.to_string());
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

    /// Whether a container with these labels serves a project.
    pub(super) fn is_of_a_project(labels: &HashMap<String, String>) -> bool {
        labels.contains_key(PROJECT_LABEL)
    }

    /// Reads the labels of a container of this instance back.
    pub(super) fn read(&self, labels: &HashMap<String, String>) -> Option<(ProjectId, Generation)> {
        if *labels.get(INSTANCE_LABEL)? != self.instance.to_string() {
            return None;
        }
        let project = labels.get(PROJECT_LABEL)?.parse().ok()?;
        let generation = labels.get(GENERATION_LABEL)?.parse().ok()?;
        Some((project, Generation::new(generation)))
    }

    /// Asks for all project containers of the instance.
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
            PROJECT_LABEL.to_owned(),
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

    #[test]
    fn a_name_shows_instance_and_project() {
        let names = Names::of(Uuid::from_u128(0xabcd << 112));
        assert_eq!(
            names.container(project()),
            "firefly-abcd00000000-f32f5d34c761"
        );
    }

    #[test]
    fn labels_are_read_back_by_their_own_instance_only() {
        let (ours, theirs) = (Names::of(Uuid::from_u128(1)), Names::of(Uuid::from_u128(2)));
        let labels = ours.labels(project(), Generation::new(7));
        assert_eq!(ours.read(&labels), Some((project(), Generation::new(7))));
        assert_eq!(theirs.read(&labels), None);
        assert_eq!(ours.read(&ours.instance_labels()), None);
    }
}
