//! SQL whose rows are handed on as they are found.

use std::sync::Arc;

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use futures::TryStreamExt;
use tokio::{sync::mpsc, time::timeout};

use super::{
    Begun, Reader, Statement,
    sql::{count, started},
};
use crate::{QueryError, budget::Budget, reading::Reading};

/// Batches that wait to be taken; when there are so many, no more are looked for.
const AHEAD: usize = 2;

/// Rows that answer SQL, as they are found. The query ends when this is dropped, and when its time is over.
#[derive(Debug)]
pub struct RowStream {
    schema: SchemaRef,
    found: mpsc::Receiver<RecordBatch>,
    first: Option<RecordBatch>,
    /// `None` once it has ended.
    query: Option<Begun<()>>,
    budget: Arc<Budget>,
    /// Memory of the batch that was taken last.
    taken_bytes: usize,
}

impl RowStream {
    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows; `None` after the last. After an error there are no more, and those before are not the whole answer.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        self.budget
            .give_back_bytes(std::mem::take(&mut self.taken_bytes));
        let next = match self.first.take() {
            Some(first) => Some(first),
            None => self.wait().await?,
        };
        self.taken_bytes = next.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        Ok(next)
    }

    async fn wait(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        // When the time is over the query ends, and says so below.
        if let Ok(Some(batch)) = timeout(self.budget.left(), self.found.recv()).await {
            return Ok(Some(batch));
        }
        match self.query.take() {
            Some(query) => query.done().await.map(|()| None),
            None => Ok(None),
        }
    }
}

impl Reader<'_> {
    /// As [`Self::statement`]; returns with the first rows, or what keeps the query from finding any. The rows take no more
    /// memory than a few batches, so that only their number is limited.
    pub async fn rows(&self, statement: Statement) -> Result<RowStream, QueryError> {
        self.only("SQL")?;
        self.checked(&statement.text)?;
        let (sender, mut found) = mpsc::channel(AHEAD);
        let work = move |reading: Reading| async move { find(&reading, &statement, sender).await };
        let query = self.begin("sql", work).await?;
        let budget = Arc::clone(&query.budget);
        let Ok(Some(columns)) = timeout(budget.left(), found.recv()).await else {
            query.done().await?;
            return Err(QueryError::Canceled);
        };
        let mut rows = RowStream {
            schema: columns.schema(),
            found,
            first: None,
            query: Some(query),
            budget,
            taken_bytes: 0,
        };
        rows.first = rows.wait().await?;
        Ok(rows)
    }
}

/// Sends a batch without rows, which tells of the columns, then the rows.
async fn find(
    reading: &Reading,
    statement: &Statement,
    sender: mpsc::Sender<RecordBatch>,
) -> Result<(), QueryError> {
    let mut stream = started(reading, statement).await?;
    let (budget, sender) = (&reading.budget, &sender);
    let send = |batch: RecordBatch| async move {
        match timeout(budget.left(), sender.send(batch)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(QueryError::Canceled),
            Err(_) => Err(QueryError::Timeout(budget.timeout())),
        }
    };
    send(RecordBatch::new_empty(stream.schema())).await?;
    let mut rows = 0;
    while let Some(batch) = stream.try_next().await? {
        count(&mut rows, &batch, reading)?;
        send(batch).await?;
    }
    Ok(())
}
