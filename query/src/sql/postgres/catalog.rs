//! The schema `pg_catalog`: what there is, as PostgreSQL would describe it.
//!
//! Source: PostgreSQL, "System Catalogs". Columns that nobody asks for are left out.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, StringArray},
    error::ArrowError,
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use datafusion::{
    catalog::{MemTable, SchemaProvider, TableProvider},
    error::Result,
};

use super::{Numbered, PG_CATALOG, kind::PgType, setting::SETTINGS};
use crate::sql::{Relation, RelationKind, SCHEMA};

/// The number of the only user.
const OWNER: i64 = 10;
/// The numbers of schemas. Source: PostgreSQL, `pg_namespace.dat`.
const SCHEMAS: [(i64, &str); 3] = [
    (11, PG_CATALOG),
    (PUBLIC, SCHEMA),
    (13_000, "information_schema"),
];
const PUBLIC: i64 = 2200;

/// Tables in which there is nothing here, and their columns.
pub(super) const EMPTY: [(&str, &str); 12] = [
    ("pg_am", "oid amname amtype"),
    ("pg_attrdef", "oid adrelid adnum adbin"),
    ("pg_collation", "oid collname collnamespace"),
    (
        "pg_constraint",
        "oid conname connamespace contype conrelid conindid confrelid conkey confkey condeferrable condeferred",
    ),
    ("pg_description", "objoid classoid objsubid description"),
    ("pg_enum", "oid enumtypid enumlabel enumsortorder"),
    ("pg_extension", "oid extname extversion extnamespace"),
    (
        "pg_index",
        "indexrelid indrelid indisunique indisprimary indisvalid indkey indisclustered indisreplident",
    ),
    (
        "pg_inherits",
        "inhrelid inhparent inhseqno inhdetachpending",
    ),
    ("pg_proc", "oid proname pronamespace prorettype prokind"),
    ("pg_range", "rngtypid rngsubtype"),
    ("pg_trigger", "oid tgname tgrelid tgisinternal"),
];

/// Tables that say something.
const FILLED: [&str; 10] = [
    "pg_attribute",
    "pg_class",
    "pg_database",
    "pg_namespace",
    "pg_roles",
    "pg_settings",
    "pg_tables",
    "pg_type",
    "pg_user",
    "pg_views",
];

/// The schema, over the tables and views of one tenant; its tables are made when they are asked for.
#[derive(Debug)]
pub(super) struct PgCatalog {
    tenant: String,
    relations: Numbered,
}

impl PgCatalog {
    pub(super) fn new(tenant: &str, relations: Numbered) -> Self {
        let tenant = tenant.to_owned();
        Self { tenant, relations }
    }

    fn rows(&self, name: &str) -> Option<std::result::Result<RecordBatch, ArrowError>> {
        let columns = match name {
            "pg_namespace" => namespaces(),
            "pg_class" => self.classes(),
            "pg_attribute" => self.attributes(),
            "pg_type" => types(),
            "pg_database" => Columns::of(1)
                .same_number("oid", 1)
                .same_text("datname", &self.tenant)
                .same_number("datdba", OWNER)
                .same_number("encoding", 6)
                .same_text("datcollate", "C")
                .same_text("datctype", "C")
                .flag("datistemplate", false)
                .flag("datallowconn", true)
                .nulls("datacl"),
            "pg_roles" | "pg_user" => Columns::of(1)
                .same_number("oid", OWNER)
                .same_text("rolname", &self.tenant)
                .same_text("usename", &self.tenant)
                .flag("rolsuper", false)
                .flag("rolcanlogin", true),
            "pg_settings" => Columns::of(SETTINGS.len())
                .texts("name", SETTINGS.iter().map(|(name, _)| Some(*name)))
                .texts("setting", SETTINGS.iter().map(|(_, value)| Some(*value))),
            "pg_tables" => self.listed(RelationKind::Table, "table"),
            "pg_views" => self.listed(RelationKind::View, "view"),
            other => {
                let (_, names) = EMPTY.iter().find(|(name, _)| *name == other)?;
                let names = names.split(' ');
                names.fold(Columns::of(0), |columns, name| columns.nulls(name))
            }
        };
        Some(columns.batch())
    }

    fn listed(&self, kind: RelationKind, what: &str) -> Columns {
        let listed: Vec<&Relation> = self
            .relations
            .iter()
            .map(|(_, one)| one)
            .filter(|one| one.kind == kind)
            .collect();
        Columns::of(listed.len())
            .same_text("schemaname", SCHEMA)
            .texts(
                &format!("{what}name"),
                listed.iter().map(|one| Some(one.name.as_str())),
            )
            .same_text(&format!("{what}owner"), &self.tenant)
    }

    fn classes(&self) -> Columns {
        let all = || self.relations.iter();
        let kinds = all().map(|(_, one)| match one.kind {
            RelationKind::Table => Some("r"),
            RelationKind::View => Some("v"),
        });
        let widths = all().map(|(_, one)| one.columns.fields().len() as i64);
        let columns = Columns::of(self.relations.len())
            .numbers("oid", all().map(|(number, _)| *number))
            .texts("relname", all().map(|(_, one)| Some(one.name.as_str())))
            .texts("relkind", kinds)
            .numbers("relnatts", widths)
            .same_number("relnamespace", PUBLIC)
            .same_number("relowner", OWNER)
            .same_text("relpersistence", "p")
            .same_text("relreplident", "n");
        let zeros = [
            "reltype",
            "reloftype",
            "relam",
            "reltablespace",
            "relchecks",
            "relpages",
            "reltuples",
            "reltoastrelid",
        ];
        let noes = [
            "relhasindex",
            "relhasrules",
            "relhastriggers",
            "relrowsecurity",
            "relforcerowsecurity",
            "relispartition",
            "relisshared",
        ];
        let columns = zeros
            .into_iter()
            .fold(columns, |columns, name| columns.same_number(name, 0));
        let columns = noes
            .into_iter()
            .fold(columns, |columns, name| columns.flag(name, false));
        columns
            .nulls("reloptions")
            .nulls("relacl")
            .nulls("relpartbound")
    }

