//! Tells the gateway where previews are, from live state.

use firefly_domain::ProjectKey;
use firefly_domain::project::Phase;
use firefly_gateway::{Preview, ProjectLookup};
use firefly_query_api::Hub;

pub struct Projects(pub Hub);

impl ProjectLookup for Projects {
    fn find(&self, key: &ProjectKey) -> Preview {
        let preview = self.0.look(key, |project| match &project.phase {
            Phase::Opening { step, .. } => Preview::Opening {
                step: Some(*step),
                text: String::new(),
            },
            Phase::Ready { endpoint, .. } => Preview::Ready(endpoint.clone()),
            Phase::Failed { failure, .. } => Preview::Failed(failure.clone()),
            Phase::Closing { .. } | Phase::Closed { .. } | Phase::Deleting { .. } => {
                Preview::Closed
            }
            Phase::Deleted => Preview::Unknown,
        });
        preview.unwrap_or(Preview::Unknown)
    }
}
