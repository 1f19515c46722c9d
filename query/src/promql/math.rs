//! Functions of one value.

/// The function called `name`, if it takes one value and nothing else.
pub(super) fn of_value(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "sqrt" => f64::sqrt,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sgn" => |v| {
            if v > 0.0 {
                1.0
            } else if v < 0.0 {
                -1.0
            } else {
                v
            }
        },
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "deg" => f64::to_degrees,
        "rad" => f64::to_radians,
        _ => return None,
    })
}

/// `round`, `clamp`, `clamp_min` and `clamp_max`; `None` when the bounds leave nothing.
pub(super) fn bounded(name: &str, value: f64, parameters: &[f64]) -> Option<f64> {
    match (name, parameters) {
        ("clamp_min", [min, ..]) => Some(larger(value, *min)),
        ("clamp_max", [max, ..]) => Some(smaller(value, *max)),
        ("clamp", [min, max, ..]) if max < min => None,
        ("clamp", [min, max, ..]) => Some(larger(smaller(value, *max), *min)),
        ("round", rest) => {
            let inverse = 1.0 / rest.first().unwrap_or(&1.0);
            Some((value * inverse + 0.5).floor() / inverse)
        }
        _ => Some(value),
    }
}

/// As Go's `math.Max`: NaN if either is.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

pub(super) fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.min(b)
    }
}
