"""What an administrator may have set for the role, the database or the server: the tables are the same all the same."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg2
import pytest
from loaded_home import LoadedHome
from tables import assert_same, expected, stored

from streaming.commands.verify import verify
from streaming.ledger import writer
from streaming.settings import load

if TYPE_CHECKING:
    from pathlib import Path

FILES = [
    "date,id,price,trade_volume\n2024-01-02,7,100.1,10\n2024-01-03,7,110,\n2024-01-02,a\\b'c,0.1,5\n",
    "date,id,price,trade_volume\n2024-01-01,7,80,1\n2024-01-03,7,121.3,\n2024-02-01,BRK.B,1e-9,9223372036854775807\n",
    "date,id,price,trade_volume\n2024-01-04,7,3,\n2024-01-04,a\\b'c,0.30000000000000004,7\n2024-01-03,new,2,2\n",
]
SETTINGS = {
    "time limits": ["statement_timeout = 40", "idle_in_transaction_session_timeout = 20", "lock_timeout = 1"],
    "text": ["DateStyle = 'German, DMY'", "IntervalStyle = sql_standard", "TimeZone = 'Asia/Kathmandu'"],
    "numbers": ["extra_float_digits = -15", "bytea_output = escape", "array_nulls = off"],
    "strings": ["standard_conforming_strings = off", "backslash_quote = off", "quote_all_identifiers = on"],
    "encoding": ["client_encoding = LATIN1", "client_min_messages = debug5"],
    "isolation": ["default_transaction_isolation = serializable", "default_transaction_deferrable = on"],
    "search_path": ["search_path = elsewhere, pg_temp, public"],
    "rights": ["row_security = off", "session_replication_role = replica", "check_function_bodies = off"],
    "plans": ["enable_nestloop = off", "enable_indexscan = off", "enable_seqscan = off", "jit_above_cost = 0"],
    "resources": ["temp_file_limit = 0", "work_mem = 64", "max_parallel_workers_per_gather = 0"],
    "errors": ["exit_on_error = on", "transform_null_equals = on"],
    "logs": ["log_statement = 'all'", "log_min_duration_statement = 0", "track_activities = off"],
    "durability": ["synchronous_commit = off", "commit_delay = 1000"],
    "places": ["default_tablespace = ''", "temp_tablespaces = ''"],
}


@pytest.mark.parametrize("chosen", list(SETTINGS.values()), ids=list(SETTINGS))
def test_no_setting_of_the_database_makes_the_tables_wrong(database: str, tmp_path: Path, chosen: list[str]) -> None:
    """New rows, late ones and corrections; the check by `verify` and a takeover work as well."""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        # the schema of the wide tables is chosen at the first start
        cur.execute("CREATE SCHEMA elsewhere")
    home = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    with contextlib.closing(home):
        home.load("1.csv", FILES[0])
        with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
            limits = ["transaction_timeout = 40"] if connection.server_version >= 17_00_00 else []
            for setting in chosen + (limits if "statement_timeout = 40" in chosen else []):
                cur.execute(f"ALTER DATABASE {connection.info.dbname} SET {setting}")
        home.reconnect()
        home.load("2.csv", FILES[1])
        assert writer.take_over(database) == 1
        home.load("3.csv", FILES[2])
        report = verify(home.settings)
        assert (report.first, report.count) == ([], 0)
        with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
            cur.execute(f"ALTER DATABASE {connection.info.dbname} RESET ALL")
    assert_same(stored(database), expected(content.encode() for content in FILES))
