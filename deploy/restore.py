# ruff: noqa: FBT002 (typer makes options of the arguments of a command)
"""Loads all files of a stack again, in their order: `python -m deploy.restore`, or `make restore`.

The one way back from the loss of the database, the checkpoint or the receipts, since the tables are a function of the
files. The job is stopped, what there is of it is set aside below `before-restore/`, the loaded files go back into the
input, and behind them what waits there. May be cut off at any point and run again: `restore/journal.json` in the
receipts bucket says how far it is.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.config import Config
from botocore.exceptions import ClientError
from rich.console import Console
from rich.progress import Progress

from deploy import liveness
from deploy.errors import DeployError
from deploy.place import here, plain_errors
from streaming.rebuild.in_order import AT_ONCE, Source, delete, fill, set_aside
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3.client import S3Client

    from deploy.place import Place

JOURNAL, FILES = "restore/journal.json", "restore/files.json"
STOP = "control/stop"
_QUIET = timedelta(seconds=90)
_LOOK_SECONDS = 10.0
_MOST_LOOKS = 180
_SHOWN = 5

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Buckets:
    """Of a stack; prefix: where drops arrive."""

    input: str
    prefix: str
    success: str
    state: str
    receipts: str


def restore(place: Place, name: str, agree: Callable[[str], bool], *, without_missing: bool) -> None:
    """All of it; agree: asks the user. Raises DeployError and StorageError, after which it may be run again."""
    buckets = buckets_of(place, name)
    s3 = place.session.client("s3", region_name=place.region, config=Config(max_pool_connections=AT_ONCE))
    journal = _json(s3, buckets.receipts, JOURNAL)
    if journal is None:
        stop(place, s3, buckets)
        sources, missing = files(s3, buckets)
        if missing and not without_missing:
            raise DeployError(told_missing(missing))
        if not agree(plan(buckets, sources, missing)):
            msg = f"nothing was changed, but the job is stopped: aws s3 rm s3://{buckets.state}/{STOP} starts it again"
            raise DeployError(msg)
        _put(s3, buckets.receipts, FILES, [asdict(source) for source in sources])
        journal = {"stamp": datetime.now(UTC).strftime("%Y%m%d-%H%M%S")}
        _put(s3, buckets.receipts, JOURNAL, journal)
    aside = f"before-restore/{journal['stamp']}/"
    if not journal.get("filled"):
        _give_back(place, s3, buckets, journal["stamp"], agree)
        _put(s3, buckets.receipts, JOURNAL, journal | {"filled": True})
    s3.delete_object(Bucket=buckets.state, Key=STOP)
    for key in (FILES, JOURNAL):
        set_aside(s3, buckets.receipts, key, aside)
    place.console.print(f"the files wait in s3://{buckets.input}/{buckets.prefix}/ in their order; a step starts")
    place.console.print(f"kept: s3://{buckets.state}/{aside} and s3://{buckets.receipts}/{aside}")


def _give_back(place: Place, s3: S3Client, buckets: Buckets, stamp: str, agree: Callable[[str], bool]) -> None:
    """All but the job's start; the originals go last, so a cut before that loses nothing."""
    aside, again = f"before-restore/{stamp}/", f"restored-{stamp}/"
    with place.console.status(f"setting aside what there is, below {aside} …"):
        for bucket, prefixes in (
            (buckets.state, ("checkpoint/", "lake/")),
            (buckets.receipts, ("receipts/", "moves/")),
        ):
            for prefix in prefixes:
                set_aside(s3, bucket, prefix, aside)
    if not agree("The database must be empty now (deploy/README.md, 'Restore', has the two lines). Is it?"):
        msg = "the restore has begun; run it again once the database is empty"
        raise DeployError(msg)
    sources = [Source(**one) for one in _json(s3, buckets.receipts, FILES) or []]
    with Progress(console=place.console, transient=True) as progress:
        task = progress.add_task("copying", total=len(sources))
        to = f"{buckets.prefix}/{again}".lstrip("/")
        while True:
            fill(s3, sources, buckets.input, to, told=lambda count: progress.update(task, completed=count))
            known = set(sources)
            if not (new := [one for one in waiting(buckets, without=again) if one not in known]):
                break
            sources += new  # dropped meanwhile: newer than all others, but not than their copies
            _put(s3, buckets.receipts, FILES, [asdict(source) for source in sources])
            progress.update(task, total=len(sources))
    with place.console.status("removing the originals …"):
        delete(s3, buckets.success, [(one.key, None) for one in sources if one.bucket == buckets.success])
        delete(s3, buckets.input, [(one.key, one.version) for one in sources if one.bucket == buckets.input])


