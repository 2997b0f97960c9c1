//! What operators ask of projections. Whoever projects finds it among the builds.

use uuid::Uuid;

use crate::builds::{Build, Projected, Status};
use crate::database::{Database, typed};
use crate::error::Error;

impl Database {
    /// Asks for a rebuild, or for one to compare with; the one that is at work already if there is one.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn ask_for(
        &self,
        projected: Projected,
        log: Uuid,
        status: Status,
    ) -> Result<Result<Build, Build>, Error> {
        let mut transaction = self.begin().await?;
        let name = projected.projection;
        // Of two that ask at once on PostgreSQL, the second waits for the first here.
        transaction.exclude_others(name).await?;
        let query = "SELECT * FROM builds WHERE projection = $1 AND status <> 'live'";
        let others = transaction.fields(query, &[name.into()]).await?;
        let others: Vec<Build> = typed("builds", others)?;
        for other in others {
            if other.status != Status::Verified {
                return Ok(Err(other));
            }
            transaction.discard(projected.table, &other).await?;
        }
        let build = transaction.start(projected, log, status).await?;
        transaction.commit().await?;
        Ok(Ok(build))
    }

    /// Ends a rebuild before it is done; whether there was one.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn cancel(&self, projected: Projected) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        // A rebuild that is about to take its place is waited for.
        transaction.exclude_others(projected.projection).await?;
        let query =
            "SELECT * FROM builds WHERE projection = $1 AND status IN ('building', 'verifying')";
        let at_work = transaction
            .fields(query, &[projected.projection.into()])
            .await?;
        let at_work: Vec<Build> = typed("builds", at_work)?;
        for build in &at_work {
            transaction.discard(projected.table, build).await?;
        }
        transaction.commit().await?;
        Ok(!at_work.is_empty())
    }

    /// Lets the builds of a projection that stopped go on; whether any had.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn retry(&self, projection: &str) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        let stopped = transaction
            .execute(
                "UPDATE builds SET failure = NULL, failed_position = NULL, failed_event = NULL \
                 WHERE projection = $1 AND failure IS NOT NULL AND status <> 'verified'",
                &[projection.into()],
            )
            .await?;
        transaction.commit().await?;
        Ok(stopped != 0)
    }
}
