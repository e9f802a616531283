"""What travels in the stream: rows of (bucket, seq, part, kind, payload), and what each payload holds.

| kind | payload | who makes it | who reads it |
|---|---|---|---|
| `ticks` | `Ticks` of one drop, or one span of it, for one bucket | drops | returns |
| `open-ticks` | the same, if a later batch goes on with the drop | drops | returns |
| `ticks-file`, `open-ticks-file` | the name of a file with them, if they are many | drops | returns |
| `rejects` | `Rejects` of one span | drops | publish |
| `facts` | `Fact` of one span | drops | publish |
| `changes` | `Changes` of one bucket | returns | publish |
| `changes-file` | the name of a file with them, if they are many | returns | publish |
| `loaded` | `Loaded` as a table of Arrow | returns | publish, for the lake |
| `loaded-file` | JSON: a file with them, if they are many | returns | publish, for the lake |
| `replaced` | `Replaced` as a table of Arrow | drops, returns | publish, for the lake |
| `replaced-file` | the name of a file with them, if they are many | drops | returns |
| `duplicates` | JSON: `Superseded`, by seq | returns | publish |
| `did` | JSON: `corrections.Did`, by seq | returns | publish |
| `corrections` | `corrections.Corrections` of one bucket as a table of Arrow | returns | publish |
| `correction-runs` | those of whole drops that are many of a ticker: `correction_runs.SCHEMA` | returns | publish |
| `corrections-file`, `correction-runs-file` | the name of a file with them, if they are many | returns | publish |
| `fingerprint` | JSON: fingerprints of one bucket's cells, before and after | returns | publish |
| `held` | JSON: descriptors that a Java has open | returns | publish |
| `dated` | `Dated` of one bucket | returns | publish |
| `dated-file` | the name of a file with them, if they are many | returns | publish |

A packet of ticks holds the rows that belong to one bucket, so the stream has few rows, and the Python side never sees a
tick as an object.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

Int8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

PACKET_SCHEMA = "bucket int, seq long, part long, kind string, payload binary"
PACKET_COLUMNS = pa.schema(
    [
        ("bucket", pa.int32()),
        ("seq", pa.int64()),
        ("part", pa.int64()),
        ("kind", pa.string()),
        ("payload", pa.binary()),
    ]
)

TICKS, OPEN_TICKS, REJECTS, FACTS = "ticks", "open-ticks", "rejects", "facts"
TICKS_FILE, OPEN_TICKS_FILE = "ticks-file", "open-ticks-file"
CHANGES, CHANGES_FILE, LOADED, LOADED_FILE = "changes", "changes-file", "loaded", "loaded-file"
DUPLICATES, FINGERPRINT, HELD = "duplicates", "fingerprint", "held"
REPLACED, REPLACED_FILE = "replaced", "replaced-file"
IN_FILES = {TICKS: TICKS_FILE, OPEN_TICKS: OPEN_TICKS_FILE, REPLACED: REPLACED_FILE}
"""What a span gives, and its kind if it is so much that it waits in a file."""
DID, CORRECTIONS, CORRECTIONS_FILE = "did", "corrections", "corrections-file"
CORRECTION_RUNS, CORRECTION_RUNS_FILE = "correction-runs", "correction-runs-file"
DATED, DATED_FILE = "dated", "dated-file"

UNKNOWN_VOLUME = -1

PRICE_CHANGED, RETURN_CHANGED, VOLUME_CHANGED = 1, 2, 4


class Note(TypedDict, total=False):
    """What is told of single rows. kind `volume-unreadable` has line and text, `conflict` the others: two rows each."""

    kind: str
    line: int
    text: str
    lines: list[int]
    date: str
    id: str
    prices: list[float]
    volumes: list[int | None]


class Row(NamedTuple):
    """A row of the stream; part: the first byte of its span, so that (seq, part) is the order of the input."""

    bucket: int
    seq: int
    part: int
    kind: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Ticks:
    """Valid rows in the order in which they were given.

    ids: distinct tickers, `code` points into it; code: int32 [n]; date: int32 [n], days since
    1970-01-01; price: float64 [n]; volume: int64 [n], `UNKNOWN_VOLUME` where the file gave none.
    """

    ids: list[str]
    code: Int32
    date: Int32
    price: Float64
    volume: Int64

    def __len__(self) -> int:
        return len(self.code)

    @classmethod
    def empty(cls) -> Ticks:
        """No rows at all."""
        return cls([], _i32(), _i32(), np.empty(0, np.float64), np.empty(0, np.int64))

    def to_batch(self) -> pa.RecordBatch:
        """The columns, without a copy."""
        return pa.record_batch(
            {
                "id": ids_column(self.ids, self.code),
                "date": pa.array(self.date, pa.int32()),
                "price": pa.array(self.price, pa.float64()),
                "volume": pa.array(self.volume, pa.int64()),
            }
        )

    @classmethod
    def from_buffer(cls, buffer: bytes | pa.Buffer) -> Ticks:
        """What `to_batch` gave, as one Arrow IPC stream."""
        batch = _read(buffer)
        ids, code = _ids_and_code(batch)
        return cls(ids, code, *_arrays(batch, "date", "price", "volume"))


@dataclass(frozen=True, slots=True)
class Loaded:
    """Ticks of several drops, each with the seq of its drop: int64 [n]."""

    seq: Int64
    ticks: Ticks

    def to_table(self) -> pa.Table:
        """Columns seq, date, id, price, volume (null = unknown), as the lake keeps them."""
        ticks = self.ticks
        volume = pa.array(ticks.volume, pa.int64(), mask=ticks.volume == UNKNOWN_VOLUME)
        return pa.table(
            {
                "seq": pa.array(self.seq, pa.int64()),
                "date": pa.array(ticks.date, pa.int32()).cast(pa.date32()),
                "id": ids_column(ticks.ids, ticks.code).cast(pa.string()),
                "price": pa.array(ticks.price, pa.float64()),
                "volume": volume,
            }
        )

    def to_buffer(self) -> bytes:
        """The table as one Arrow IPC stream."""
        return ipc_buffer(self.to_table())


@dataclass(frozen=True, slots=True)
class Replaced:
    """Ticks that a later row of their drop replaced; line: int64 [n], 0 where it is not known any more."""

    loaded: Loaded
    line: Int64

    def to_table(self) -> pa.Table:
        """Columns of `Loaded`, and line (null = unknown)."""
        return self.loaded.to_table().add_column(1, "line", pa.array(self.line, pa.int64(), mask=self.line == 0))

    def to_buffer(self) -> bytes:
        """The table as one Arrow IPC stream."""
        return ipc_buffer(self.to_table())

    @classmethod
    def empty(cls) -> Replaced:
        """No rows at all."""
        none = np.empty(0, np.int64)
        return cls(Loaded(none, Ticks.empty()), none)


@dataclass(frozen=True, slots=True)
class Changes:
    """Cells that must be written: distinct (date, id), each with its three values as they now stand.

    changed: uint8 [n], bits `PRICE_CHANGED`, `RETURN_CHANGED`, `VOLUME_CHANGED`: the tables in which
    the cell differs from what was written before. returns: float64 [n], NaN = no previous price.
    The other columns are those of `Ticks`.
    """

    ids: list[str]
    code: Int32
    date: Int32
    price: Float64
    returns: Float64
    volume: Int64
    changed: Int8

    def __len__(self) -> int:
        return len(self.code)

    @classmethod
    def empty(cls) -> Changes:
        """No cells at all."""
        none = np.empty(0, np.float64)
        return cls([], _i32(), _i32(), none, none, np.empty(0, np.int64), np.empty(0, np.uint8))

    def to_batch(self) -> pa.RecordBatch:
        """The columns, without a copy."""
        return pa.record_batch(
            {
                "id": ids_column(self.ids, self.code),
                "date": pa.array(self.date, pa.int32()),
                "price": pa.array(self.price, pa.float64()),
                "returns": pa.array(self.returns, pa.float64()),
                "volume": pa.array(self.volume, pa.int64()),
                "changed": pa.array(self.changed, pa.uint8()),
            }
        )

    def to_buffer(self) -> bytes:
        """One Arrow IPC stream."""
        return ipc_buffer(self.to_batch())

    @classmethod
    def from_buffer(cls, buffer: bytes | pa.Buffer) -> Changes:
        """The inverse of `to_buffer`."""
        batch = _read(buffer)
        ids, code = _ids_and_code(batch)
        return cls(ids, code, *_arrays(batch, "date", "price", "returns", "volume", "changed"))


@dataclass(frozen=True, slots=True)
class Dated:
    """What drops did on dates: distinct (seq, date) in that order.

    seq: int64 [n]; date: int32 [n], days since 1970-01-01; new, restated: int32 [n], cells that the drop made, and
    cells that it gave another price or volume.
    """

    seq: Int64
    date: Int32
    new: Int32
    restated: Int32

    def __len__(self) -> int:
        return len(self.seq)

    @classmethod
    def empty(cls) -> Dated:
        """No drops at all."""
        return cls(np.empty(0, np.int64), _i32(), _i32(), _i32())

    def to_batch(self) -> pa.RecordBatch:
        """The columns, without a copy."""
        return pa.record_batch({name: pa.array(getattr(self, name)) for name in Dated.__slots__})

    def to_buffer(self) -> bytes:
        """One Arrow IPC stream."""
        return ipc_buffer(self.to_batch())

    @classmethod
    def from_buffer(cls, buffer: bytes | pa.Buffer) -> Dated:
        """The inverse of `to_buffer`."""
        return cls(*_arrays(_read(buffer), *Dated.__slots__))


@dataclass(frozen=True, slots=True)
class Rejects:
    """Rows that are not ticks: line number (1 = first line of the file or split), raw text, reason."""

    line: list[int]
    text: list[str]
    reason: list[str]

    def __len__(self) -> int:
        return len(self.line)

    @classmethod
    def empty(cls) -> Rejects:
        """No rows at all."""
        return cls([], [], [])

    def to_buffer(self) -> bytes:
        """One Arrow IPC stream."""
        columns = {
            "line": pa.array(self.line, pa.int64()),
            "text": pa.array(self.text, pa.string()),
            "reason": pa.array(self.reason, pa.string()),
        }
        return ipc_buffer(pa.record_batch(columns))

    @classmethod
    def from_buffer(cls, buffer: bytes) -> Rejects:
        """The inverse of `to_buffer`."""
        columns = _read(buffer).to_pydict()
        return cls(columns["line"], columns["text"], columns["reason"])


@dataclass(frozen=True, slots=True)
class Fact:
    """What became of one span of a drop, bytes [start, end) of `size`.

    last: the drop ends here; whole: it was not to be split. modified: ISO 8601, UTC; first_date, last_date: ISO dates,
    of the rows that were loaded; reasons: rejected rows by reason; ignored: columns that are not ours; content: what
    the rows hold, in hexadecimal; failure: why the drop is not loaded; rows_passed_over, conflicts, volume_unreadable,
    notes, second_key: as `ticks.parse.Parsed` has them; reading: how it was read.
    """

    seq: int
    start: int
    end: int
    last: bool
    whole: bool
    key: str
    etag: str
    version: str | None
    size: int
    modified: str
    lines: int
    rows_read: int
    rows_loaded: int
    rows_duplicate: int
    rows_rejected: int
    reasons: dict[str, int]
    ignored: list[str]
    first_date: str | None
    last_date: str | None
    content: str
    failure: str | None
    rows_passed_over: int = 0
    conflicts: int = 0
    volume_unreadable: int = 0
    notes: list[Note] = field(default_factory=list)
    second_key: str | None = None
    reading: str = "1"

    def to_json(self) -> bytes:
        """The payload."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, payload: bytes) -> Fact:
        """The inverse of `to_json`."""
        return cls(**json.loads(payload))


