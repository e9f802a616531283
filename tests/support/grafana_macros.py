"""Grafana's macros and variables in a query, put in as its PostgreSQL data source does.

https://grafana.com/docs/grafana/latest/datasources/postgres/#macros
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def expanded(query: str, start: dt.datetime, end: dt.datetime, interval: str, **variables: Sequence[str]) -> str:
    """What PostgreSQL is sent. interval: as `5m`; variables: the values that are chosen of each."""
    for name, chosen in variables.items():
        quoted = ",".join("'" + value.replace("'", "''") + "'" for value in chosen)
        query = query.replace(f"${{{name}:sqlstring}}", quoted)
    query = query.replace("$__interval", interval)
    first, last = (f"'{moment:%Y-%m-%dT%H:%M:%SZ}'" for moment in (start, end))

    def macro(found: re.Match[str]) -> str:
        name, arguments = found[1], [argument.strip() for argument in found[2].split(",")]
        if name in {"timeGroup", "timeGroupAlias"}:
            seconds = int(arguments[1].strip("'")[:-1]) * _SECONDS[arguments[1].strip("'")[-1]]
            group = f"floor(extract(epoch from {arguments[0]})/{seconds})*{seconds}"
            return f'{group} AS "time"' if name == "timeGroupAlias" else group
        return {
            "timeFilter": f"{arguments[0]} BETWEEN {first} AND {last}",
            "timeFrom": first,
            "timeTo": last,
            "time": f'{arguments[0]} AS "time"',
        }[name]

    query = re.sub(r"\$__(\w+)\(([^()]*)\)", macro, query)
    left = re.findall(r"\$\{?\w+", query)
    if left:
        msg = f"these are not expanded: {left}"
        raise ValueError(msg)
    return query
