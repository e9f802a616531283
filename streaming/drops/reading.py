"""One span of a drop becomes rows of the stream: a packet per bucket, the rejects, the facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming import faults, memory
from streaming.checkpoint.handover import Handover
from streaming.errors import DropError
from streaming.fingerprint import hexadecimal
from streaming.packets import (
    FACTS,
    IN_FILES,
    OPEN_TICKS,
    REJECTS,
    REPLACED,
    TICKS,
    Fact,
    Loaded,
    Replaced,
    Row,
    ipc_buffer,
)
from streaming.ticks.how import wrong_name
from streaming.ticks.parse import Parsed, by_bucket, failed, parse, parse_split

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from streaming.checkpoint.offset import Span
    from streaming.drops.options import ReadOptions
    from streaming.storage.place import Place


def rows_of(span: Span, place: Place, options: ReadOptions) -> Iterator[Row]:
    """The rows of one span: packets (`open-ticks` if a later batch goes on with the drop), rejects, facts.

    If all workers share a folder, a large packet goes as a file: Spark would copy its bytes half a dozen times.
    """
    faults.reach("reading")
    if str(span.seq) not in options.fates:
        faults.die(span.version.key)
    parsed = _parsed(span, place, options)
    kind = TICKS if span.whole or span.last else OPEN_TICKS
    for bucket, ticks in by_bucket(parsed.ticks, options.buckets).items():
        yield _packet(span, bucket, kind, ticks.to_batch(), options)
    yield from outcome(span, parsed, options)


def outcome(span: Span, parsed: Parsed, options: ReadOptions) -> Iterator[Row]:
    """What became of the span's rows: duplicates and rejects, if there are any, and always the facts."""
    bucket = span.seq % options.buckets
    if parsed.replaced is not None:
        line, ticks = parsed.replaced
        replaced = Replaced(Loaded(np.full(len(ticks), span.seq, np.int64), ticks), line)
        yield _packet(span, bucket, REPLACED, replaced.to_table(), options)
    if len(parsed.rejects):
        yield Row(bucket, span.seq, span.start, REJECTS, parsed.rejects.to_buffer())
    yield Row(bucket, span.seq, span.start, FACTS, _fact(span, parsed).to_json())


def _packet(span: Span, bucket: int, kind: str, rows: pa.RecordBatch | pa.Table, options: ReadOptions) -> Row:
    """The rows themselves or, if they are many, the name of a file with them."""
    if not options.handover or rows.num_rows <= memory.LARGE:
        return Row(bucket, span.seq, span.start, kind, ipc_buffer(rows))
    key = Handover(options.handover).write(f"{span.seq}-{span.start}-{kind}-{bucket}", rows)
    return Row(bucket, span.seq, span.start, IN_FILES[kind], key.encode())


def _parsed(span: Span, place: Place, options: ReadOptions) -> Parsed:
    version, seq, how = span.version, span.seq, options.how(span.reading)
    if span.whole and str(seq) in options.fates:
        return failed(options.fates[str(seq)])
    if (misnamed := wrong_name(version.key, how.profile)) is not None:
        return failed(misnamed)
    try:
        if span.whole and version.size > options.unpacked_limit:
            place.read(version, seq, 0, 1)  # it may count as whole because it could not be looked at
            return failed(f"too-large: {version.size:,} bytes that cannot be split, limit {options.unpacked_limit:,}")
        if span.whole:
            return parse(place.read(version, seq), version.key, how)
        return parse_split(
            lambda start, end: place.read(version, seq, start, end),
            span.start,
            span.end,
            version.size,
            version.key,
            how,
        )
    except DropError as error:
        return failed(f"{error.word}: {error}")


def _fact(span: Span, parsed: Parsed) -> Fact:
    version = span.version
    return Fact(
        seq=span.seq,
        start=span.start,
        end=span.end,
        last=span.last,
        whole=span.whole,
        key=version.key,
        etag=version.etag,
        version=version.version,
        size=version.size,
        modified=version.modified.isoformat(timespec="microseconds"),
        lines=parsed.lines,
        rows_read=parsed.rows_read,
        rows_loaded=parsed.rows_loaded,
        rows_duplicate=parsed.rows_duplicate,
        rows_rejected=parsed.rows_rejected,
        reasons=parsed.reasons,
        ignored=parsed.ignored,
        first_date=parsed.first_date,
        last_date=parsed.last_date,
        content=hexadecimal(parsed.content),
        failure=parsed.failure,
        rows_passed_over=parsed.rows_passed_over,
        conflicts=parsed.conflicts,
        volume_unreadable=parsed.volume_unreadable,
        notes=parsed.notes,
        second_key=parsed.second_key,
        reading=span.reading,
    )
