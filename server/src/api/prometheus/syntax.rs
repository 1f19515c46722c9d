//! Queries as text and as trees.
//!
//! Source: Prometheus, `web/api/v1/translate_ast.go` (the form of the tree).

use axum::Json;
use demarc_proto::{MatchOp, Matcher};
use demarc_query::promql::{
    self, Signature, Variadic,
    ast::{
        At, Binary, Call, Cardinality, Edges, Expr, Grouping, Length, MatchBy, Selector, Timing,
        ValueType,
    },
};
use serde_json::{Value as Body, json};

use super::success;
use crate::{
    api::{number::number, params::Params},
    status::ApiError,
};

type Reply = Result<Json<Body>, ApiError>;

/// Longest text that is looked at, in bytes.
const MAX_BYTES: usize = 128 << 10;

/// The query, printed readably.
pub(crate) async fn format(params: Params) -> Reply {
    success(json!(promql::pretty(&parsed(&params)?)))
}

/// The query as a tree.
pub(crate) async fn parse(params: Params) -> Reply {
    success(tree(&parsed(&params)?))
}

fn parsed(params: &Params) -> Result<Expr, ApiError> {
    let query = params.require("query")?;
    if query.len() > MAX_BYTES {
        let fault = format!("of {} bytes: must be at most {MAX_BYTES}", query.len());
        return Err(ApiError::parameter("query", fault));
    }
    promql::parse(query).map_err(|fault| ApiError::parameter("query", fault))
}

fn tree(expr: &Expr) -> Body {
    match expr {
        Expr::Number(one) => json!({"type": "numberLiteral", "val": number(one.value)}),
        Expr::Text(text) => json!({"type": "stringLiteral", "val": text.value()}),
        Expr::Paren(paren) => json!({"type": "parenExpr", "expr": tree(&paren.expr)}),
        Expr::Unary(unary) => {
            json!({"type": "unaryExpr", "op": unary.op.text(), "expr": tree(&unary.expr)})
        }
        Expr::Binary(binary) => self::binary(binary),
        Expr::Aggregate(one) => json!({
            "type": "aggregation", "op": one.op.text(), "expr": tree(&one.expr),
            "param": one.parameter.as_ref().map(tree), "grouping": one.labels,
            "without": one.grouping == Grouping::Without,
        }),
        Expr::Call(call) => self::call(call),
        Expr::Selector(selector) => self::selector(selector),
        Expr::Range(range) => {
            let mut body = selector(&range.selector);
            body["type"] = json!("matrixSelector");
            body["range"] = json!(millis(Some(&range.range)));
            body
        }
        Expr::Subquery(one) => {
            let mut body = json!({
                "type": "subquery", "expr": tree(&one.expr),
                "range": millis(Some(&one.range)), "step": millis(one.step.as_ref()),
            });
            timing(&mut body, &one.timing);
            body
        }
    }
}

fn binary(binary: &Binary) -> Body {
    let is_scalar = |expr: &Expr| expr.value_type() == ValueType::Scalar;
    let matching = &binary.matching;
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    let between_vectors = !is_scalar(&binary.left) && !is_scalar(&binary.right);
    let matching = between_vectors.then(|| {
        json!({
            "card": card, "labels": matching.labels, "on": matching.by == MatchBy::On,
            "include": matching.include,
            "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
        })
    });
    json!({
        "type": "binaryExpr", "op": binary.op.text(), "lhs": tree(&binary.left),
        "rhs": tree(&binary.right), "matching": matching, "bool": binary.returns_bool,
    })
}

fn call(call: &Call) -> Body {
    let Signature {
        name,
        arguments,
        variadic,
        returns,
    } = *call.function;
    let types: Vec<&str> = arguments.iter().map(|one| one.name()).collect();
    let variadic = match variadic {
        Variadic::No => 0,
        Variadic::Optional(count) => i64::try_from(count).unwrap_or(i64::MAX),
        Variadic::Any => -1,
    };
    json!({
        "type": "call",
        "func": {"name": name, "argTypes": types, "variadic": variadic, "returnType": returns.name()},
        "args": call.arguments.iter().map(tree).collect::<Vec<_>>(),
    })
}

fn selector(selector: &Selector) -> Body {
    let mut body = json!({
        "type": "vectorSelector",
        "name": selector.name.as_deref().unwrap_or_default(),
        "matchers": selector.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "anchored": selector.edges == Edges::Anchored,
        "smoothed": selector.edges == Edges::Smoothed,
    });
    timing(&mut body, &selector.timing);
    body
}

fn matcher(matcher: &Matcher) -> Body {
    let op = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    json!({"name": matcher.name, "type": op, "value": matcher.value})
}

fn timing(body: &mut Body, timing: &Timing) {
    body["offset"] = json!(millis(timing.offset.as_ref()));
    let (at, edge) = match timing.at {
        None => (None, None),
        Some(At::Time(at)) => (Some(at), None),
        Some(At::Start) => (None, Some("start")),
        Some(At::End) => (None, Some("end")),
    };
    body["timestamp"] = json!(at);
    body["startOrEnd"] = json!(edge);
}

/// 0 for none, and for a length that is only known when the query runs.
fn millis(length: Option<&Length>) -> i64 {
    match length {
        Some(Length::Fixed(millis)) => *millis,
        Some(Length::Expr(_)) | None => 0,
    }
}
