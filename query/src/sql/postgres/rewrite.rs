//! PostgreSQL's ways of writing that DataFusion's planner does not know, as ways that it knows.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, SelectItem,
    SetExpr, Statement, Value, VisitMut, VisitorMut, visit_relations,
};

use super::{PG_CATALOG, catalog};

/// Tables of the catalog in which there is nothing, and about which psql asks in ways that cannot be planned.
const UNASKED: [&str; 3] = ["pg_policy", "pg_statistic_ext", "pg_publication"];

/// Rewrites a statement in place.
pub(in crate::sql) fn rewrite(statement: &mut Statement) {
    if let Statement::Query(query) = statement
        && reads_any(query, &UNASKED)
    {
        *query = nothing(query);
    }
    let _ = statement.visit(&mut Rewrite);
}

/// Whether a query reads one of these tables of the catalog.
fn reads_any(query: &Query, names: &[&str]) -> bool {
    let found = visit_relations(query, |name| {
        let last = name.0.last().map(ToString::to_string).unwrap_or_default();
        match names.contains(&last.as_str()) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    found.is_break()
}

/// A query with as many columns, and no rows.
fn nothing(query: &Query) -> Box<Query> {
    let mut first = query.body.as_ref();
    while let SetExpr::SetOperation { left, .. } = first {
        first = left;
    }
    let mut query = query.clone();
    if let SetExpr::Select(select) = first {
        let mut select = select.clone();
        let count = select.projection.len();
        let column = |at| SelectItem::ExprWithAlias {
            expr: Expr::value(Value::Null),
            alias: Ident::new(format!("column{at}")),
        };
        select.projection = (0..count).map(column).collect();
        select.from.clear();
        select.selection = Some(Expr::value(Value::Boolean(false)));
        *query.body = SetExpr::Select(select);
        query.order_by = None;
    }
    Box::new(query)
}

struct Rewrite;

impl VisitorMut for Rewrite {
    type Break = ();

    /// The catalog's tables are found without their schema.
    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        if let [ObjectNamePart::Identifier(only)] = name.0.as_slice()
            && only.value.starts_with("pg_")
        {
            let schema = ObjectNamePart::Identifier(Ident::new(PG_CATALOG));
            name.0.insert(0, schema);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => {
                let is_qualified = function.name.0.len() == 2
                    && function.name.0[0]
                        .to_string()
                        .eq_ignore_ascii_case(PG_CATALOG);
                if is_qualified {
                    function.name.0.remove(0);
                }
                // psql asks for the options of relations, of which there are none, in a way that cannot be planned.
                let name = function.name.to_string();
                if name == "array_to_string" && function.args.to_string().contains("reloptions") {
                    *expr = Expr::value(Value::SingleQuotedString(String::new()));
                }
            }
            Expr::BinaryOp { op, .. } => *op = plain(op),
            Expr::Collate { expr: inner, .. } => {
                let inner = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
                *expr = inner;
            }
            Expr::Identifier(name) if is_user(name) => *expr = call(&name.value, Vec::new()),
            Expr::Cast { .. } => cast(expr),
            // Of nothing there is no value; it may be asked for in ways that cannot be planned.
            Expr::Subquery(query) if reads_any(query, &catalog::EMPTY.map(|(name, _)| name)) => {
                *expr = Expr::value(Value::Null);
            }
            Expr::InSubquery {
                expr: inner,
                subquery,
                negated,
            } if subquery
                .to_string()
                .contains("current_setting('search_path')") =>
            {
                // Grafana asks in which schemas tables are found without their schema.
                let schema = Value::SingleQuotedString(crate::sql::SCHEMA.to_owned());
                *expr = Expr::InList {
                    expr: inner.clone(),
                    list: vec![Expr::value(schema)],
                    negated: *negated,
                };
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `user` and its like are called without parentheses.
fn is_user(name: &Ident) -> bool {
    name.quote_style.is_none()
        && matches!(
            name.value.to_ascii_lowercase().as_str(),
            "user"
                | "current_user"
                | "session_user"
                | "current_role"
                | "current_catalog"
                | "current_schema"
        )
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let arguments = arguments.into_iter();
    let arguments = arguments.map(|one| FunctionArg::Unnamed(FunctionArgExpr::Expr(one)));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name.to_ascii_lowercase())]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `OPERATOR(pg_catalog.~)` is `~`.
fn plain(op: &BinaryOperator) -> BinaryOperator {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else {
        return op.clone();
    };
    match parts.last().map(String::as_str) {
        Some("~") => BinaryOperator::PGRegexMatch,
        Some("!~") => BinaryOperator::PGRegexNotMatch,
        Some("~*") => BinaryOperator::PGRegexIMatch,
        Some("!~*") => BinaryOperator::PGRegexNotIMatch,
        Some("=") => BinaryOperator::Eq,
        Some("<>") => BinaryOperator::NotEq,
        _ => op.clone(),
    }
}

/// Names of objects are numbers within and texts outside.
fn cast(expr: &mut Expr) {
    let Expr::Cast {
        expr: inner,
        data_type,
        kind,
        ..
    } = expr
    else {
        return;
    };
    let name = data_type.to_string().to_ascii_lowercase();
    let name = name
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .trim_matches('"');
    let is_text = matches!(
        inner.as_ref(),
        Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_))
    );
    let to = match name {
        "regclass" if is_text => {
            *expr = call("to_regclass", vec![inner.as_ref().clone()]);
            return;
        }
        "regclass" => {
            *expr = call("pg_relation_name", vec![inner.as_ref().clone()]);
            return;
        }
        "text" | "name" | "char" | "regtype" | "regproc" | "regprocedure" | "regnamespace"
        | "regrole" | "varchar" => DataType::Text,
        "oid" | "int8" | "xid" => DataType::BigInt(None),
        "int4" => DataType::Integer(None),
        "int2" => DataType::SmallInt(None),
        "bool" => DataType::Boolean,
        _ => return,
    };
    *data_type = to;
    *kind = CastKind::Cast;
}
