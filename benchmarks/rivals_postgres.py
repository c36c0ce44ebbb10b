"""Rivals on PostgreSQL: ``pgbench -N``, and a plain double-entry function in SQL."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from benchmarks.harness import BenchmarkError
from benchmarks.postgres import Cluster, pinned_programs

CLIENTS = 8
SCALE = 10
ACCOUNTS = 100_000

LEDGER = f"""
CREATE TABLE accounts (
    account_id bigint PRIMARY KEY,
    balance_minor bigint NOT NULL,
    version bigint NOT NULL
);
CREATE TABLE transfers (
    account_id bigint NOT NULL REFERENCES accounts,
    version bigint NOT NULL,
    other_id bigint NOT NULL REFERENCES accounts,
    amount_minor bigint NOT NULL,
    balance_minor bigint NOT NULL,
    PRIMARY KEY (account_id, version)
);
INSERT INTO accounts SELECT it, 0, 0 FROM generate_series(1, {ACCOUNTS}) AS it;
CREATE FUNCTION move(debited bigint, credited bigint, amount bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- In the order of the accounts, so that no two transfers wait for each other.
    PERFORM FROM accounts WHERE account_id IN (debited, credited) ORDER BY account_id FOR UPDATE;
    WITH changed AS (
        UPDATE accounts
        SET balance_minor = balance_minor + CASE account_id WHEN credited THEN amount
                                            ELSE -amount END,
            version = version + 1
        WHERE account_id IN (debited, credited)
        RETURNING account_id, balance_minor, version
    )
    INSERT INTO transfers
    SELECT account_id, version, CASE account_id WHEN debited THEN credited ELSE debited END,
           CASE account_id WHEN credited THEN amount ELSE -amount END, balance_minor
    FROM changed;
END $$;
"""
"""Accounts, and transfers of two rows, each with the balance and the version after it."""
MOVE = f"""\\set debited random(1, {ACCOUNTS // 2})
\\set credited random({ACCOUNTS // 2 + 1}, {ACCOUNTS})
SELECT move(:debited, :credited, 100);
"""
_SPEED = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


def prepare_pgbench(cluster: Cluster, scale: int = SCALE) -> str:
    """A new database with pgbench's own tables; returns its name."""
    name = cluster.empty()
    _pgbench(cluster, name, "--initialize", "--quiet", f"--scale={scale}")
    return name


def prepare_ledger(cluster: Cluster, work: Path) -> tuple[str, Path]:
    """A new database with the double-entry function, and pgbench's script that calls it."""
    import psycopg

    name = cluster.empty()
    with psycopg.connect(cluster.dsn(name)) as connection:
        connection.execute(LEDGER)
    script = work / "move.sql"
    script.write_text(MOVE, encoding="utf-8")
    return name, script


def speed_of_pgbench(cluster: Cluster, database: str, seconds: int) -> float:
    """Transactions a second of ``pgbench -N``, which updates one account and adds one row."""
    return _speed(cluster, database, seconds, "-N")


def speed_of_ledger(cluster: Cluster, database: str, script: Path, seconds: int) -> float:
    """Transfers a second of the double-entry function, each in a transaction."""
    return _speed(cluster, database, seconds, f"--file={script}", "--protocol=prepared")


def check_ledger(cluster: Cluster, database: str) -> None:
    """Raises BenchmarkError unless all balances are those of the last rows, and add up to zero."""
    import psycopg

    with psycopg.connect(cluster.dsn(database)) as connection:
        found = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE a.balance_minor <> t.balance_minor),"
            " (SELECT sum(balance_minor) FROM accounts)"
            " FROM accounts a JOIN transfers t USING (account_id, version)"
        ).fetchone()
    if found is None or not found[0] or found[1] or found[2]:
        raise BenchmarkError(f"the double-entry function lost money: {found}")


def _speed(cluster: Cluster, database: str, seconds: int, *how: str) -> float:
    said = _pgbench(
        cluster,
        database,
        *("--no-vacuum", f"--client={CLIENTS}", "--jobs=2", f"--time={seconds}"),
        *how,
    )
    found = _SPEED.search(said)
    if found is None:
        raise BenchmarkError(f"pgbench told no speed:\n{said}")
    return float(found[1])


def _pgbench(cluster: Cluster, database: str, *options: str) -> str:
    done = subprocess.run(
        [str(pinned_programs() / "pgbench"), *options, cluster.dsn(database)],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        raise BenchmarkError(f"pgbench failed:\n{done.stderr}")
    return done.stdout
