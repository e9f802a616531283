"""How far a rebuild of a home has come: `rebuild.json` in it, from the first change until all is compared."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from streaming.errors import CheckpointError
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.settings import Settings

JOURNAL = "rebuild.json"
BEGUN, FILLED, LOADED = "begun", "filled", "loaded"


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
    """The journal of a rebuild that is not finished. Raises CheckpointError where it cannot be read."""
    path = settings.home / JOURNAL
    try:
        return Journal(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        msg = (
            f"{path} cannot be read ({error}): it says how far a rebuild has come. Give this user the right to read it"
        )
        raise CheckpointError(msg) from error


def folder_aside(settings: Settings, stamp: str) -> Path:
    """The folder in the home for what the rebuild sets aside."""
    return settings.home / f"old-{stamp}"


def input_again(settings: Settings, stamp: str) -> Path:
    """The input of the loading: not the real one, where producers go on."""
    return folder_aside(settings, stamp) / "again"


def refuse_other_runs(settings: Settings) -> None:
    """Raises CheckpointError where a rebuild of this home is not finished, unless this is its own run."""
    journal = read_journal(settings)
    if journal is not None and settings.input != str(input_again(settings, journal.stamp)):
        msg = (
            f"a rebuild of {settings.home} is not finished: `stocketl rebuild` with the same options goes on with it. "
            f"To give it up while nothing has been changed yet, remove {settings.home / JOURNAL}"
        )
        raise CheckpointError(msg)
