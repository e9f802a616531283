"""Which workloads there are, and which a run takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import sessions, workloads

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.place import Bench

WORKLOADS: dict[str, Callable[[Bench], None]] = {
    "bulk-2m": sessions.bulk_2m,
    "bulk-10m": sessions.bulk_10m,
    "bulk-rows": workloads.rows,
    "dense": workloads.dense,
    "drip-200": sessions.drip_200,
    "drip-10000": sessions.drip_10000,
    "s3": sessions.s3,
    "swarm": workloads.swarm,
    "start": sessions.start,
    "big": workloads.big,
}
QUICK = ["bulk-2m", "drip-200", "drip-10000"]
FULL = [name for name in WORKLOADS if name != "bulk-rows"]


def chosen(only: list[str], rows: int | None, *, quick: bool) -> list[str]:
    """The names of the workloads of a run, in the table's order. Raises ValueError for a name that is not there."""
    if unknown := sorted(set(only) - set(WORKLOADS)):
        msg = f"there is no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}"
        raise ValueError(msg)
    wanted = set(only or (QUICK if quick else FULL)) | ({"bulk-rows"} if rows else set())
    return [name for name in WORKLOADS if name in wanted]
