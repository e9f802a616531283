"""Which workloads there are, and which a run takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import backlog, history, sessions, side_by_side, workloads

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.place import Bench

WORKLOADS: dict[str, Callable[[Bench], None]] = {
    "drip-200": side_by_side.drip_200,
    "drip-10000": side_by_side.drip_10000,
    "against": side_by_side.against,
    "start": sessions.start,
    "bulk-2m": sessions.bulk_2m,
    "bulk-start": sessions.bulk_start,
    "bulk-10m": sessions.bulk_10m,
    "bulk-rows": workloads.rows,
    "dense": workloads.dense,
    "reading": workloads.reading,
    "big": workloads.big,
    "s3": sessions.s3,
    "backlog": backlog.backlog,
    "swarm": workloads.swarm,
    "cells-100m": history.after_100m,
    "batches": history.batches,
}
QUICK = ["drip-200", "drip-10000", "bulk-2m"]
ONLY_IF_ASKED = {"against", "bulk-rows", "swarm", "cells-100m", "batches"}
FULL = [name for name in WORKLOADS if name not in ONLY_IF_ASKED]
WITH_PATHWAY = {"drip-200", "drip-10000", "bulk-start"}


def chosen(only: list[str], rows: int | None, against: str | None, *, quick: bool) -> list[str]:
    """The names of the workloads of a run, in the table's order. Raises ValueError for a name that is not there."""
    if unknown := sorted(set(only) - set(WORKLOADS)):
        msg = f"there is no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}"
        raise ValueError(msg)
    if "against" in only and against is None:
        msg = "the workload against needs a commit: --against COMMIT"
        raise ValueError(msg)
    asked = ({"bulk-rows"} if rows else set()) | ({"against"} if against else set())
    wanted = set(only or (QUICK if quick else FULL)) | asked
    return [name for name in WORKLOADS if name in wanted]
