"""PostgreSQL's own checks of tables and indexes, and the schema that is in a database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.schema import CheckConstraint

from service.domain.verification import DAMAGED, BookFault
from service.storage.schema import metadata
from service.storage.schema.triggers import TRIGGERS, digest_of

_TABLES = """SELECT c.oid::bigint, c.relname FROM pg_class c
    WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid) AND c.relname = ANY(%s)
    ORDER BY c.relname"""
_INDEXES = """SELECT i.indexrelid::bigint, c.relname, t.relname,
        (SELECT array_agg(quote_ident(a.attname) ORDER BY k.place)
           FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number),
        coalesce(pg_get_expr(i.indpred, i.indrelid), 'true')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        JOIN pg_am m ON m.oid = c.relam
    WHERE m.amname = 'btree' AND pg_table_is_visible(t.oid) AND t.relname = ANY(%s)
    ORDER BY t.relname, c.relname"""
_MAY_CHECK = """SELECT bool_and(coalesce(has_function_privilege(to_regprocedure(
        quote_ident(n.nspname) || f.signature), 'EXECUTE'), false))
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace, (VALUES
        ('.bt_index_check(regclass, boolean)'),
        ('.verify_heapam(regclass, boolean, boolean, text, bigint, bigint)')) AS f (signature)
    WHERE e.extname = 'amcheck'"""
_SCHEMA_OF_CHECKS = """SELECT quote_ident(n.nspname) FROM pg_extension e
    JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'"""
_TRIGGERS = """SELECT t.tgname, pg_get_triggerdef(t.oid, true), t.tgenabled::text, p.prosrc
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND pg_table_is_visible(c.oid)"""
_CHECKS = """SELECT k.conname FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    WHERE k.contype = 'c' AND pg_table_is_visible(c.oid)"""
_DESCRIBED_INDEXES = """SELECT c.relname, i.indisunique, i.indisvalid AND i.indisready,
        (SELECT string_agg(a.attname, ', ' ORDER BY k.place)
           FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number),
        i.indpred IS NOT NULL
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE pg_table_is_visible(c.oid)"""


def damage_of(connection: Connection) -> tuple[BookFault | None, tuple[str, ...]]:
    """The first fault of a table or an index, and what the checks leave open.

    `amcheck` checks every page of the tables and every entry of the indexes, if the database has
    this extension and the role may use it. Otherwise each index is compared with its table.
    """
    driver: Any = connection.connection.driver_connection
    notes: list[str] = []
    ((checksums,),) = driver.execute("SHOW data_checksums").fetchall()
    if checksums != "on":
        notes.append(
            "data checksums are off: PostgreSQL does not notice a flipped bit in a value (stop it "
            "and run pg_checksums --enable)"
        )
    names = [table.name for table in metadata.sorted_tables]
    indexes = driver.execute(_INDEXES, (names,)).fetchall()
    ((may_check,),) = driver.execute(_MAY_CHECK).fetchall()
    checks = _by_amcheck if may_check else _by_reading
    if not may_check:
        notes.append(
            "amcheck is missing, or its functions are not granted: each index was compared with "
            "its table instead (CREATE EXTENSION amcheck)"
        )
    return next(checks(driver, names, indexes, notes), None), tuple(notes)


def _by_amcheck(
    driver: Any, names: list[str], indexes: list[Any], _notes: list[str]
) -> Iterator[BookFault]:
    ((schema,),) = driver.execute(_SCHEMA_OF_CHECKS).fetchall()
    for oid, name in driver.execute(_TABLES, (names,)).fetchall():
        query = f"SELECT blkno, offnum, msg FROM {schema}.verify_heapam(%s::oid::regclass) LIMIT 1"
        with _corruption(driver, f"table {name}") as faults:
            for page, row, said in driver.execute(query, (oid,)).fetchall():
                faults.append(
                    BookFault(DAMAGED, f"table {name}", f"page {page}, row {row}: {said}")
                )
        yield from faults
    for oid, name, *_ in indexes:
        with _corruption(driver, f"index {name}") as faults:
            driver.execute(f"SELECT {schema}.bt_index_check(%s::oid::regclass, true)", (oid,))
        yield from faults


