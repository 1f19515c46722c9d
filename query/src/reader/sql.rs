//! SQL and traces: DataFusion over one tenant's tables.

use std::sync::Arc;

use arrow::{
    datatypes::{DataType, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{
    common::{ParamValues, ScalarValue},
    dataframe::DataFrame,
    execution::SendableRecordBatchStream,
    prelude::{col, lit},
};
use demarc_proto::TraceId;
use demarc_store::{SpanRow, Table};
use futures::TryStreamExt;

use super::Reader;
use crate::{
    QueryError,
    budget::Budget,
    reading::Reading,
    sql::{self, Dialect, Relation},
};

/// Rows that answer SQL.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Their memory counts among that of all queries for as long as they are there.
    _held: Arc<Budget>,
}

/// A question in SQL.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    /// One statement that reads.
    pub text: String,
    /// Whose grammar it follows.
    pub dialect: Dialect,
    /// One row with a column for each parameter, `$1` first; `None` when there are none.
    pub parameters: Option<RecordBatch>,
}

/// What a statement answers, and what it needs to be told.
#[derive(Clone, Debug)]
pub struct Description {
    /// The columns of the answer.
    pub schema: SchemaRef,
    /// The type of each parameter, `$1` first; `None` where any would do.
    pub parameters: Vec<Option<DataType>>,
}

/// Most parameters of one statement.
const MAX_PARAMETERS: usize = 1000;

impl Reader<'_> {
    /// Answers SQL that reads; anything that would write is refused.
    pub async fn sql(&self, sql: &str) -> Result<Frame, QueryError> {
        self.statement(Statement {
            text: sql.to_owned(),
            ..Statement::default()
        })
        .await
    }

    /// As [`Self::sql`], with parameters.
    pub async fn statement(&self, statement: Statement) -> Result<Frame, QueryError> {
        self.only("SQL")?;
        self.checked(&statement.text)?;
        let work = move |reading: Reading| async move { run(&reading, &statement).await };
        self.run("sql", work).await
    }

    /// What a statement will answer, without running it. `types` are those that the asker names for parameters, `$1` first.
    pub async fn describe(
        &self,
        text: &str,
        dialect: Dialect,
        types: Vec<Option<DataType>>,
    ) -> Result<Description, QueryError> {
        self.only("SQL")?;
        let text = self.checked(text)?;
        let work = move |reading: Reading| async move {
            let context = sql::session(&reading, dialect).await?;
            let frame = sql::plan(&context, (&text, dialect)).await?;
            described(frame, types)
        };
        self.run("sql", work).await
    }

    /// The tables and views that SQL may name.
    pub async fn relations(&self) -> Result<Vec<Relation>, QueryError> {
        self.only("SQL")?;
        let work = |reading: Reading| async move {
            let context = sql::session(&reading, Dialect::Standard).await?;
            sql::relations(&context).await
        };
        self.run("sql", work).await
    }

    /// The spans of a trace, by start; empty when there are none.
    pub async fn trace(&self, id: TraceId) -> Result<Vec<SpanRow>, QueryError> {
        let work = move |reading: Reading| async move {
            let mut spans = Vec::new();
            for snapshot in &reading.snapshots {
                let context = reading.session(snapshot)?;
                let wanted = lit(ScalarValue::Binary(Some(id.as_bytes().to_vec())));
                let frame = context.table(Table::Spans.name()).await?;
                for batch in &frame.filter(col("trace_id").eq(wanted))?.collect().await? {
                    reading.budget.take_bytes(batch.get_array_memory_size())?;
                    spans.extend(SpanRow::from_batch(batch)?);
                }
            }
            spans.sort_by_key(|span| (span.start, span.span_id));
            Ok(spans)
        };
        self.run("trace", work).await
    }
}

async fn run(reading: &Reading, statement: &Statement) -> Result<Frame, QueryError> {
    let mut stream = started(reading, statement).await?;
    let mut answer = Frame {
        schema: stream.schema(),
        batches: Vec::new(),
        _held: Arc::clone(&reading.budget),
    };
    let mut rows = 0;
    while let Some(batch) = stream.try_next().await? {
        count(&mut rows, &batch, reading)?;
        answer.batches.push(batch);
    }
    Ok(answer)
}

/// The rows of a statement, which are yet to be found.
pub(super) async fn started(
    reading: &Reading,
    statement: &Statement,
) -> Result<SendableRecordBatchStream, QueryError> {
    let context = sql::session(reading, statement.dialect).await?;
    let frame = sql::plan(&context, (&statement.text, statement.dialect)).await?;
    let frame = bound(frame, statement.parameters.as_ref())?;
    Ok(frame.execute_stream().await?)
}

/// Counts rows that were found, and their memory.
pub(super) fn count(
    rows: &mut usize,
    batch: &RecordBatch,
    reading: &Reading,
) -> Result<(), QueryError> {
    *rows += batch.num_rows();
    let limit = reading.config.max_rows;
    if *rows > limit {
        return Err(QueryError::Limit {
            what: "rows",
            limit,
        });
    }
    reading.budget.take_bytes(batch.get_array_memory_size())
}

fn described(frame: DataFrame, types: Vec<Option<DataType>>) -> Result<Description, QueryError> {
    let mut parameters = parameters(&frame)?;
    for (known, named) in parameters.iter_mut().zip(types) {
        *known = known.take().or(named);
    }
    // With values of those types, the columns that are made of parameters have theirs.
    let kinds = parameters.iter().map(|known| known.as_ref());
    let values = kinds.map(|kind| ScalarValue::try_from(kind.unwrap_or(&DataType::Utf8)));
    let values = values.collect::<Result<Vec<ScalarValue>, _>>()?;
    let frame = match values.is_empty() {
        true => frame,
        false => frame.with_param_values(ParamValues::from(values))?,
    };
    Ok(Description {
        schema: frame.schema().inner().clone(),
        parameters,
    })
}

/// The type of each parameter, `$1` first.
fn parameters(frame: &DataFrame) -> Result<Vec<Option<DataType>>, QueryError> {
    let mut types = Vec::new();
    for (name, known) in frame.logical_plan().get_parameter_types()? {
        let place = name.strip_prefix('$').and_then(|name| name.parse().ok());
        let place: usize = place
            .filter(|place| (1..=MAX_PARAMETERS).contains(place))
            .ok_or_else(|| {
                QueryError::Parameter(format!(
                    "parameter {name}: must be $1 to ${MAX_PARAMETERS}, or ?"
                ))
            })?;
        if types.len() < place {
            types.resize(place, None);
        }
        types[place - 1] = known;
    }
    Ok(types)
}

/// The frame with its parameters filled in, each as the type that its place asks for.
fn bound(frame: DataFrame, row: Option<&RecordBatch>) -> Result<DataFrame, QueryError> {
    let types = parameters(&frame)?;
    let given = row.map_or(0, RecordBatch::num_columns);
    if types.len() != given {
        return Err(QueryError::Parameter(format!(
            "{given} values for the parameters of the statement: must be {}",
            types.len()
        )));
    }
    let Some(row) = row.filter(|_| given > 0) else {
        return Ok(frame);
    };
    if row.num_rows() != 1 {
        return Err(QueryError::Parameter(format!(
            "{} rows of parameters: must be one",
            row.num_rows()
        )));
    }
    let mut values = Vec::new();
    for (column, wanted) in row.columns().iter().zip(types) {
        let value = ScalarValue::try_from_array(column, 0)?;
        values.push(match wanted {
            Some(wanted) => value.cast_to(&wanted)?,
            None => value,
        });
    }
    Ok(frame.with_param_values(ParamValues::from(values))?)
}
