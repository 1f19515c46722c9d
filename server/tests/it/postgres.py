import datetime
import sys
import threading

import psycopg

HOST, PORT = sys.argv[1].rsplit(":", 1)


def connect(tenant, **more):
    return psycopg.connect(host=HOST, port=PORT, user="someone", dbname=tenant, connect_timeout=20, **more)


with connect("tax") as tax:
    rows = tax.execute(
        "SELECT service, duration, attributes FROM spans WHERE service = %s AND duration > %s", ("tax-api", 1000)
    ).fetchall()
    assert rows == [("tax-api", 5000000, {"http.route": "/"})], rows
    assert tax.execute("SELECT name FROM spans WHERE service = %s", ("other",)).fetchall() == []
    # Every type, as text and in binary.
    for binary in (False, True):
        with tax.cursor(binary=binary) as cursor:
            cursor.execute(
                "SELECT 1, CAST(2 AS SMALLINT), 2.5, CAST(0.5 AS FLOAT), true, NULL, 'text', decode('00ff', 'hex'),"
                " TIMESTAMP '2024-02-03 04:05:06.5', DATE '2024-02-03', CAST(18446744073709551615 AS BIGINT UNSIGNED),"
                " TIME '04:05:06', [1, 2]"
            )
            (row,) = cursor.fetchall()
            assert row == (
                1, 2, 2.5, 0.5, True, None, "text", b"\x00\xff",
                datetime.datetime(2024, 2, 3, 4, 5, 6, 500000), datetime.date(2024, 2, 3), 18446744073709551615,
                datetime.time(4, 5, 6), [1, 2],
            ), row
            # What a client says of its parameters' types counts.
            for value in (7, 7.25, True, "text", b"\x01", datetime.date(2024, 2, 3), 10**12):
                cursor.execute("SELECT %b" if binary else "SELECT %s", (value,))
                assert cursor.fetchone() == (value,), (binary, value)
            since = datetime.datetime.now() - datetime.timedelta(hours=40)
            cursor.execute("SELECT count(*) FROM traces WHERE time > %s", (since,))
            assert cursor.fetchone() == (1,)
    # A parameter is a value, whatever it says.
    for text in ("x' OR '1'='1", "'; DROP TABLE spans; --", "tax-api' UNION SELECT name FROM education.public.spans --"):
        for prepare in (False, True):
            assert tax.execute("SELECT name FROM spans WHERE service = %s", (text,), prepare=prepare).fetchall() == []
            assert tax.execute("SELECT %s", (text,), prepare=prepare).fetchone() == (text,)
    # The same statement, prepared by name.
    for _ in range(3):
        tax.execute("SELECT count(*) FROM spans WHERE kind = %s", ("SERVER",), prepare=True)
    # A long answer, in pieces.
    assert len(tax.execute("SELECT value FROM range(0, 100000)").fetchall()) == 100000
    tax.commit()
    # A fault ends the transaction, not the connection.
    try:
        tax.execute("INSERT INTO spans SELECT * FROM spans")
        raise SystemExit("something was written")
    except psycopg.errors.SyntaxErrorOrAccessRuleViolation as error:
        assert "only reading" in str(error), error
    try:
        tax.execute("SELECT 1")
        raise SystemExit("a failed transaction went on")
    except psycopg.errors.InFailedSqlTransaction:
        tax.rollback()
    assert tax.execute("SELECT 1").fetchone() == (1,)
    tax.commit()
    # Pipelines: several questions before the first answer.
    with tax.pipeline():
        first, second = tax.execute("SELECT %s", (1,)), tax.execute("SELECT %s", (2,))
        assert (first.fetchone(), second.fetchone()) == ((1,), (2,))

ENDLESS = "SELECT count(*) FROM range(0, 1000000000000) AS a"
with connect("tax", autocommit=True) as tax:
    tax.execute("SET statement_timeout = 200")
    try:
        tax.execute(ENDLESS)
        raise SystemExit("an endless question was answered")
    except psycopg.errors.QueryCanceled:
        pass
    tax.execute("SET statement_timeout = 0")
    timer = threading.Timer(0.3, tax.cancel)
    timer.start()
    try:
        tax.execute(ENDLESS)
        raise SystemExit("a cancelled question was answered")
    except psycopg.errors.QueryCanceled:
        timer.join()
    assert tax.execute("SELECT 1").fetchone() == (1,)

# Without a database, the user names the tenant.
with psycopg.connect(host=HOST, port=PORT, user="education", connect_timeout=20) as education:
    assert education.execute("SELECT DISTINCT service FROM spans").fetchall() == [("education-api",)]

try:
    connect("a|b")
    raise SystemExit("two tenants were let in")
except psycopg.OperationalError as error:
    assert "tenant" in str(error), error
