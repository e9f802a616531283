"""How far a rebuild of a home has come: its `rebuild.json`, from the first change until all is compared."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from streaming.errors import CheckpointError
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.settings import Settings

JOURNAL = "rebuild.json"
BEGUN, FILLED, LOADED = _PHASES = ("begun", "filled", "loaded")
_STAMP = re.compile(r"\d{8}_\d{6}")


@dataclass(frozen=True)
class Journal:
    """stamp: names what the rebuild sets aside; phase: what is done already; text_ids: how tickers are read."""

    stamp: str
    phase: str
    text_ids: bool

    def note(self, settings: Settings, phase: str) -> Journal:
        """Writes it down with this phase."""
        noted = replace(self, phase=phase)
        open_place(str(settings.home)).put(JOURNAL, json.dumps(asdict(noted)).encode())
        return noted


def read_journal(settings: Settings) -> Journal | None:
    """The journal of a rebuild that is not finished. Raises CheckpointError if it cannot be read."""
    path = settings.home / JOURNAL
    try:
        found = Journal(**json.loads(path.read_bytes()))
        if isinstance(found.text_ids, bool) and _STAMP.fullmatch(found.stamp) and found.phase in _PHASES:
            return found
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"{path} says how far a rebuild has come, but cannot be read: {error.strerror}. Make it readable"
        raise CheckpointError(msg) from error
    except (ValueError, TypeError):
        pass
    raise CheckpointError(_damaged(settings, path))


def text_ids_of(settings: Settings) -> bool:
    """How ids are read: as the checkpoint says, else as the settings say."""
    try:
        return bool(json.loads(open_place(settings.checkpoint).get("stocketl.json") or b"")["text_ids"])
    except (ValueError, KeyError, TypeError):
        return settings.text_ids


def schema_aside(stamp: str) -> str:
    """The name under which the old tables are kept."""
    return f"stocketl_old_{stamp}"


def folder_aside(settings: Settings, stamp: str) -> Path:
    """The folder in the home for what the rebuild sets aside."""
    return settings.home / f"old-{stamp}"


def input_again(settings: Settings, stamp: str) -> Path:
    """The input of the rebuild. It is not the real one, where producers go on."""
    return folder_aside(settings, stamp) / "again"


def refuse_other_runs(settings: Settings) -> None:
    """Raises CheckpointError if a rebuild of this home is not finished, unless this is its own run."""
    journal = read_journal(settings)
    if journal is not None and settings.input != str(input_again(settings, journal.stamp)):
        msg = (
            f"a rebuild of {settings.home} is not finished: `stocketl rebuild` with the same options goes on with it. "
            f"If nothing has been changed yet, you can give it up: remove {settings.home / JOURNAL}"
        )
        raise CheckpointError(msg)


def _damaged(settings: Settings, path: Path) -> str:
    """What to do about a journal that is damaged; the folders of finished rebuilds have theirs in them."""
    begun = sorted(folder.name for folder in settings.home.glob("old-*") if not (folder / JOURNAL).exists())
    stamp = begun[-1].removeprefix("old-") if begun else "STAMP"
    whole = json.dumps(asdict(Journal(stamp, BEGUN, text_ids_of(settings))))
    return (
        f"{path} says how far a rebuild has come, but is damaged. If there is neither an unfinished folder "
        f"{settings.home}/old-{stamp} nor a schema {schema_aside(stamp)} in the database, nothing was changed: remove "
        f"it. Else write this into it and run `stocketl rebuild` again: {whole}"
    )
