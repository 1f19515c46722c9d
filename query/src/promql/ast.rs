//! The expressions of PromQL, as written: each knows where in the text it stands.
//!
//! Source: Prometheus 3.14, "Querying: basics, operators, functions", with every experimental feature on.

mod operator;

use demarc_proto::{METRIC_NAME, Matcher};

pub use operator::{AggregateOp, BinaryOp, UnaryOp};

/// A half-open range of bytes in the query's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// From the start of this to the end of `other`.
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end,
        }
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `1`, `Inf`, `5m`
    Number(Number),
    /// `"text"`
    Text(Text),
    /// `(a)`
    Paren(Box<Paren>),
    /// `-a`
    Unary(Box<Unary>),
    /// `a + b`
    Binary(Box<Binary>),
    /// `sum by (job) (a)`
    Aggregate(Box<Aggregate>),
    /// `rate(a[5m])`
    Call(Box<Call>),
    /// `a{job="b"}`
    Selector(Box<Selector>),
    /// `a[5m]`
    Range(Box<RangeSelector>),
    /// `a[5m:1m]`
    Subquery(Box<Subquery>),
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// The value; of a duration, its seconds.
    pub value: f64,
    /// Whether it is written as a duration.
    pub is_duration: bool,
    /// Where it stands.
    pub span: Span,
}

/// A text.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// The text, without quotes and escapes; escapes can make it anything.
    pub bytes: Vec<u8>,
    /// Where it stands.
    pub span: Span,
}

impl Text {
    /// The text; what is no UTF-8 in it is replaced.
    pub fn value(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// An expression in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    /// What is within.
    pub expr: Expr,
    /// Where it stands.
    pub span: Span,
}

/// A sign and its operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// The sign.
    pub op: UnaryOp,
    /// The operand.
    pub expr: Expr,
    /// Where it stands.
    pub span: Span,
}

/// An operator between two operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// The left operand.
    pub left: Expr,
    /// The right operand.
    pub right: Expr,
    /// Whether a comparison gives 0 and 1 instead of filtering.
    pub returns_bool: bool,
    /// How the elements of two vectors find each other; meaningless where an operand is a scalar.
    pub matching: Matching,
}

/// How the elements of two vectors find each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    /// How many may match.
    pub cardinality: Cardinality,
    /// `on` or `ignoring`, where it is written.
    pub by: MatchBy,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// The labels that `group_left` or `group_right` takes from the "one" side.
    pub include: Vec<String>,
    /// The value of a missing element on the left: `fill`, `fill_left`.
    pub fill_left: Option<f64>,
    /// The value of a missing element on the right: `fill`, `fill_right`.
    pub fill_right: Option<f64>,
}

/// Which labels decide whether two elements match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchBy {
    /// All labels but the named ones.
    #[default]
    Ignoring,
    /// The named labels.
    On,
}

/// How many elements of either side may match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cardinality {
    /// One of each.
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// The set operators.
    ManyToMany,
}

/// An aggregation over a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// `k` of `topk`, φ of `quantile`, the label of `count_values`.
    pub parameter: Option<Expr>,
    /// Which labels the groups keep.
    pub grouping: Grouping,
    /// The labels of `by` or `without`.
    pub labels: Vec<String>,
    /// Where it stands.
    pub span: Span,
}

/// What the labels of an aggregation say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// They are kept.
    #[default]
    By,
    /// All others are kept.
    Without,
}

/// A function with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function; it exists and takes arguments of these types.
    pub function: &'static super::signature::Signature,
    /// The arguments.
    pub arguments: Vec<Expr>,
    /// Where it stands.
    pub span: Span,
}

/// A selector of series at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The metric's name where it is written as a name, before or within the braces.
    pub name: Option<String>,
    /// All conditions, also that of the name.
    pub matchers: Vec<Matcher>,
    /// When it is evaluated.
    pub timing: Timing,
    /// How values at the edges are found.
    pub edges: Edges,
    /// Where it stands.
    pub span: Span,
}

impl Selector {
    /// The name of the only metric that it can select.
    pub fn metric(&self) -> Option<&str> {
        let names = |matcher: &&Matcher| {
            matcher.name == METRIC_NAME && matcher.op == demarc_proto::MatchOp::Equal
        };
        let found = self.matchers.iter().find(names);
        found.map(|matcher| matcher.value.as_str())
    }
}

/// How values at the edges of a window are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edges {
    /// Only samples within the window count.
    #[default]
    Plain,
    /// The last sample before the window stands at its start.
    Anchored,
    /// Values at both edges are interpolated.
    Smoothed,
}

