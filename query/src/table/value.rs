//! The `value` column of samples, out of the columns in which files hold it.

use std::{fmt, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{DataType, Float64Type, Int64Type, Schema, SchemaRef},
};
use datafusion::{
    error::Result,
    logical_expr::ColumnarValue,
    physical_expr::expressions::Column,
    physical_plan::{ExecutionPlan, PhysicalExpr, projection::ProjectionExec},
};
use demarc_store::{Table, restore_values};

/// What a value is made of, in the order of [`restore_values`].
const PARTS: [&str; 3] = ["value", "value_digits", "value_divisor"];

/// The places in files of the columns that `logical` columns of `schema`, given by their places, are made of.
pub(super) fn file_columns(schema: &Schema, logical: &[usize]) -> Vec<usize> {
    let files = Table::Samples.file_schema();
    let mut columns = Vec::new();
    for at in logical {
        let name = schema.field(*at).name().as_str();
        let parts: &[&str] = if name == "value" { &PARTS } else { &[name] };
        columns.extend(parts.iter().filter_map(|part| files.index_of(part).ok()));
    }
    columns
}

/// `scan`, which reads [`file_columns`], with the columns of `wanted`.
pub(super) fn restored(
    scan: Arc<dyn ExecutionPlan>,
    wanted: &SchemaRef,
) -> Result<Arc<dyn ExecutionPlan>> {
    let read = scan.schema();
    let column = |name: &str| -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Column::new_with_schema(name, &read)?))
    };
    let mut columns: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::new();
    for field in wanted.fields() {
        let name = field.name();
        let expression = if name == "value" {
            let [rest, digits, divisor] = PARTS.map(column);
            Arc::new(Value {
                parts: [rest?, digits?, divisor?],
            })
        } else {
            column(name)?
        };
        columns.push((expression, name.clone()));
    }
    Ok(Arc::new(ProjectionExec::try_new(columns, scan)?))
}

/// [`restore_values`] as an expression: never null, though its parts are.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Value {
    parts: [Arc<dyn PhysicalExpr>; 3],
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rest, digits, divisor] = &self.parts;
        write!(f, "coalesce({rest}, {digits} / {divisor})")
    }
}

impl PhysicalExpr for Value {
    fn data_type(&self, _input: &Schema) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn nullable(&self, _input: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let [rest, digits, divisor] = &self.parts;
        let array = |part: &Arc<dyn PhysicalExpr>| {
            let column = part.evaluate(batch)?;
            column.into_array(batch.num_rows())
        };
        let (rest, digits, divisor) = (array(rest)?, array(digits)?, array(divisor)?);
        let values = restore_values(
            rest.as_primitive::<Float64Type>(),
            digits.as_primitive::<Int64Type>(),
            divisor.as_primitive::<Float64Type>(),
        );
        Ok(ColumnarValue::Array(Arc::new(values)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.parts.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let parts = children.try_into().map_err(|_| {
            datafusion::error::DataFusionError::Internal("a value has three parts".to_owned())
        })?;
        Ok(Arc::new(Self { parts }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
