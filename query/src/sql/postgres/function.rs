//! PostgreSQL's functions of which DataFusion has no counterpart.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, StringArray},
    compute::cast,
    datatypes::DataType,
};
use datafusion::{
    common::{ScalarValue, exec_err},
    error::Result,
    logical_expr::{
        ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};

use super::{Numbered, kind::PgType, setting::SETTINGS};

/// What a function answers to its first argument, row by row; `None` is NULL.
type Texts = Box<dyn Fn(Option<&str>) -> Result<Option<String>> + Send + Sync>;

enum Answer {
    /// Always the same.
    Same(ScalarValue),
    /// A text, by the first argument as text.
    Text(Texts),
    /// The number of a relation, by its name.
    Number(Numbered),
}

struct PgFunction {
    name: &'static str,
    signature: Signature,
    answer: Answer,
}

impl fmt::Debug for PgFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

// Within a session a name stands for one function.
impl PartialEq for PgFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for PgFunction {}

impl Hash for PgFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for PgFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match &self.answer {
            Answer::Same(value) => value.data_type(),
            Answer::Text(_) => DataType::Utf8,
            Answer::Number(_) => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Answer::Same(value) = &self.answer {
            return Ok(ColumnarValue::Scalar(value.clone()));
        }
        let Some(first) = call.args.first() else {
            return exec_err!("{}: an argument is missing", self.name);
        };
        let values = cast(&first.to_array(call.number_rows)?, &DataType::Utf8)?;
        let values = values.as_string::<i32>();
        let answers: ArrayRef = match &self.answer {
            Answer::Text(text) => {
                let texts: Result<StringArray> = values.iter().map(text).collect();
                Arc::new(texts?)
            }
            Answer::Number(numbered) => Arc::new(
                values
                    .iter()
                    .map(|name| number_of(numbered, name?))
                    .collect::<Int64Array>(),
            ),
            Answer::Same(_) => return exec_err!("{}: answered above", self.name),
        };
        Ok(ColumnarValue::Array(answers))
    }
}

/// The number of the relation that `name` names, with or without its schema.
fn number_of(numbered: &Numbered, name: &str) -> Option<i64> {
    let name = name.rsplit('.').next()?.trim_matches('"');
    let found = numbered.iter().find(|(_, one)| one.name == name)?;
    Some(found.0)
}

/// Functions that answer NULL: there is nothing of the kind.
const UNKNOWN_TEXTS: [&str; 11] = [
    "obj_description",
    "col_description",
    "shobj_description",
    "pg_get_expr",
    "pg_get_constraintdef",
    "pg_get_indexdef",
    "pg_get_viewdef",
    "pg_get_partkeydef",
    "pg_get_statisticsobjdef_columns",
    "pg_get_function_result",
    "pg_get_function_arguments",
];
const UNKNOWN_SIZES: [&str; 4] = [
    "pg_total_relation_size",
    "pg_relation_size",
    "pg_table_size",
    "pg_database_size",
];
/// Functions that answer yes: what a tenant sees it may read.
const YES: [&str; 8] = [
    "pg_table_is_visible",
    "pg_type_is_visible",
    "pg_function_is_visible",
    "has_schema_privilege",
    "has_table_privilege",
    "has_database_privilege",
    "has_any_column_privilege",
    "has_column_privilege",
];
const NO: [&str; 2] = ["pg_is_in_recovery", "pg_relation_is_publishable"];
/// The database and its only user bear the tenant's name.
const TENANT: [&str; 7] = [
    "current_database",
    "current_catalog",
    "current_user",
    "session_user",
    "user",
    "current_role",
    "pg_get_userbyid",
];

/// The functions of a session over one tenant's tables and views.
pub(super) fn all(tenant: &str, numbered: &Numbered) -> Vec<ScalarUDF> {
    let text = |value: &str| ScalarValue::Utf8(Some(value.to_owned()));
    let version = format!("PostgreSQL 16.0 (Demarc {})", env!("CARGO_PKG_VERSION"));
    let same: [(&[&'static str], ScalarValue); 9] = [
        (&TENANT, text(tenant)),
        (&["version"], text(&version)),
        (&["current_schema"], text(crate::sql::SCHEMA)),
        (&["pg_encoding_to_char"], text("UTF8")),
        (&["pg_backend_pid"], ScalarValue::Int64(Some(0))),
        (&UNKNOWN_TEXTS, ScalarValue::Utf8(None)),
        (&UNKNOWN_SIZES, ScalarValue::Int64(None)),
        (&YES, ScalarValue::Boolean(Some(true))),
        (&NO, ScalarValue::Boolean(Some(false))),
    ];
    let mut functions = Vec::new();
    for (names, value) in same {
        let answer = || Answer::Same(value.clone());
        functions.extend(names.iter().map(|name| function(name, answer())));
    }
    functions.extend(texts(numbered));
    functions.push(function(
        "to_regclass",
        Answer::Number(Arc::clone(numbered)),
    ));
    functions
}

fn texts(numbered: &Numbered) -> Vec<ScalarUDF> {
    let named = Arc::clone(numbered);
    let relation_name = move |number: Option<&str>| {
        let number = number.and_then(|number| number.parse::<i64>().ok());
        let found = named.iter().find(|(known, _)| Some(*known) == number);
        Ok(found.map(|(_, one)| one.name.clone()))
    };
    vec![
        function("current_setting", Answer::Text(Box::new(setting))),
        function(
            "format_type",
            Answer::Text(Box::new(|number| Ok(type_name(number)))),
        ),
        function(
            "quote_ident",
            Answer::Text(Box::new(|name| Ok(name.map(quoted_name)))),
        ),
        function(
            "quote_literal",
            Answer::Text(Box::new(|text| {
                Ok(text.map(|text| format!("'{}'", text.replace('\'', "''"))))
            })),
        ),
        function("pg_relation_name", Answer::Text(Box::new(relation_name))),
    ]
}

fn function(name: &'static str, answer: Answer) -> ScalarUDF {
    ScalarUDF::from(PgFunction {
        name,
        // The numbers of arguments differ, and only the first counts.
        signature: Signature::one_of(
            vec![
                datafusion::logical_expr::TypeSignature::Nullary,
                datafusion::logical_expr::TypeSignature::VariadicAny,
            ],
            Volatility::Stable,
        ),
        answer,
    })
}

fn setting(name: Option<&str>) -> Result<Option<String>> {
    let Some(name) = name else {
        return Ok(None);
    };
    match SETTINGS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        Some((_, value)) => Ok(Some((*value).to_owned())),
        None => exec_err!("unrecognized configuration parameter {name:?}"),
    }
}

fn type_name(number: Option<&str>) -> Option<String> {
    let number: u32 = number?.parse().ok()?;
    let found = PgType::ALL.into_iter().find(|kind| kind.number() == number);
    Some(found.map_or("???", PgType::shown).to_owned())
}

fn quoted_name(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
