//! Prometheus' test scripts: `load`, `clear`, `eval`.
//!
//! text -> `command` -> rows appended to a store, queries asked of an engine -> [`Report`]
//!
//! Source of the notation: Prometheus 3.14, `promql/promqltest/README.md`.

mod command;
mod compare;
mod expect;
mod load;
mod nhcb;
mod points;

use demarc_proto::{Millis, TenantId};
use demarc_store::Store;

use crate::{
    Answer, Engine, QueryError, RangeParams, Value,
    promql::{self, PointValue},
};
use command::{Command, Eval, Step, When};
use expect::{Expected, Kind};

/// What came of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many evaluations hold.
    pub passed: usize,
    /// Those that do not, in the order of the script.
    pub failures: Vec<Failure>,
}

/// An evaluation that does not hold, or another command that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line of its `eval`, from 1.
    pub line: usize,
    /// The query; of a command that cannot be understood, its first line.
    pub query: String,
    /// What was expected and what came.
    pub fault: String,
}

/// A line that cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Runs a script against a store. Its data is put into tenants of their own, the names of which begin with `prefix`: `clear`
/// goes on to the next.
pub async fn run(
    store: &Store,
    engine: &Engine,
    prefix: &str,
    script: &str,
) -> Result<Report, ScriptError> {
    let mut report = Report::default();
    let mut generation = 0;
    let tenant = |generation: usize, line: usize| {
        TenantId::new(format!("{prefix}-{generation}")).map_err(|error| ScriptError {
            line,
            message: error.to_string(),
        })
    };
    for Step {
        line,
        text,
        command,
    } in command::parse(script)
    {
        let tenant = tenant(generation, line)?;
        let failed = |message: String| ScriptError { line, message };
        match command {
            // What cannot be understood does not hold; the rest of the script may.
            Err(fault) => report.failures.push(Failure {
                line,
                query: text.to_owned(),
                fault,
            }),
            Ok(Command::Clear) => generation += 1,
            Ok(Command::Load(rows)) => {
                store
                    .append(&tenant, rows)
                    .await
                    .map_err(|error| failed(error.to_string()))?;
            }
            Ok(Command::Eval(eval)) => match check(engine, &tenant, &eval).await {
                Ok(()) => report.passed += 1,
                Err(fault) => report.failures.push(Failure {
                    line,
                    query: eval.query,
                    fault,
                }),
            },
        }
    }
    Ok(report)
}

async fn check(engine: &Engine, tenant: &TenantId, eval: &Eval) -> Result<(), String> {
    let answer = match eval.when {
        When::Instant(at) => engine.instant(tenant, &eval.query, at).await,
        When::Range(range) => engine.range(tenant, &eval.query, range).await,
    };
    let Some(answer) = expected_outcome(answer, &eval.expected)? else {
        return Ok(());
    };
    eval.expected.check_notes(Kind::Warn, &answer.warnings)?;
    eval.expected.check_notes(Kind::Info, &answer.infos)?;
    compare::check(&answer.value, eval)?;
    if let (When::Instant(at), true) = (eval.when, can_be_a_range(&answer, eval)) {
        let answer = as_range(engine, tenant, &eval.query, at).await;
        let answer = answer.map_err(|error| format!("as a range query: {error}"))?;
        compare::check(&answer, eval).map_err(|fault| format!("as a range query: {fault}"))?;
    }
    Ok(())
}

/// The answer to compare; `None` when the query failed as it was to.
fn expected_outcome(
    answer: Result<Answer, QueryError>,
    expected: &Expected,
) -> Result<Option<Answer>, String> {
    match (answer, expected.fails()) {
        (Err(error), true) => {
            expected.check_notes(Kind::Fail, &[error.to_string()])?;
            Ok(None)
        }
        (Ok(answer), true) => Err(format!("expected a failure, got {:?}", answer.value)),
        (Err(error), false) => Err(error.to_string()),
        (Ok(answer), false) => Ok(Some(answer)),
    }
}

/// Whether the query says the same as one step of a range query.
fn can_be_a_range(answer: &Answer, eval: &Eval) -> bool {
    let is_vector = matches!(answer.value, Value::Vector(_) | Value::Scalar(..));
    is_vector && !eval.expected.ordered && !names_its_range(&eval.query)
}

/// Whether the query uses its own range or step.
fn names_its_range(query: &str) -> bool {
    let query = query.to_ascii_lowercase();
    ["start()", "end()", "step()", "range()"]
        .iter()
        .any(|name| query.contains(name))
}

/// The middle of three steps, a minute apart.
async fn as_range(
    engine: &Engine,
    tenant: &TenantId,
    query: &str,
    at: Millis,
) -> Result<Value, QueryError> {
    let range = RangeParams {
        start: Millis(at.0 - 60_000),
        end: Millis(at.0 + 60_000),
        step: std::time::Duration::from_secs(60),
    };
    let answer = engine.range(tenant, query, range).await?;
    let Value::Matrix(matrix) = answer.value else {
        return Ok(answer.value);
    };
    let is_scalar = promql::parse(query)?.value_type() == promql::ast::ValueType::Scalar;
    let mut vector = Vec::new();
    for (labels, points) in matrix {
        if let Some(point) = points.into_iter().find(|point| point.time == at) {
            if let (PointValue::Float(value), true) = (&point.value, is_scalar) {
                return Ok(Value::Scalar(at, *value));
            }
            vector.push((labels, point));
        }
    }
    Ok(Value::Vector(vector))
}
