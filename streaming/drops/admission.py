"""Which drops make the next batch: seq numbers, the batch limit, and what is known of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.checkpoint.offset import Offset, Span, digest
from streaming.drops.readings import Readings, with_profiles
from streaming.errors import DropError
from streaming.ticks.how import splittable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from streaming.drops.options import Limits
    from streaming.drops.ripeness import Ripeness
    from streaming.profiles.profile import Profile
    from streaming.storage.place import Place, Version


_PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip", ".parquet")
_PACKED_RATIO = 5
_MAGIC_BYTES = 8


def admit(
    offset: Offset,
    place: Place,
    limits: Limits,
    readings: Readings | None = None,
    ripe: Ripeness | None = None,
    *,
    more: Callable[[list[Version]], bool] | None = None,
) -> Offset:
    """The next offset: first the rest of an open drop, then new versions in order. If neither, `offset` itself.

    readings: None = there are no profiles. ripe: what is no price file by its name or its size waits until nobody can
    be writing to it any more; None = nothing waits. more: is told what is new; if more has come meanwhile, the input is
    listed once more.
    """
    readings = readings or Readings()
    seq = offset.seq
    used: list[tuple[str, Profile | None]] = []
    batch = [_continued(offset, limits)] if offset.open else []
    room = limits.batch_bytes - sum(span.bytes for span in batch)
    lying, new = _found(offset, place)
    if new and more is not None and more(new):
        lying, new = _found(offset, place)
    if new:  # an idle job asks for no profiles
        readings.look()
    for version in new:
        reading, profile = readings.of(version.key)
        if ripe is not None and not ripe(version, profile):
            continue
        if len(batch) >= limits.batch_drops or (batch and (_weight(version) > room or not batch[-1].last)):
            break
        claimed = place.claim(version, seq + 1)
        if claimed is None:  # gone or still growing: the next listing tells
            continue
        seq += 1
        lying[digest(claimed)] = seq
        used.append((reading, profile))
        batch.append(_first_span(claimed, seq, place, limits, used[-1]))
        room -= batch[-1].bytes
    if not batch:
        return offset
    profiles = with_profiles(offset.profiles, used, {span.reading for span in batch})
    return Offset(seq, tuple(batch), lying, profiles)


def spans(offset: Offset, limits: Limits) -> list[Span]:
    """The drops of the batch that ends at `offset`. Large ones are cut into ranges of `split_bytes`."""
    return [cut for span in offset.drops for cut in _cut(span, limits.split_bytes)]


def _found(offset: Offset, place: Place) -> tuple[dict[str, int], list[Version]]:
    """By a listing: what still lies in the input of the drops that were admitted, and what is new."""
    listed = {digest(version): version for version in place.versions()}
    lying = _still_lying(offset.lying, listed, place.claimed())
    return lying, [version for key, version in listed.items() if key not in lying]


def _still_lying(lying: Mapping[str, int], listed: dict[str, Version], claimed: set[int]) -> dict[str, int]:
    """Forgets what was moved away. If the same file is put back into a folder, it is a new drop."""
    return {
        key: seq for key, seq in lying.items() if key in listed and (listed[key].version is not None or seq in claimed)
    }


def _continued(offset: Offset, limits: Limits) -> Span:
    done = offset.drops[-1]
    end = min(done.end + _batch_range(limits), done.version.size)
    return Span(done.seq, done.version, done.end, end, whole=False, reading=done.reading)


def _first_span(version: Version, seq: int, place: Place, limits: Limits, read_by: tuple[str, Profile | None]) -> Span:
    reading, profile = read_by
    whole = version.size <= limits.split_bytes or not _is_splittable(version, seq, place, profile)
    end = version.size if whole else min(version.size, _batch_range(limits))
    return Span(seq, version, 0, end, whole, reading)


def _is_splittable(version: Version, seq: int, place: Place, profile: Profile | None) -> bool:
    try:
        return splittable(place.read(version, seq, 0, _MAGIC_BYTES), profile)
    except DropError:
        return False  # reading it will give it its fate


def _batch_range(limits: Limits) -> int:
    """If a batch cannot take a drop at once, it takes whole splits of it."""
    return max(limits.batch_bytes // limits.split_bytes, 1) * limits.split_bytes


def _weight(version: Version) -> int:
    return version.size * (_PACKED_RATIO if version.key.lower().endswith(_PACKED) else 1)


def _cut(span: Span, split_bytes: int) -> Iterator[Span]:
    if span.whole:
        yield span
        return
    for start in range(span.start, span.end, split_bytes):
        end = min(start + split_bytes, span.end)
        yield Span(span.seq, span.version, start, end, whole=False, reading=span.reading)
