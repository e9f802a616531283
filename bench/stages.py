"""Where the time of a batch goes, as far as Spark's progress events and the job's own log tell."""

from __future__ import annotations

import contextlib
import json
import statistics
from typing import TYPE_CHECKING, Any

import psycopg2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Spark's and the job's names of them -> those of the table. `trigger` is all of a batch, `run` its work; `collect`
# (parse, state, rows to the driver), `postgres` and `lake` are parts of `run`.
STAGES = {
    "triggerExecution": "trigger",
    "latestOffset": "list",
    "walCommit": "offset log",
    "getBatch": "get",
    "queryPlanning": "plan",
    "addBatch": "run",
    "collect": "collect",
    "transaction": "postgres",
    "lake": "lake",
    "commitOffsets": "commit log",
}
_EVENT = "Streaming query made progress: {"


def mean_seconds(home: Path, output: str, uri: str, keys: Sequence[str]) -> dict[str, float]:
    """Mean seconds by stage over the batches of these drops, and `batches`, how many. Empty if nothing is told."""
    batches = _batches(uri, keys)
    log = home / "logs" / "spark.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    told: dict[str, list[float]] = {}
    for batch, seconds in [*spark_stages(lines), *job_stages(output.splitlines())]:
        if batch in batches:
            for stage, value in seconds.items():
                told.setdefault(stage, []).append(value)
    means = {STAGES[stage]: statistics.fmean(values) for stage, values in told.items()}
    return means | {"batches": float(len(batches))} if means else {}


def spark_stages(lines: Sequence[str]) -> Iterator[tuple[int, dict[str, float]]]:
    """(batch id, seconds by stage) of each progress event in Spark's log."""
    for at, line in enumerate(lines):
        if _EVENT in line:
            event = _json_at(lines, at)
            if "durationMs" in event:
                yield event["batchId"], {name: ms / 1000 for name, ms in event["durationMs"].items() if name in STAGES}


def job_stages(lines: Sequence[str]) -> Iterator[tuple[int, dict[str, float]]]:
    """(batch id, seconds by stage) of each batch in the job's JSON log."""
    for line in lines:
        if '"seconds"' in line:
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if isinstance(record.get("seconds"), dict):
                    yield (
                        record["batch_id"],
                        {name: float(s) for name, s in record["seconds"].items() if name in STAGES},
                    )


def _json_at(lines: Sequence[str], at: int) -> dict[str, Any]:
    """The event that begins in a line and ends at the next closing brace that stands alone; empty if it is cut off."""
    end = next((n for n in range(at + 1, len(lines)) if lines[n] == "}"), at)
    found: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        found = json.loads("\n".join(["{" + lines[at].split(_EVENT, 1)[1], *lines[at + 1 : end + 1]]))
    return found


def _batches(uri: str, keys: Sequence[str]) -> set[int]:
    with contextlib.closing(psycopg2.connect(uri)) as connection, connection.cursor() as cur:
        cur.execute("SELECT batch_id FROM stocketl.drops WHERE key = ANY(%s)", (list(keys),))
        return {batch for (batch,) in cur.fetchall()}