def buckets_of(place: Place, name: str) -> Buckets:
    """By the outputs of the stack; raises DeployError without a stack."""
    outputs = place.stack(name).outputs()
    if not outputs:
        msg = f"there is no stack {name} in {place.region} of the account {place.account}"
        raise DeployError(msg)
    prefix = outputs["DropHere"].removeprefix(f"s3://{outputs['InputBucket']}/").rstrip("/")
    names = (outputs[f"{kind}Bucket"] for kind in ("Success", "State", "Receipts"))
    return Buckets(outputs["InputBucket"], prefix, *names)


def stop(place: Place, s3: S3Client, buckets: Buckets) -> None:
    """Puts the stop marker, and waits until no job beats and the file of each receipt has been moved."""
    s3.put_object(Bucket=buckets.state, Key=STOP, Body=b"restore")
    with place.console.status("waiting for the job's end and the last moves …") as status:
        for _ in range(_MOST_LOOKS):
            beat = liveness.heartbeat(s3, buckets.state)
            beats = beat is not None and datetime.now(UTC) - beat.time < _QUIET
            left = _pending(s3, buckets.receipts)
            if not beats and not left:
                return
            status.update(f"waiting: the job {'still beats' if beats else 'has ended'}, {left} receipts are not done")
            place.sleep(_LOOK_SECONDS)
    what = "the job still beats" if beats else f"{left} files of s3://{buckets.receipts}/receipts/ are not moved"
    minutes = f"{_MOST_LOOKS * _LOOK_SECONDS / 60:.0f} minutes"
    msg = f"{what} after {minutes}; see the logs of trigger and sweeper, then try again"
    raise DeployError(msg)


def files(s3: S3Client, buckets: Buckets) -> tuple[list[Source], list[str]]:
    """What is loaded again, in order: loaded files by their receipts, then what waits; and which files are gone."""
    there = {one["Key"]: one["Size"] for one in _listed(s3, buckets.success, "")}
    sources: list[Source] = []
    missing: list[str] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        keys = [one["Key"] for one in _listed(s3, buckets.receipts, "receipts/done/")]
        done = [body for body in pool.map(lambda key: _json(s3, buckets.receipts, key), keys) if body is not None]
    for body in sorted(done, key=lambda one: (one["seq"], str(one.get("checkpoint_id")))):
        target = body.get("moved_to") or ""
        key = target.removeprefix(f"s3://{buckets.success}/")
        if body["fate"] != "success":
            continue
        if key == target or key not in there:
            missing.append(f"{body['seq']} {body['key']}")
            continue
        sources.append(Source(buckets.success, key, None, there[key], body["key"]))
    return sources + waiting(buckets), missing


def waiting(buckets: Buckets, without: str | None = None) -> list[Source]:
    """What lies in the input, as the job sees it and in its order; without: keys that begin with this."""
    prefix = f"{buckets.prefix}/" if buckets.prefix else ""
    found = open_place(f"s3://{buckets.input}/{buckets.prefix}").versions()
    return [
        Source(buckets.input, prefix + one.key, one.version, one.size, one.key)
        for one in found
        if without is None or not one.key.startswith(without)
    ]


def plan(buckets: Buckets, sources: list[Source], missing: list[str]) -> str:
    """What is about to happen, for the question."""
    loaded = sum(source.bucket == buckets.success for source in sources)
    gone = f" {len(missing):,} loaded files are gone and stay out." if missing else ""
    place = f"s3://{buckets.input}/{buckets.prefix}/"
    return (
        f"{loaded:,} loaded files go back into {place}, behind them {len(sources) - loaded:,} that wait there, in this "
        f"order. Checkpoint, lake, receipts and the names of moves are set aside.{gone} Go on?"
    )


def told_missing(missing: list[str]) -> str:
    """The first files that are gone, and what to do."""
    more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
    return (
        f"files of loaded drops are gone: {', '.join(missing[:_SHOWN])}{more}. Put them back (deleted ones keep their "
        "version for 30 days), or leave them out with --without-missing. The job is stopped; nothing else was changed"
    )


def _pending(s3: S3Client, bucket: str) -> int:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="receipts/", Delimiter="/")
    return sum(len(page.get("Contents", ())) for page in pages)


def _listed(s3: S3Client, bucket: str, prefix: str) -> Iterator[Any]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", ())


def _json(s3: S3Client, bucket: str, key: str) -> Any:
    try:
        return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise


def _put(s3: S3Client, bucket: str, key: str, what: Any) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(what).encode())


@app.command()
def main(
    stack: Annotated[str, typer.Option(help="Name of the stack.")] = "stocketl",
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; the database is empty.")] = False,
    without_missing: Annotated[
        bool, typer.Option("--without-missing", help="Leave out loaded files that are gone.")
    ] = False,
) -> None:
    """Stops the job, sets aside what there is of it, and gives it all files again in their order."""
    console = Console(stderr=True)
    with plain_errors():
        place = here(console)
        restore(place, stack, lambda text: yes or typer.confirm(text, err=True), without_missing=without_missing)


if __name__ == "__main__":
    app()
