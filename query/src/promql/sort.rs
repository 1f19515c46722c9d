//! The order of an instant vector.

use demarc_proto::Labels;
use demarc_store::Sample;
use promql_parser::parser::Expr;

use super::series::nan_first;

/// By labels, unless the outermost expression sorts by value or by named labels.
pub(super) fn order(vector: &mut [(Labels, Sample)], outermost: &Expr) {
    vector.sort_by(|a, b| a.0.cmp(&b.0));
    let (name, arguments) = match outermost {
        Expr::Call(call) => (call.func.name.to_owned(), call.args.args.as_slice()),
        Expr::Aggregate(aggregate) => (aggregate.op.to_string(), [].as_slice()),
        _ => return,
    };
    match name.as_str() {
        "sort" | "bottomk" => vector.sort_by(|a, b| nan_last(a.1.value, b.1.value)),
        "sort_desc" | "topk" => vector.sort_by(|a, b| nan_last_descending(a.1.value, b.1.value)),
        "sort_by_label" => by_labels(vector, arguments),
        "sort_by_label_desc" => {
            by_labels(vector, arguments);
            vector.reverse();
        }
        _ => {}
    }
}

fn nan_last(a: f64, b: f64) -> std::cmp::Ordering {
    a.is_nan().cmp(&b.is_nan()).then(nan_first(a, b))
}

fn nan_last_descending(a: f64, b: f64) -> std::cmp::Ordering {
    a.is_nan().cmp(&b.is_nan()).then(nan_first(b, a))
}

/// By the named labels, numbers within them by value, then by all labels.
fn by_labels(vector: &mut [(Labels, Sample)], arguments: &[Box<Expr>]) {
    let names: Vec<&str> = arguments
        .iter()
        .skip(1)
        .filter_map(|argument| match argument.as_ref() {
            Expr::StringLiteral(text) => Some(text.val.as_str()),
            _ => None,
        })
        .collect();
    vector.sort_by(|a, b| {
        let compare = |name: &&str| natural(a.0.get(name), b.0.get(name));
        let unequal = names.iter().map(compare).find(|order| order.is_ne());
        unequal.unwrap_or_else(|| a.0.cmp(&b.0))
    });
}

/// Compares texts with runs of digits as numbers.
fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let digits = |text: &[u8]| text.iter().take_while(|c| c.is_ascii_digit()).count();
            let (m, n) = (digits(a), digits(b));
            let number = |text: &[u8]| {
                let zeros = text.iter().take_while(|c| **c == b'0').count();
                (text.len() - zeros, text[zeros..].to_vec())
            };
            let order = number(&a[..m]).cmp(&number(&b[..n]));
            if order.is_ne() {
                return order;
            }
            (a, b) = (&a[m..], &b[n..]);
        } else if x == y {
            (a, b) = (&a[1..], &b[1..]);
        } else {
            return x.cmp(y);
        }
    }
    a.len().cmp(&b.len())
}
