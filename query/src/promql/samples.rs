//! How many samples a query reads at each of its times: what Prometheus calls queryable samples.
//!
//! Each selector is counted by a query of its own: `count(a)`, `sum(count_over_time(a[5m]))`. So the leaves keep no count that
//! hardly anybody asks for. A native histogram counts as one sample.
//!
//! Source: Prometheus, `util/stats` `QuerySamples`; `promql/engine.go`, where its counts are raised.

use super::{
    answer::Prepared,
    ast::{Aggregate, AggregateOp, Call, Edges, Expr, Grouping},
    eval::{Eval, Outcome},
    signature::Signature,
    value::Steps,
};
use crate::{QueryError, reading::Reading};

/// Samples that the selectors of a query read at each of its times; must be called where [`super::evaluate`] may be.
pub(crate) fn count_samples(reading: &Reading, query: &Prepared) -> Result<Vec<u64>, QueryError> {
    let steps = query.asked.steps;
    let mut counters = Vec::new();
    counters_of(&query.expr, &mut counters);
    tokio::task::block_in_place(|| {
        let mut counts = vec![0; steps.count];
        for counter in &counters {
            let asked = (query.text.as_str(), counter, query.asked);
            let eval = Eval::new(reading, asked);
            add(&eval, counter, steps, &mut counts)?;
        }
        Ok(counts)
    })
}

fn add(
    eval: &Eval<'_>,
    counter: &Expr,
    steps: Steps,
    counts: &mut [u64],
) -> Result<(), QueryError> {
    let Outcome::Vector(series) = eval.eval(counter, steps)? else {
        return Ok(());
    };
    for one in &series {
        for (step, count) in counts.iter_mut().enumerate() {
            *count += one.float(step).unwrap_or(0.0) as u64;
        }
    }
    Ok(())
}

/// A counting expression for each selector; what a subquery reads counts as the values that it makes.
fn counters_of(expr: &Expr, counters: &mut Vec<Expr>) {
    match expr {
        Expr::Selector(_) => counters.push(aggregated(AggregateOp::Count, expr.clone())),
        Expr::Range(range) => {
            let mut range = range.clone();
            // Only functions for such windows may see their edges.
            range.selector.edges = Edges::Plain;
            counters.extend(over_time(Expr::Range(range)));
        }
        Expr::Subquery(_) => counters.extend(over_time(expr.clone())),
        // Its second argument names labels, not values.
        Expr::Call(call) if call.function.name == "info" => {
            let values = call.arguments.first();
            values
                .into_iter()
                .for_each(|child| counters_of(child, counters));
        }
        other => stacker::maybe_grow(64 << 10, 2 << 20, || {
            let children = other.children().into_iter();
            children.for_each(|child| counters_of(child, counters));
        }),
    }
}

fn over_time(window: Expr) -> Option<Expr> {
    let span = window.span();
    let call = Call {
        function: Signature::find("count_over_time")?,
        arguments: vec![window],
        span,
    };
    Some(aggregated(AggregateOp::Sum, Expr::Call(Box::new(call))))
}

fn aggregated(op: AggregateOp, expr: Expr) -> Expr {
    let span = expr.span();
    Expr::Aggregate(Box::new(Aggregate {
        op,
        expr,
        parameter: None,
        grouping: Grouping::By,
        labels: Vec::new(),
        span,
    }))
}