    fn attributes(&self) -> Columns {
        let fields = self.relations.iter().flat_map(|(number, one)| {
            let fields = (1..).zip(one.columns.fields());
            fields.map(move |(place, field)| (*number, place, field))
        });
        let fields: Vec<_> = fields.collect();
        let all = || fields.iter();
        let kinds: Vec<PgType> = all().map(|one| PgType::of(one.2.data_type())).collect();
        Columns::of(fields.len())
            .numbers("attrelid", all().map(|one| one.0))
            .texts("attname", all().map(|one| Some(one.2.name().as_str())))
            .numbers(
                "atttypid",
                kinds.iter().map(|kind| i64::from(kind.number())),
            )
            .numbers("attlen", kinds.iter().map(|kind| i64::from(kind.width())))
            .numbers("attnum", all().map(|one| one.1))
            .flags("attnotnull", all().map(|one| !one.2.is_nullable()))
            .same_number("atttypmod", -1)
            .same_number("attndims", 0)
            .same_number("attcollation", 0)
            .flag("attisdropped", false)
            .flag("atthasdef", false)
            .same_text("attidentity", "")
            .same_text("attgenerated", "")
            .same_text("attstorage", "p")
            .same_text("attcompression", "")
            .same_number("attstattarget", -1)
    }
}

fn namespaces() -> Columns {
    Columns::of(SCHEMAS.len())
        .numbers("oid", SCHEMAS.iter().map(|(number, _)| *number))
        .texts("nspname", SCHEMAS.iter().map(|(_, name)| Some(*name)))
        .same_number("nspowner", OWNER)
        .nulls("nspacl")
}

fn types() -> Columns {
    let all = || PgType::ALL.iter();
    Columns::of(PgType::ALL.len())
        .numbers("oid", all().map(|kind| i64::from(kind.number())))
        .texts("typname", all().map(|kind| Some(kind.name())))
        .numbers("typlen", all().map(|kind| i64::from(kind.width())))
        .texts("typcategory", all().map(|kind| Some(kind.category())))
        .same_number("typnamespace", 11)
        .same_number("typowner", OWNER)
        .same_text("typtype", "b")
        .same_text("typdelim", ",")
        .same_number("typelem", 0)
        .same_number("typarray", 0)
        .same_number("typrelid", 0)
        .same_number("typbasetype", 0)
        .same_number("typtypmod", -1)
        .same_number("typcollation", 0)
        .flag("typnotnull", false)
}

/// The columns of a table that is being made.
struct Columns {
    rows: usize,
    made: Vec<(String, ArrayRef)>,
}

impl Columns {
    fn of(rows: usize) -> Self {
        let made = Vec::new();
        Self { rows, made }
    }

    fn with(mut self, name: &str, values: ArrayRef) -> Self {
        self.made.push((name.to_owned(), values));
        self
    }

    fn texts<'a>(self, name: &str, values: impl Iterator<Item = Option<&'a str>>) -> Self {
        self.with(name, Arc::new(values.collect::<StringArray>()))
    }

    fn numbers(self, name: &str, values: impl Iterator<Item = i64>) -> Self {
        self.with(name, Arc::new(values.collect::<Int64Array>()))
    }

    fn flags(self, name: &str, values: impl Iterator<Item = bool>) -> Self {
        self.with(name, Arc::new(values.map(Some).collect::<BooleanArray>()))
    }

    fn same_text(self, name: &str, value: &str) -> Self {
        let rows = self.rows;
        self.texts(name, std::iter::repeat_n(Some(value), rows))
    }

    fn same_number(self, name: &str, value: i64) -> Self {
        let rows = self.rows;
        self.numbers(name, std::iter::repeat_n(value, rows))
    }

    fn flag(self, name: &str, value: bool) -> Self {
        let rows = self.rows;
        self.flags(name, std::iter::repeat_n(value, rows))
    }

    fn nulls(self, name: &str) -> Self {
        let rows = self.rows;
        self.texts(name, std::iter::repeat_n(None, rows))
    }

    fn batch(self) -> std::result::Result<RecordBatch, ArrowError> {
        RecordBatch::try_from_iter_with_nullable(
            self.made
                .into_iter()
                .map(|(name, values)| (name, values, true)),
        )
    }
}

#[async_trait]
impl SchemaProvider for PgCatalog {
    fn table_names(&self) -> Vec<String> {
        let empty = EMPTY.iter().map(|(name, _)| *name);
        FILLED.into_iter().chain(empty).map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(rows) = self.rows(name) else {
            return Ok(None);
        };
        let rows = rows?;
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
        Ok(Some(Arc::new(table)))
    }

    fn table_exist(&self, name: &str) -> bool {
        FILLED.contains(&name) || EMPTY.iter().any(|(known, _)| *known == name)
    }
}
