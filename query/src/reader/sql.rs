//! SQL and traces: DataFusion over one tenant's tables.

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    common::ScalarValue,
    execution::context::SQLOptions,
    prelude::{col, lit},
    sql::sqlparser::{
        dialect::GenericDialect,
        tokenizer::{Token, Tokenizer},
    },
};
use demarc_proto::TraceId;
use demarc_store::{SpanRow, Table};
use futures::TryStreamExt;

use super::Reader;
use crate::{QueryError, reading::Reading, view};

/// Rows that answer SQL.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

impl Reader<'_> {
    /// Answers SQL that reads; anything that would write is refused.
    pub async fn sql(&self, sql: &str) -> Result<Frame, QueryError> {
        self.only("SQL")?;
        let sql = self.checked(sql)?;
        check_chains(&sql)?;
        let work = move |reading: Reading| async move { run(&reading, &sql).await };
        Ok(self.run("sql", work).await?.0)
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
        Ok(self.run("trace", work).await?.0)
    }
}

/// Most operators in one text: the tree of a chain of them is as deep as the chain is long, and walks down it use the stack.
const MAX_OPERATORS: usize = 1000;

/// Refuses texts whose tree could be too deep. What is no SQL at all is left to the planner to explain.
fn check_chains(sql: &str) -> Result<(), QueryError> {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else {
        return Ok(());
    };
    let count = tokens.iter().filter(|token| is_operator(token)).count();
    if count > MAX_OPERATORS {
        return Err(QueryError::Parameter(format!(
            "SQL with {count} operators: must be at most {MAX_OPERATORS}"
        )));
    }
    Ok(())
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.value.to_ascii_uppercase().as_str(),
            "AND"
                | "OR"
                | "NOT"
                | "UNION"
                | "INTERSECT"
                | "EXCEPT"
                | "JOIN"
                | "WHEN"
                | "IS"
                | "LIKE"
        ),
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Comma
        | Token::Whitespace(_)
        | Token::LParen
        | Token::RParen
        | Token::Period
        | Token::SemiColon => false,
        _ => true,
    }
}

async fn run(reading: &Reading, sql: &str) -> Result<Frame, QueryError> {
    let context = reading.session(&reading.snapshots[0])?;
    view::add_views(&context).await?;
    view::remove_unbounded(&context);
    let read_only = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    let frame = context.sql_with_options(sql, read_only).await?;
    let mut stream = frame.execute_stream().await?;
    let mut answer = Frame {
        schema: stream.schema(),
        batches: Vec::new(),
    };
    let (mut rows, limit) = (0, reading.config.max_rows);
    while let Some(batch) = stream.try_next().await? {
        rows += batch.num_rows();
        if rows > limit {
            return Err(QueryError::Limit {
                what: "rows",
                limit,
            });
        }
        reading.budget.take_bytes(batch.get_array_memory_size())?;
        answer.batches.push(batch);
    }
    Ok(answer)
}