/// `offset` and `@`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timing {
    /// How far back; negative is forward.
    pub offset: Option<Length>,
    /// A fixed time instead of that of the evaluation.
    pub at: Option<At>,
}

/// What `@` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the Unix epoch.
    Time(i64),
    /// `start()`
    Start,
    /// `end()`
    End,
}

/// A length of time.
#[derive(Clone, Debug, PartialEq)]
pub enum Length {
    /// Milliseconds.
    Fixed(i64),
    /// Known when the query runs.
    Expr(LengthExpr),
}

/// A length of time that is calculated, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum LengthExpr {
    /// `5m`, `300`
    Number(Number),
    /// `step()`
    Step(Span),
    /// `range()`
    Range(Span),
    /// `-5m`
    Unary(UnaryOp, Box<LengthExpr>, Span),
    /// `5m + 1m`
    Binary(BinaryOp, Box<LengthExpr>, Box<LengthExpr>),
    /// `(5m)`
    Paren(Box<LengthExpr>, Span),
    /// `min_of(5m, step())`
    Least(Box<LengthExpr>, Box<LengthExpr>, Span),
    /// `max_of(5m, step())`
    Greatest(Box<LengthExpr>, Box<LengthExpr>, Span),
}

impl LengthExpr {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Number(number) => number.span,
            Self::Step(span)
            | Self::Range(span)
            | Self::Unary(_, _, span)
            | Self::Paren(_, span)
            | Self::Least(_, _, span)
            | Self::Greatest(_, _, span) => *span,
            Self::Binary(_, left, right) => left.span().to(right.span()),
        }
    }
}

/// A selector of series over a range.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSelector {
    /// Which series, and when the range ends.
    pub selector: Selector,
    /// How long the range is.
    pub range: Length,
    /// Where it stands.
    pub span: Span,
}

/// An expression evaluated over a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Expr,
    /// How long the range is.
    pub range: Length,
    /// The distance between two evaluations; the engine's default where it is not written.
    pub step: Option<Length>,
    /// When the range ends.
    pub timing: Timing,
    /// Where it stands.
    pub span: Span,
}

/// The types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One number per time.
    Scalar,
    /// One value per series and time.
    Vector,
    /// Several values per series and time.
    Matrix,
    /// A text.
    Text,
}

impl ValueType {
    /// As error messages say it.
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::Text => "string",
        }
    }

    /// As the HTTP API says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::Text => "string",
        }
    }
}

impl Expr {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Number(number) => number.span,
            Self::Text(text) => text.span,
            Self::Paren(paren) => paren.span,
            Self::Unary(unary) => unary.span,
            Self::Binary(binary) => binary.left.span().to(binary.right.span()),
            Self::Aggregate(aggregate) => aggregate.span,
            Self::Call(call) => call.span,
            Self::Selector(selector) => selector.span,
            Self::Range(range) => range.span,
            Self::Subquery(subquery) => subquery.span,
        }
    }

    /// What it evaluates to.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::Text(_) => ValueType::Text,
            Self::Paren(paren) => paren.expr.value_type(),
            Self::Unary(unary) => unary.expr.value_type(),
            Self::Binary(binary) => {
                let is_scalar = |expr: &Self| expr.value_type() == ValueType::Scalar;
                if is_scalar(&binary.left) && is_scalar(&binary.right) {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
            Self::Aggregate(_) | Self::Selector(_) => ValueType::Vector,
            Self::Call(call) => call.function.returns,
            Self::Range(_) | Self::Subquery(_) => ValueType::Matrix,
        }
    }

    /// The expression within all parentheses around it.
    pub fn without_parens(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(inner) = expr {
            expr = &inner.expr;
        }
        expr
    }

    /// The expressions directly within it, in the order of the text.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Number(_) | Self::Text(_) | Self::Selector(_) | Self::Range(_) => Vec::new(),
            Self::Paren(paren) => vec![&paren.expr],
            Self::Unary(unary) => vec![&unary.expr],
            Self::Binary(binary) => vec![&binary.left, &binary.right],
            Self::Aggregate(aggregate) => aggregate
                .parameter
                .iter()
                .chain([&aggregate.expr])
                .collect(),
            Self::Call(call) => call.arguments.iter().collect(),
            Self::Subquery(subquery) => vec![&subquery.expr],
        }
    }

    /// The selectors within it, in the order of the text.
    pub fn selectors(&self) -> Vec<&Selector> {
        match self {
            Self::Selector(selector) => vec![selector],
            Self::Range(range) => vec![&range.selector],
            other => {
                let children = other.children().into_iter();
                children.flat_map(Self::selectors).collect()
            }
        }
    }
}