@dataclass(frozen=True, slots=True)
class Superseded:
    """Rows of one drop that a later row of it replaced.

    conflicts: those that differ from what replaced them; earlier: those that an earlier batch has loaded.
    """

    rows: int
    conflicts: int
    earlier: int = 0


def concat_ids(parts: list[list[str]]) -> tuple[list[str], list[Int32]]:
    """Joins several ticker lists into one; for each part an int32 map from its codes to the joint ones."""
    joint: dict[str, int] = {}
    maps = [np.fromiter((joint.setdefault(i, len(joint)) for i in ids), np.int32, len(ids)) for ids in parts]
    return list(joint), maps


def _i32() -> Int32:
    return np.empty(0, np.int32)


def ids_column(ids: list[str], code: Int32) -> pa.Array:
    """Tickers as a dictionary of Arrow."""
    return pa.DictionaryArray.from_arrays(pa.array(code, pa.int32()), pa.array(ids, pa.string()))


def _ids_and_code(batch: pa.RecordBatch) -> tuple[list[str], Int32]:
    column = batch.column("id")
    return column.dictionary.to_pylist(), column.indices.to_numpy()


def _arrays(batch: pa.RecordBatch, *names: str) -> Iterator[npt.NDArray[Any]]:
    return (batch.column(name).to_numpy() for name in names)


def ipc_table(payload: bytes | pa.Buffer) -> pa.Table:
    """The table of a payload that is one."""
    return pa.ipc.open_stream(payload).read_all()


def ipc_buffer(rows: pa.RecordBatch | pa.Table) -> bytes:
    """One Arrow IPC stream; `ipc_table` reads it."""
    sink = pa.BufferOutputStream()
    write_ipc(rows, sink)
    return bytes(sink.getvalue())


def write_ipc(rows: pa.RecordBatch | pa.Table, sink: BinaryIO | pa.NativeFile) -> None:
    """The same into a file."""
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write(rows)


def _read(buffer: bytes | pa.Buffer) -> pa.RecordBatch:
    with pa.ipc.open_stream(pa.BufferReader(buffer)) as reader:
        return reader.read_next_batch()
