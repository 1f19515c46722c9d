//! Texts with variables: `{label}`, `{label|filter}`, and `[...]`, which is left out when a variable within it is missing.

use std::borrow::Cow;

/// A text with variables.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Variable(String, Vec<Filter>),
    Optional(Template),
}

/// What is done to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    /// The host of `host:port` or of a URL.
    Host,
    /// In lower case.
    Lower,
    /// The last step of a path.
    Leaf,
    /// The first label of a DNS name.
    Short,
}

/// Where the values of variables come from.
pub(crate) trait Variables {
    /// The value; `None` or empty when there is none.
    fn value(&self, name: &str) -> Option<Cow<'_, str>>;
}

impl Template {
    /// Reads a template; the error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (template, rest) = parts(text, Depth::Outer)?;
        match rest {
            "" => Ok(template),
            _ => Err(format!("{text:?}: ] without [")),
        }
    }

    /// The text; `None` when a variable outside of `[...]` is missing, or when it would be empty.
    pub(crate) fn render(&self, variables: &dyn Variables) -> Option<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Optional(inner) => {
                    text.push_str(&inner.render(variables).unwrap_or_default());
                }
                Part::Variable(name, filters) => {
                    let value = variables.value(name).filter(|value| !value.is_empty())?;
                    let mut value = value.into_owned();
                    for filter in filters {
                        value = filter.apply(&value);
                    }
                    text.push_str(&value);
                }
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Outer,
    Optional,
}

fn parts(mut text: &str, depth: Depth) -> Result<(Template, &str), String> {
    let mut parts = Vec::new();
    while let Some(at) = text.find(['{', '[', ']']) {
        if at > 0 {
            parts.push(Part::Text(text[..at].to_owned()));
        }
        let rest = &text[at + 1..];
        match text.as_bytes()[at] {
            b'{' => {
                let (inside, after) = rest
                    .split_once('}')
                    .ok_or_else(|| format!("{text:?}: a variable must end with }}"))?;
                parts.push(variable(inside)?);
                text = after;
            }
            b'[' if depth == Depth::Optional => return Err(format!("{text:?}: [ within []")),
            b'[' => {
                let (inner, after) = parts_of_optional(rest)?;
                parts.push(Part::Optional(inner));
                text = after;
            }
            _ if depth == Depth::Optional => return Ok((Template(parts), rest)),
            _ => return Err(format!("{text:?}: ] without [")),
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    match depth {
        Depth::Outer => Ok((Template(parts), "")),
        Depth::Optional => Err("[: must end with ]".to_owned()),
    }
}

fn parts_of_optional(text: &str) -> Result<(Template, &str), String> {
    parts(text, Depth::Optional)
}

fn variable(text: &str) -> Result<Part, String> {
    let mut words = text.split('|').map(str::trim);
    let name = words.next().unwrap_or_default();
    if name.is_empty() {
        return Err(format!("{{{text}}}: must name a label or an attribute"));
    }
    let filters = words.map(Filter::parse).collect::<Result<_, _>>()?;
    Ok(Part::Variable(name.to_owned(), filters))
}

impl Filter {
    fn parse(word: &str) -> Result<Self, String> {
        match word {
            "host" => Ok(Self::Host),
            "lower" => Ok(Self::Lower),
            "leaf" => Ok(Self::Leaf),
            "short" => Ok(Self::Short),
            other => Err(format!(
                "filter {other:?}: must be one of host, lower, leaf, short"
            )),
        }
    }

    fn apply(self, value: &str) -> String {
        match self {
            Self::Host => {
                let after = value.split_once("://").map_or(value, |(_, rest)| rest);
                let authority = after.split('/').next().unwrap_or(after);
                crate::calls::host_of(authority).to_owned()
            }
            Self::Lower => value.to_lowercase(),
            Self::Leaf => value.rsplit('/').next().unwrap_or(value).to_owned(),
            Self::Short => value.split('.').next().unwrap_or(value).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pairs(&'static [(&'static str, &'static str)]);

    impl Variables for Pairs {
        fn value(&self, name: &str) -> Option<Cow<'_, str>> {
            let found = self.0.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| Cow::Borrowed(*value))
        }
    }

    #[test]
    fn variables_filters_and_optional_parts() {
        let pairs = Pairs(&[
            ("pod", "api-1"),
            ("ns", "prod"),
            ("instance", "https://a.b.c:8443/x"),
            ("empty", ""),
        ]);
        for (text, expected) in [
            ("[{cluster}/]{ns}/{pod}", Some("prod/api-1")),
            ("[{ns}/]{pod}", Some("prod/api-1")),
            ("{instance|host}", Some("a.b.c")),
            ("{instance|host|short}", Some("a")),
            ("{missing}/{pod}", None),
            ("{empty}", None),
            ("fixed", Some("fixed")),
        ] {
            let got = Template::parse(text).unwrap().render(&pairs);
            assert_eq!(got.as_deref(), expected, "{text}");
        }
        for bad in ["{", "[{a}", "a]", "{a|upper}", "{}", "[[a]]"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
