//! Runs a stored query and seals it with a digest of its result.

use std::time::Duration;

use arrow::{
    datatypes::{DataType, Field},
    util::display::{ArrayFormatter, FormatOptions},
};
use demarc_proto::{Millis, TenantId};
use demarc_query::{Engine, PointValue, RangeParams, Value};

use crate::{IncidentError, QueryLanguage, StoredQuery, Verdict, gather::Shared};

/// Seals every query that a verdict cites; one that several verdicts of a round cite is run once.
pub(crate) async fn seal(
    (engine, shared): (&Engine, &Shared),
    verdict: &mut Verdict,
) -> Result<(), IncidentError> {
    for item in &mut verdict.evidence {
        if let Some(known) = shared.seal(&item.query) {
            item.query.digest = known;
            continue;
        }
        let digest = digest(engine, &item.query).await?;
        shared.keep_seal(&item.query, &digest);
        item.query.digest = digest;
    }
    Ok(())
}

/// The digest of what the query returns now: XXH3-128 over its rows as text, in order.
pub(crate) async fn digest(engine: &Engine, query: &StoredQuery) -> Result<String, IncidentError> {
    let tenant = TenantId::new(query.tenant.clone())
        .map_err(|error| IncidentError::Question(error.to_string()))?;
    let text = match query.language {
        QueryLanguage::PromQl => promql(engine, &tenant, query).await?,
        QueryLanguage::Sql => sql(engine, &tenant, query).await?,
    };
    Ok(format!(
        "{:032x}",
        xxhash_rust::xxh3::xxh3_128(text.as_bytes())
    ))
}

async fn promql(
    engine: &Engine,
    tenant: &TenantId,
    query: &StoredQuery,
) -> Result<String, IncidentError> {
    let range = RangeParams {
        start: Millis(query.start),
        end: Millis(query.end),
        step: Duration::from_millis(query.step.unsigned_abs()),
    };
    let mut text = String::new();
    if let Value::Matrix(series) = engine.range(tenant, &query.text, range).await?.value {
        for (labels, samples) in series {
            text.push_str(&labels.to_string());
            for point in samples {
                let value = match &point.value {
                    PointValue::Float(value) => significant(*value),
                    PointValue::Histogram(histogram) => histogram.to_string(),
                };
                text.push_str(&format!(" {value}@{}", point.time.0));
            }
            text.push('\n');
        }
    }
    Ok(text)
}

async fn sql(
    engine: &Engine,
    tenant: &TenantId,
    query: &StoredQuery,
) -> Result<String, IncidentError> {
    let frame = engine.sql(tenant, &query.text).await?;
    let options = FormatOptions::default().with_null("null");
    let mut text = String::new();
    for batch in &frame.batches {
        let floats: Vec<bool> = batch.schema().fields().iter().map(is_float).collect();
        let formatters: Result<Vec<_>, _> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect();
        let formatters = formatters.map_err(demarc_query_error)?;
        for row in 0..batch.num_rows() {
            for (formatter, is_float) in formatters.iter().zip(&floats) {
                let shown = formatter.value(row).to_string();
                match shown.parse::<f64>() {
                    Ok(value) if *is_float => text.push_str(&significant(value)),
                    _ => text.push_str(&shown),
                }
                text.push('\t');
            }
            text.push('\n');
        }
    }
    Ok(text)
}

fn is_float(field: &std::sync::Arc<Field>) -> bool {
    matches!(field.data_type(), DataType::Float32 | DataType::Float64)
}

/// Nine significant digits: the order in which floating-point numbers are summed must not break a seal.
fn significant(value: f64) -> String {
    format!("{value:.8e}")
}

fn demarc_query_error(error: arrow::error::ArrowError) -> IncidentError {
    IncidentError::Question(format!("result cannot be shown: {error}"))
}
