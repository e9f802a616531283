"""`stocketl sniff FILE…`: the profile that reads a file, five rows as they would be read, and what is doubtful."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from streaming.errors import SettingsError
from streaming.packets import UNKNOWN_VOLUME
from streaming.profiles.toml import parse_profiles
from streaming.screen import many, screen, shown
from streaming.sniff.proposal import Answers, Proposal, propose
from streaming.sniff.toml import as_toml
from streaming.storage.locations import is_s3, open_place
from streaming.ticks.fields import iso_of
from streaming.ticks.how import is_parquet
from streaming.ticks.unpack import is_packed
from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.settings import Settings
    from streaming.ticks.parse import Parsed

ROWS = 5
_MOST = 64 << 20


@dataclass(frozen=True)
class Sniffed:
    """A file and what was found; refused: why nothing can be proposed."""

    file: str
    proposal: Proposal
    refused: str | None = None


def sniff(files: Sequence[str], answers: Answers, settings: Settings) -> list[Sniffed]:
    """Looks at files. Raises SettingsError for one that is not there."""
    return [_sniffed(file, answers, settings) for file in files]


def show(found: Sequence[Sniffed]) -> bool:
    """Prints what was found; True if every file can be read, by its profile or without one."""
    console = screen()
    for one in found:
        console.print(f"[bold]{escape(shown(one.file))}[/]", soft_wrap=True)
        if one.refused is not None:
            console.print(f"[red]cannot be read:[/] {escape(shown(one.refused))}", soft_wrap=True)
            continue
        proposal = one.proposal
        for question in proposal.questions:
            console.print(f"[yellow]please say:[/] {escape(shown(question))}", soft_wrap=True)
        if proposal.parsed is not None and not proposal.questions:
            console.print(_rows(proposal.parsed))
            console.print(_counts(proposal.parsed), soft_wrap=True)
        for doubt in proposal.doubts:
            console.print(f"[yellow]look at this:[/] {escape(shown(doubt))}", soft_wrap=True)
        if proposal.profile is not None and not proposal.questions:
            console.print(f"\n{escape(as_toml(proposal.profile))}", soft_wrap=True, highlight=False)
        elif not proposal.questions:
            console.print("[green]no profile is needed[/]")
    return all(one.refused is None and not one.proposal.questions for one in found)


def write(found: Sequence[Sniffed], settings: Settings) -> list[str]:
    """Appends the proposed profiles that are not there yet; their names. Raises SettingsError, StorageError."""
    if settings.profiles is None:
        msg = "profiles: expected a file to write to, got none; give --profiles FILE"
        raise SettingsError(msg)
    folder, _, name = settings.profiles.rpartition("/")
    place = open_place(folder)
    if not is_s3(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    text = (place.get(name) or b"").decode()
    written = []
    for one in found:
        profile = one.proposal.profile
        if profile is None or one.proposal.questions:
            continue
        known = parse_profiles(text, settings.profiles)
        if any(other.files == profile.files and other.digest == profile.digest for other in known):
            continue
        names = {other.name for other in known}
        free = next(
            name for name in (profile.name, *(f"{profile.name}-{n}" for n in range(2, 10_000))) if name not in names
        )
        text += ("\n" if text else "") + as_toml(profile.model_copy(update={"name": free}))
        written.append(free)
    if written:
        parse_profiles(text, settings.profiles)
        place.put(name, text.encode())
    return written


def _sniffed(file: str, answers: Answers, settings: Settings) -> Sniffed:
    try:
        data = _beginning(Path(file))
    except OSError as error:
        msg = f"{file}: {error.strerror}; give the name of a file on this machine"
        raise SettingsError(msg) from error
    try:
        key = Path(file).name
        options = {"text_ids": settings.text_ids, "unpacked_limit": settings.unpacked_limit}
        return Sniffed(file, propose(data, key, answers, **options))  # type: ignore[arg-type]  # each by its name
    except UnreadableError as error:
        return Sniffed(file, Proposal(), str(error))


def _beginning(path: Path) -> bytes:
    """A file, of a large text as many whole lines as fit into 64 MiB."""
    with path.open("rb") as file:
        head = file.read(_MOST)
        if len(head) < _MOST or is_packed(head) or is_parquet(head, None):
            return head + file.read()
    return head[: head.rfind(b"\n") + 1]


def _rows(parsed: Parsed) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    for name in ("date", "ticker"):
        table.add_column(name, no_wrap=True)
    for name in ("price", "volume"):
        table.add_column(name, no_wrap=True, justify="right")
    ticks = parsed.ticks
    for row in range(min(ROWS, len(ticks))):
        volume = int(ticks.volume[row])
        told = "unknown" if volume == UNKNOWN_VOLUME else f"{volume:,}"
        ticker = escape(shown(ticks.ids[ticks.code[row]]))
        table.add_row(iso_of(int(ticks.date[row])), ticker, f"{ticks.price[row]:.12g}", told)
    return table


def _counts(parsed: Parsed) -> str:
    told = [f"{many(parsed.rows_read, 'row')}: {parsed.rows_loaded:,} load"]
    others = (
        (parsed.rows_duplicate, "repeat another one"),
        (parsed.rows_rejected, "are rejected"),
        (parsed.rows_passed_over, "are passed over"),
    )
    told += [f"{count:,} {what}" for count, what in others if count]
    if parsed.volume_unreadable:
        told.append(f"{many(parsed.volume_unreadable, 'volume')} that cannot be read stay unknown")
    return ", ".join(told)
