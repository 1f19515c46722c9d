"""Reads the tables of a store with a Delta Lake reader that is not ours, and prints what it finds as JSON.

Usage: delta_reader.py DIRECTORY; needs the packages deltalake and pyarrow.

Per table: the number of rows, the tenants and dates, the columns, and the first row in the order of all its values.
"""

import json
import math
import pathlib
import sys

import pyarrow
from deltalake import DeltaTable, QueryBuilder

# How docs/architecture.md says that a value is to be read.
SAMPLES = "SELECT metric, time, coalesce(value, value_digits / value_divisor) AS value FROM samples"


def plain(value):
    """The value as JSON can hold it: bytes as hexadecimal digits, maps as sorted lists of pairs."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value


def describe(path):
    table = DeltaTable(str(path)).to_pyarrow_table()
    rows = [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]
    rows.sort(key=lambda row: json.dumps(row, sort_keys=True))
    return {
        "rows": len(rows),
        "tenants": sorted({row["tenant"] for row in rows}),
        "dates": sorted({row["date"] for row in rows}),
        "columns": sorted(table.column_names),
        "first": rows[0] if rows else None,
    }


def values(path):
    table = QueryBuilder().register("samples", DeltaTable(str(path)))
    rows = table.execute(SAMPLES + " WHERE tenant = 'tax' ORDER BY metric, time").read_all()
    return [plain(value) for value in pyarrow.table(rows)["value"].to_pylist()]


def main():
    tables = pathlib.Path(sys.argv[1]) / "tables"
    found = {path.name: describe(path) for path in sorted(tables.iterdir())}
    found["values"] = values(tables / "samples")
    json.dump(found, sys.stdout, ensure_ascii=False)


main()
