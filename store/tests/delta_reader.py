"""Reads the tables of a store with a Delta Lake reader that is not ours, and prints what it finds as JSON.

Usage: delta_reader.py DIRECTORY; needs the packages deltalake and pyarrow.

Per table: the number of rows, the tenants and dates, the columns, and the first row in the order of all its values.
"""

import json
import math
import pathlib
import sys

from deltalake import DeltaTable


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
        "first": rows[0],
    }


def main():
    tables = pathlib.Path(sys.argv[1]) / "tables"
    found = {path.name: describe(path) for path in sorted(tables.iterdir())}
    json.dump(found, sys.stdout, ensure_ascii=False)


main()
