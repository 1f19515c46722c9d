//! How many samples a query reads at each of its times: what Prometheus calls queryable samples.
//!
//! Each selector is read once more for it, so that the leaves keep no count that hardly anybody asks for. A native histogram
//! counts for as many plain samples as Prometheus needs the memory of for it.
//!
//! Source: Prometheus, `util/stats` `QuerySamples`; `promql/engine.go`, where its counts are raised; `FloatHistogram.Size()` and
//! `HPoint.size()`.

use super::{
    answer::Prepared,
    ast::{Edges, Expr},
    eval::Eval,
    native::{Buckets, Histogram},
    selector::{Bounds, Newest},
    value::Steps,
};
use crate::{QueryError, reading::Reading};

/// Bytes of a plain sample in Prometheus.
const SAMPLE_BYTES: usize = 16;
/// Bytes of a native histogram without buckets in Prometheus, and of its time.
const HISTOGRAM_BYTES: usize = 168 + 8;
/// Bytes of a bucket, of a span of neighbouring buckets, of a bound.
const PART_BYTES: usize = 8;

/// Samples that the selectors of a query read at each of its times; must be called where [`super::evaluate`] may be.
pub(crate) fn count_samples(reading: &Reading, query: &Prepared) -> Result<Vec<u64>, QueryError> {
    let steps = query.asked.steps;
    let mut leaves = Vec::new();
    leaves_of(&query.expr, &mut leaves);
    tokio::task::block_in_place(|| {
        let eval = Eval::new(reading, (&query.text, &query.expr, query.asked));
        let mut counts = vec![0; steps.count];
        for leaf in &leaves {
            for one in count(&eval, leaf, steps)? {
                for (total, count) in counts.iter_mut().zip(one) {
                    *total += count;
                }
            }
        }
        Ok(counts)
    })
}

/// What is read of each series.
fn count(eval: &Eval<'_>, leaf: &Expr, steps: Steps) -> Result<Vec<Vec<u64>>, QueryError> {
    if let Expr::Selector(selector) = leaf {
        return eval.each_newest(selector, steps, |raw, newest| {
            let count = |newest: &Option<Newest>| match newest {
                Some(Newest::Float(_)) => 1,
                Some(Newest::Histogram(at)) => weight(&raw.histograms[*at].value),
                None => 0,
            };
            newest.iter().map(count).collect()
        });
    }
    eval.each_range(leaf, steps, |raw, cut| {
        let mut bounds = Bounds::default();
        let count = |time| {
            let window = cut.window(raw, time, &mut bounds);
            let histograms = window.histograms.iter().map(|one| weight(&one.value));
            window.floats.len() as u64 + histograms.sum::<u64>()
        };
        Ok(Some(steps.times().map(count).collect()))
    })
}

/// How many plain samples take as much memory. Buckets are held without gaps here, which Prometheus may leave out.
fn weight(histogram: &Histogram) -> u64 {
    let parts = |buckets: &Buckets| buckets.counts.len() + usize::from(!buckets.counts.is_empty());
    let parts =
        parts(&histogram.positive) + parts(&histogram.negative) + histogram.custom_bounds.len();
    ((HISTOGRAM_BYTES + parts * PART_BYTES) / SAMPLE_BYTES) as u64
}

/// The selectors and subqueries; what a subquery reads counts as the values that it makes.
fn leaves_of(expr: &Expr, leaves: &mut Vec<Expr>) {
    match expr {
        Expr::Selector(_) | Expr::Subquery(_) => leaves.push(expr.clone()),
        Expr::Range(range) => {
            let mut range = range.clone();
            // What is beyond the edges of a window is not in it.
            range.selector.edges = Edges::Plain;
            leaves.push(Expr::Range(range));
        }
        // Its second argument names labels, not values.
        Expr::Call(call) if call.function.name == "info" => {
            let values = call.arguments.first();
            values
                .into_iter()
                .for_each(|child| leaves_of(child, leaves));
        }
        other => stacker::maybe_grow(64 << 10, 2 << 20, || {
            let children = other.children().into_iter();
            children.for_each(|child| leaves_of(child, leaves));
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_weighs_as_much_as_its_buckets() {
        let buckets = |count| Buckets {
            offset: 0,
            counts: vec![1.0; count],
        };
        assert_eq!(weight(&Histogram::default()), 11);
        let histogram = Histogram {
            positive: buckets(8),
            negative: buckets(3),
            ..Histogram::default()
        };
        assert_eq!(weight(&histogram), 17);
    }
}
