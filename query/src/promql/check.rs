//! Types, and what else can be told to be wrong before a query runs.

use demarc_proto::{MatchOp, Matcher};

use super::{
    ast::{
        Aggregate, AggregateOp, Binary, Call, Cardinality, Edges, Expr, Selector, Span, Unary,
        ValueType,
    },
    error::ParseError,
    signature::{Signature, Variadic},
};

/// Functions that may be asked with `anchored`.
const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
/// Functions that may be asked with `smoothed`.
const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];

/// The first fault within `expr`.
pub(super) fn check(query: &str, expr: &Expr) -> Result<(), ParseError> {
    stacker::maybe_grow(64 << 10, 2 << 20, || Check { query }.expr(expr))
}

/// Why a function cannot be asked with the modifier of the selector in its argument.
pub(super) fn edges_fault(function: &str, edges: Edges) -> Option<String> {
    let (name, allowed): (_, &[&str]) = match edges {
        Edges::Plain => return None,
        Edges::Anchored => ("anchored", &ANCHORED),
        Edges::Smoothed => ("smoothed", &SMOOTHED),
    };
    if allowed.contains(&function) {
        return None;
    }
    Some(format!(
        "{name} modifier can only be used with: {} - not with {function}",
        allowed.join(", ")
    ))
}

struct Check<'a> {
    query: &'a str,
}

