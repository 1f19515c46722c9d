//! The functions: their arguments and their results.
//!
//! Source: Prometheus 3.14, `promql/parser/functions.go` as the documentation lists it, experimental functions included.

use super::ast::ValueType::{self, Matrix, Scalar, Text, Vector};

/// A function's name and types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// The types of its arguments; the last one counts for all that follow.
    pub arguments: &'static [ValueType],
    /// How many of them may be left out or added.
    pub variadic: Variadic,
    /// The type of its result.
    pub returns: ValueType,
}

/// Whether the number of arguments is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variadic {
    /// It is.
    No,
    /// So many of the last ones may be left out.
    Optional(usize),
    /// The last one may be given any number of times, also not at all.
    Any,
}

impl Signature {
    /// The function called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        let at = FUNCTIONS.binary_search_by(|one| one.name.cmp(name)).ok()?;
        Some(&FUNCTIONS[at])
    }

    /// All functions, by name.
    pub fn all() -> &'static [Self] {
        FUNCTIONS
    }

    /// The type of the argument at `at`.
    pub(crate) fn argument(&self, at: usize) -> ValueType {
        self.arguments[at.min(self.arguments.len() - 1)]
    }
}

const fn fixed(
    name: &'static str,
    arguments: &'static [ValueType],
    returns: ValueType,
) -> Signature {
    Signature {
        name,
        arguments,
        variadic: Variadic::No,
        returns,
    }
}

const fn optional(
    name: &'static str,
    arguments: &'static [ValueType],
    returns: ValueType,
) -> Signature {
    Signature {
        name,
        arguments,
        variadic: Variadic::Optional(1),
        returns,
    }
}

const fn any(name: &'static str, arguments: &'static [ValueType], returns: ValueType) -> Signature {
    Signature {
        name,
        arguments,
        variadic: Variadic::Any,
        returns,
    }
}

/// Sorted by name.
const FUNCTIONS: &[Signature] = &[
    fixed("abs", &[Vector], Vector),
    fixed("absent", &[Vector], Vector),
    fixed("absent_over_time", &[Matrix], Vector),
    fixed("acos", &[Vector], Vector),
    fixed("acosh", &[Vector], Vector),
    fixed("asin", &[Vector], Vector),
    fixed("asinh", &[Vector], Vector),
    fixed("atan", &[Vector], Vector),
    fixed("atanh", &[Vector], Vector),
    fixed("avg_over_time", &[Matrix], Vector),
    fixed("ceil", &[Vector], Vector),
    fixed("changes", &[Matrix], Vector),
    fixed("clamp", &[Vector, Scalar, Scalar], Vector),
    fixed("clamp_max", &[Vector, Scalar], Vector),
    fixed("clamp_min", &[Vector, Scalar], Vector),
    fixed("cos", &[Vector], Vector),
    fixed("cosh", &[Vector], Vector),
    fixed("count_over_time", &[Matrix], Vector),
    optional("day_of_month", &[Vector], Vector),
    optional("day_of_week", &[Vector], Vector),
    optional("day_of_year", &[Vector], Vector),
    optional("days_in_month", &[Vector], Vector),
    fixed("deg", &[Vector], Vector),
    fixed("delta", &[Matrix], Vector),
    fixed("deriv", &[Matrix], Vector),
    fixed(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        Vector,
    ),
    fixed("end", &[], Scalar),
    fixed("exp", &[Vector], Vector),
    fixed("first_over_time", &[Matrix], Vector),
    fixed("floor", &[Vector], Vector),
    fixed("histogram_avg", &[Vector], Vector),
    fixed("histogram_count", &[Vector], Vector),
    fixed("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    fixed("histogram_quantile", &[Scalar, Vector], Vector),
    any(
        "histogram_quantiles",
        &[Vector, Text, Scalar, Scalar],
        Vector,
    ),
    fixed("histogram_stddev", &[Vector], Vector),
    fixed("histogram_stdvar", &[Vector], Vector),
    fixed("histogram_sum", &[Vector], Vector),
    optional("hour", &[Vector], Vector),
    fixed("idelta", &[Matrix], Vector),
    fixed("increase", &[Matrix], Vector),
    optional("info", &[Vector, Vector], Vector),
    fixed("irate", &[Matrix], Vector),
    any("label_join", &[Vector, Text, Text, Text], Vector),
    fixed("label_replace", &[Vector, Text, Text, Text, Text], Vector),
    fixed("last_over_time", &[Matrix], Vector),
    fixed("ln", &[Vector], Vector),
    fixed("log10", &[Vector], Vector),
    fixed("log2", &[Vector], Vector),
    fixed("mad_over_time", &[Matrix], Vector),
    fixed("max_of", &[Scalar, Scalar], Scalar),
    fixed("max_over_time", &[Matrix], Vector),
    fixed("min_of", &[Scalar, Scalar], Scalar),
    fixed("min_over_time", &[Matrix], Vector),
    optional("minute", &[Vector], Vector),
    optional("month", &[Vector], Vector),
    fixed("pi", &[], Scalar),
    fixed("predict_linear", &[Matrix, Scalar], Vector),
    fixed("present_over_time", &[Matrix], Vector),
    fixed("quantile_over_time", &[Scalar, Matrix], Vector),
    fixed("rad", &[Vector], Vector),
    fixed("range", &[], Scalar),
    fixed("rate", &[Matrix], Vector),
    fixed("resets", &[Matrix], Vector),
    optional("round", &[Vector, Scalar], Vector),
    fixed("scalar", &[Vector], Scalar),
    fixed("sgn", &[Vector], Vector),
    fixed("sin", &[Vector], Vector),
    fixed("sinh", &[Vector], Vector),
    fixed("sort", &[Vector], Vector),
    any("sort_by_label", &[Vector, Text], Vector),
    any("sort_by_label_desc", &[Vector, Text], Vector),
    fixed("sort_desc", &[Vector], Vector),
    fixed("sqrt", &[Vector], Vector),
    fixed("start", &[], Scalar),
    fixed("start_timestamp", &[Vector], Vector),
    fixed("stddev_over_time", &[Matrix], Vector),
    fixed("stdvar_over_time", &[Matrix], Vector),
    fixed("step", &[], Scalar),
    fixed("sum_over_time", &[Matrix], Vector),
    fixed("tan", &[Vector], Vector),
    fixed("tanh", &[Vector], Vector),
    fixed("time", &[], Scalar),
    fixed("timestamp", &[Vector], Vector),
    fixed("ts_of_first_over_time", &[Matrix], Vector),
    fixed("ts_of_last_over_time", &[Matrix], Vector),
    fixed("ts_of_max_over_time", &[Matrix], Vector),
    fixed("ts_of_min_over_time", &[Matrix], Vector),
    fixed("vector", &[Scalar], Vector),
    optional("year", &[Vector], Vector),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(Signature::find("rate").unwrap().returns, Vector);
        assert!(Signature::find("holt_winters").is_none());
    }
}
