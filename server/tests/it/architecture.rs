//! The table of what may import what. A new arrow is a design change: edit the table and say why in `docs/decisions.md`.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Each crate with all that it may import of the workspace.
const ARROWS: [(&str, &[&str]); 13] = [
    ("demarc-proto", &[]),
    ("demarc-store", &["demarc-proto"]),
    ("demarc-ingest", &["demarc-proto", "demarc-store"]),
    ("demarc-query", &["demarc-proto", "demarc-store"]),
    ("demarc-topology", &["demarc-proto", "demarc-store"]),
    (
        "demarc-rules",
        &["demarc-proto", "demarc-store", "demarc-query"],
    ),
    (
        "demarc-incident",
        &[
            "demarc-proto",
            "demarc-store",
            "demarc-query",
            "demarc-topology",
            "demarc-rules",
        ],
    ),
    (
        "demarc-notify",
        &["demarc-proto", "demarc-incident", "demarc-topology"],
    ),
    (
        "demarc-report",
        &["demarc-proto", "demarc-incident", "demarc-topology"],
    ),
    (
        "demarc",
        &[
            "demarc-proto",
            "demarc-store",
            "demarc-ingest",
            "demarc-query",
            "demarc-topology",
            "demarc-rules",
            "demarc-incident",
            "demarc-notify",
            "demarc-report",
        ],
    ),
    // The fault benchmark embeds an engine: recordings through ingest, verdicts out of `incident`.
    (
        "demarc-lab",
        &[
            "demarc-proto",
            "demarc-store",
            "demarc-ingest",
            "demarc-query",
            "demarc-topology",
            "demarc-incident",
        ],
    ),
    (
        "demarc-benches",
        &[
            "demarc-proto",
            "demarc-store",
            "demarc-topology",
            "demarc-ingest",
            "demarc-query",
            "demarc-rules",
            "demarc-incident",
        ],
    ),
    // Whatever reads bytes or text that nobody here wrote.
    (
        "demarc-fuzz",
        &[
            "demarc-proto",
            "demarc-store",
            "demarc-ingest",
            "demarc-query",
            "demarc-rules",
        ],
    ),
];

/// Crates from outside that only some rooms may import.
const RESERVED: [(&str, &[&str]); 4] = [
    ("deltalake", &["demarc-store"]),
    ("datafusion", &["demarc-query"]),
    ("axum", &["demarc", "demarc-lab"]),
    ("sqlx", &["demarc-incident", "demarc-lab"]),
];

fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .unwrap();
    let packages = metadata.workspace_packages();
    let normal = |package: &cargo_metadata::Package| {
        let of_kind = package
            .dependencies
            .iter()
            .filter(|one| one.kind == DependencyKind::Normal);
        of_kind.map(|one| one.name.clone()).collect()
    };
    packages
        .into_iter()
        .map(|package| (package.name.to_string(), normal(package)))
        .collect()
}

#[test]
fn crates_import_only_what_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut wrong = Vec::new();
    for (name, imports) in imports() {
        let allowed = table
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is not in the table"));
        for import in imports
            .iter()
            .filter(|import| table.contains_key(import.as_str()))
        {
            if !allowed.contains(&import.as_str()) {
                wrong.push(format!("{name} -> {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden imports: {wrong:?}");
}

#[test]
fn storage_engine_and_sockets_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (name, imports) in imports() {
        for (reserved, rooms) in RESERVED {
            if imports.contains(reserved) && !rooms.contains(&name.as_str()) {
                wrong.push(format!("{name} -> {reserved}"));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden imports: {wrong:?}");
}