impl Check<'_> {
    fn fail<T>(&self, span: Span, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.query, span, message))
    }

    fn expr(&self, expr: &Expr) -> Result<(), ParseError> {
        for (at, child) in expr.children().into_iter().enumerate() {
            // The matchers of `info` need not select anything by themselves.
            let is_info_matchers = at == 1 && is_info(expr);
            if !is_info_matchers {
                check(self.query, child)?;
            }
        }
        match expr {
            Expr::Number(_) | Expr::Text(_) | Expr::Paren(_) => Ok(()),
            Expr::Unary(unary) => self.unary(unary),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Call(call) => self.call(call),
            Expr::Selector(selector) => self.selector(selector),
            Expr::Range(range) => self.selector(&range.selector),
            Expr::Subquery(subquery) => match subquery.expr.value_type() {
                ValueType::Vector | ValueType::Scalar => Ok(()),
                other => self.fail(
                    expr.span(),
                    format!(
                        "subquery is only allowed on instant vector, got {} instead",
                        other.name()
                    ),
                ),
            },
        }
    }

    fn expect(&self, expr: &Expr, wanted: ValueType, context: &str) -> Result<(), ParseError> {
        let found = expr.value_type();
        if found == wanted {
            return Ok(());
        }
        let message = format!(
            "expected type {} in {context}, got {}",
            wanted.documented(),
            found.documented()
        );
        self.fail(expr.span(), message)
    }

    fn unary(&self, unary: &Unary) -> Result<(), ParseError> {
        match unary.expr.value_type() {
            ValueType::Scalar | ValueType::Vector => Ok(()),
            other => {
                let message = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                    other.documented()
                );
                self.fail(unary.span, message)
            }
        }
    }

    fn binary(&self, binary: &Binary) -> Result<(), ParseError> {
        let span = binary.left.span().to(binary.right.span());
        let types = [binary.left.value_type(), binary.right.value_type()];
        for (side, found) in [&binary.left, &binary.right].into_iter().zip(types) {
            if !matches!(found, ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return self.fail(side.span(), message);
            }
        }
        let op = binary.op;
        if types == [ValueType::Scalar; 2] && op.is_comparison() && !binary.returns_bool {
            return self.fail(span, "comparisons between scalars must use BOOL modifier");
        }
        if types == [ValueType::Scalar; 2] && op.is_trim() {
            let message = format!(
                "operator {:?} not allowed in scalar binary expression",
                op.text()
            );
            return self.fail(span, message);
        }
        let is_between_vectors = types == [ValueType::Vector; 2];
        if op.is_set() && !is_between_vectors {
            let message = format!(
                "set operator {:?} not allowed in binary scalar expression",
                op.text()
            );
            return self.fail(span, message);
        }
        let matching = &binary.matching;
        let has_grouping = !matching.labels.is_empty()
            || matches!(
                matching.cardinality,
                Cardinality::ManyToOne | Cardinality::OneToMany
            );
        if has_grouping && !is_between_vectors {
            return self.fail(span, "vector matching only allowed between instant vectors");
        }
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if fills && !is_between_vectors {
            let message = "filling in missing series only allowed between instant vectors";
            return self.fail(span, message);
        }
        Ok(())
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<(), ParseError> {
        self.expect(&aggregate.expr, ValueType::Vector, "aggregation expression")?;
        let Some(parameter) = &aggregate.parameter else {
            return Ok(());
        };
        let wanted = if aggregate.op == AggregateOp::CountValues {
            ValueType::Text
        } else {
            ValueType::Scalar
        };
        self.expect(parameter, wanted, "aggregation parameter")
    }

    fn call(&self, call: &Call) -> Result<(), ParseError> {
        let function = call.function;
        self.count(call, function)?;
        if function.name == "info" && call.arguments.len() > 1 {
            return self.info_selector(&call.arguments[1]);
        }
        let context = format!("call to function {:?}", function.name);
        for (at, argument) in call.arguments.iter().enumerate() {
            self.expect(argument, function.argument(at), &context)?;
        }
        Ok(())
    }

    fn count(&self, call: &Call, function: &Signature) -> Result<(), ParseError> {
        let (got, named) = (call.arguments.len(), function.arguments.len());
        let fail = |bound: &str, wanted: usize| {
            let message = format!(
                "expected {bound}{wanted} argument(s) in call to {:?}, got {got}",
                function.name
            );
            self.fail(call.span, message)
        };
        match function.variadic {
            Variadic::No if got != named => fail("", named),
            Variadic::Optional(count) if got + count < named => fail("at least ", named - count),
            Variadic::Optional(_) if got > named => fail("at most ", named),
            Variadic::Any if got + 1 < named => fail("at least ", named - 1),
            _ => Ok(()),
        }
    }

    /// The second argument of `info` is a list of matchers without a metric's name.
    fn info_selector(&self, argument: &Expr) -> Result<(), ParseError> {
        let Expr::Selector(selector) = argument else {
            return self.fail(argument.span(), "expected label selectors only");
        };
        if selector.name.is_some() {
            let message = "expected label selectors only, got vector selector instead";
            return self.fail(selector.span, message);
        }
        Ok(())
    }

    fn selector(&self, selector: &Selector) -> Result<(), ParseError> {
        let names = |matcher: &&Matcher| {
            matcher.name == demarc_proto::METRIC_NAME && matcher.op == MatchOp::Equal
        };
        if selector.name.is_some() && selector.matchers.iter().filter(names).count() > 1 {
            let other = selector.matchers.iter().find(names).expect("counted above");
            let message = format!(
                "metric name must not be set twice: {:?} or {:?}",
                selector.name.as_deref().unwrap_or_default(),
                other.value
            );
            return self.fail(selector.span, message);
        }
        if selector.matchers.iter().all(matches_empty) {
            let message = "vector selector must contain at least one non-empty matcher";
            return self.fail(selector.span, message);
        }
        Ok(())
    }
}

fn is_info(expr: &Expr) -> bool {
    matches!(expr, Expr::Call(call) if call.function.name == "info")
}

fn matches_empty(matcher: &Matcher) -> bool {
    let anchored = || regex::Regex::new(&format!("^(?s:{})$", matcher.value));
    match matcher.op {
        MatchOp::Equal => matcher.value.is_empty(),
        MatchOp::NotEqual => !matcher.value.is_empty(),
        MatchOp::Regex => anchored().is_ok_and(|regex| regex.is_match("")),
        MatchOp::NotRegex => anchored().is_ok_and(|regex| !regex.is_match("")),
    }
}