@contextmanager
def _corruption(driver: Any, row: str) -> Iterator[list[BookFault]]:
    """A list of faults; PostgreSQL's error in this block is added to it if it tells of damage."""
    faults: list[BookFault] = []
    try:
        # After an error only what the savepoint has kept can go on.
        with driver.transaction():
            yield faults
    except driver.InternalError as error:
        # Damage has the codes XX001 and XX002.
        faults.append(BookFault(DAMAGED, row, " ".join(str(error).split())))


def _by_reading(
    driver: Any, _names: list[str], indexes: list[Any], notes: list[str]
) -> Iterator[BookFault]:
    """Compares the number and a sum of hashes of each index's entries with those of its rows."""
    for _, name, table, columns, condition in indexes:
        listed = ", ".join(columns)
        rows = f"SELECT {listed} FROM {table} WHERE {condition}"
        summed = "SELECT count(*), sum(hashtextextended((it.*)::text, 0)::numeric) FROM ({}) AS it"
        with _corruption(driver, f"index {name}") as faults:
            _plan(driver, by_index=False)
            expected = driver.execute(summed.format(rows)).fetchone()
            _plan(driver, by_index=True)
            ordered = summed.format(f"{rows} ORDER BY {listed}")
            plan = driver.execute(f"EXPLAIN {ordered}").fetchall()
            if not any(f" using {name} " in line for (line,) in plan):
                notes.append(f"index {name} was not compared: PostgreSQL reads it by no plan")
                continue
            found = driver.execute(ordered).fetchone()
            if found != expected:
                said = f"{found[0]} entries, and {expected[0]} rows, or rows with other values"
                faults.append(BookFault(DAMAGED, f"index {name}", said))
        yield from faults


def _plan(driver: Any, *, by_index: bool) -> None:
    """Makes the planner read the table itself, or an index in its order."""
    for name, wanted in (
        *(("enable_seqscan", not by_index), ("enable_sort", not by_index)),
        *(("enable_indexscan", by_index), ("enable_indexonlyscan", by_index)),
        *(("enable_bitmapscan", False), ("enable_incremental_sort", False)),
    ):
        driver.execute(f"SET LOCAL {name} = {'on' if wanted else 'off'}")


def described(connection: Connection) -> dict[str, str]:
    """The triggers, indexes and CHECKs of a database, by kind and name.

    A trigger is told by a digest, an index by its columns, and a CHECK by its name alone, because
    each version of PostgreSQL writes conditions in its own way.
    """
    driver: Any = connection.connection.driver_connection
    found: dict[str, str] = {}
    for name, text, enabled, source in driver.execute(_TRIGGERS).fetchall():
        found[f"trigger {name}"] = digest_of(f"{text} {enabled} {source}")
    for (name,) in driver.execute(_CHECKS).fetchall():
        found[f"check {name}"] = ""
    for name, unique, valid, columns, partial in driver.execute(_DESCRIBED_INDEXES).fetchall():
        found[f"index {name}"] = _index(columns, unique=unique, partial=partial, valid=valid)
    return found


@cache
def declared() -> Mapping[str, str | None]:
    """The same of this build's schema."""
    found: dict[str, str | None] = {
        f"trigger {name}": digest for name, digest in TRIGGERS["postgresql"].items()
    }
    for table in metadata.sorted_tables:
        keys = ", ".join(column.name for column in table.primary_key)
        found[f"index {table.primary_key.name}"] = _index(keys, unique=True)
        for check in table.constraints:
            if isinstance(check, CheckConstraint):
                found[f"check {check.name}"] = ""
        for index in table.indexes:
            if index.info.get("only", "postgresql") != "postgresql":
                continue
            columns = ", ".join(column.name for column in index.columns)
            partial = index.dialect_options["postgresql"]["where"] is not None
            text = _index(columns, unique=bool(index.unique), partial=partial)
            found[f"index {index.name}"] = text
    return found


def _index(columns: str, *, unique: bool, partial: bool = False, valid: bool = True) -> str:
    words = ("unique" * unique, columns, "partial" * partial, "" if valid else "not valid")
    return " ".join(filter(None, words))
