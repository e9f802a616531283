"""How a job is, from the facts of `status`: one word, an exit code for scripts, and what needs a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.screen import age, many, moment

if TYPE_CHECKING:
    from streaming.screen import Facts

WELL, NEEDS_A_LOOK, CANNOT_TELL = 0, 3, 1
_WORDS = {WELL: "well", NEEDS_A_LOOK: "needs-a-look", CANNOT_TELL: "cannot-tell"}

LONG_WAIT_SECONDS = 600.0
"""If a drop has waited for this long and no batch was committed meanwhile, it needs a look."""
HELD_UP_SECONDS = 30.0
"""A job may wait for this long for something, such as a restart of the database or a lock."""


def judged(facts: Facts) -> Facts:
    """The facts with `verdict`, `exit_code` and `look_at` (sentences).

    0: a job runs and nothing needs a look. 3: see `look_at`. 1: the database cannot be read, or nothing needs a look
    but nobody can tell whether a job runs.
    """
    look_at = [*_of_job(facts["job"]), *_of_drops(facts), *_of_tables(facts), *_of_dates(facts)]
    code = NEEDS_A_LOOK if look_at else WELL if facts["job"]["running"] else CANNOT_TELL
    if facts["state"] == "unreachable":
        code = CANNOT_TELL
    return facts | {"verdict": _WORDS[code], "exit_code": code, "look_at": look_at}


def _of_job(job: Facts) -> list[str]:
    if job["running"] is False:
        return [f"no job is running; start it: {job['start']}"]
    told = []
    if job["silent"]:
        told.append(f"the job has given no sign of life for {age(job['seen_seconds'])}: it may be frozen")
    told += [
        f"the job has waited for {held['what']} for {age(held['seconds'])}: {held['reason']}"
        for held in job.get("waits", [])
        if held["seconds"] >= HELD_UP_SECONDS
    ]
    return told


def _of_tables(facts: Facts) -> list[str]:
    audit = facts.get("audit")
    if not audit or not audit["problem"]:
        return []
    return [f"the tables are not what was loaded: {audit['problem']}; `stocketl verify` names each cell"]


def _of_dates(facts: Facts) -> list[str]:
    return [
        f"{late['date']} is not complete, and was to be by {moment(late['due_at'])}: stocketl dates"
        f" --missing {late['date']}"
        for late in facts.get("overdue") or ()
    ]


def _of_drops(facts: Facts) -> list[str]:
    told = [facts["input_trouble"]] if facts["input_trouble"] else []
    failed = facts.get("failed_lately")
    if failed and failed["count"]:
        since = moment(failed["first"])
        drops = "1 drop has failed" if failed["count"] == 1 else f"{many(failed['count'], 'drop')} have failed"
        told.append(f"{drops} since {since}, and no later drop of the same name was loaded: stocketl receipts NAME")
    oldest = facts["oldest_waiting_seconds"]
    batch = facts.get("last_batch")
    since_batch = batch["age_seconds"] if batch else float("inf")
    if oldest is not None and min(oldest, since_batch) >= LONG_WAIT_SECONDS:
        told.append(f"a drop has waited for {age(oldest)}, and no batch was committed for {age(since_batch)}")
    return told
