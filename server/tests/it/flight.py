import sys

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager

ORG = adbc_driver_flightsql.DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "x-scope-orgid"


def connect(tenant):
    return dbapi.connect(sys.argv[1], db_kwargs={ORG: tenant})


with connect("tax") as tax:
    info = tax.adbc_get_info()
    assert info["vendor_name"] == "Demarc", info
    objects = tax.adbc_get_objects(depth="tables").read_all().to_pylist()
    (catalog,) = objects
    assert catalog["catalog_name"] == "tax", objects
    (public,) = [s for s in catalog["catalog_db_schemas"] if s["db_schema_name"] == "public"]
    kinds = {t["table_name"]: t["table_type"] for t in public["db_schema_tables"]}
    assert kinds["spans"] == "TABLE" and kinds["traces"] == "VIEW", kinds
    columns = tax.adbc_get_objects(depth="columns", table_name_filter="traces").read_all()
    assert "duration_ms" in str(columns.to_pylist())
    assert tax.adbc_get_table_types() == ["TABLE", "VIEW"], tax.adbc_get_table_types()
    schema = tax.adbc_get_table_schema("spans", db_schema_filter="public")
    assert "trace_id" in schema.names, schema

    with tax.cursor() as cursor:
        cursor.execute("SELECT service, count(*) AS n FROM spans GROUP BY service")
        table = cursor.fetch_arrow_table()
        assert table.to_pylist() == [{"service": "tax-api", "n": 1}], table
        cursor.execute("SELECT time, attributes FROM traces")
        assert cursor.fetch_arrow_table().num_rows == 1
        # Nothing, but with its columns.
        cursor.execute("SELECT service FROM spans WHERE false")
        assert cursor.fetch_arrow_table().schema.names == ["service"]
        # Parameters, by place and by number; the second execution binds anew.
        for text in ("service = ? AND duration > ?", "service = $1 AND duration > $2"):
            cursor.execute(f"SELECT name FROM spans WHERE {text}", ("tax-api", 1000))
            assert cursor.fetchall() == [("GET /",)]
            cursor.execute(f"SELECT name FROM spans WHERE {text}", ("other", 1000))
            assert cursor.fetchall() == []
        # A parameter is a value, whatever it says.
        for text in ("x' OR '1'='1", "'; DROP TABLE spans; --", "x' UNION SELECT name FROM education.public.spans --"):
            cursor.execute("SELECT name FROM spans WHERE service = ?", (text,))
            assert cursor.fetchall() == []
        cursor.adbc_prepare("SELECT name FROM spans WHERE service = ?")
        for bad in (
            "SELEC 1",
            "SELECT nonsense FROM spans",
            "INSERT INTO spans SELECT * FROM spans",
            "SELECT 1; SELECT 2",
            "SELECT repeat('x', 1000000000)",
        ):
            try:
                cursor.execute(bad)
                cursor.fetchall()
                raise SystemExit(f"{bad} was answered")
            except adbc_driver_manager.Error as error:
                assert "INVALID_ARGUMENT" in str(error) or "InvalidArgument" in str(error), error

with connect("education") as education, education.cursor() as cursor:
    cursor.execute("SELECT DISTINCT service FROM spans")
    assert cursor.fetchall() == [("education-api",)]

with connect("a|b") as both, both.cursor() as cursor:
    try:
        cursor.execute("SELECT 1")
        raise SystemExit("two tenants were answered")
    except adbc_driver_manager.Error as error:
        assert "several tenants" in str(error), error
