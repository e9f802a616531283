"""The errors that a person who runs StockETL can meet. They are one tree; each message says what to do next."""

from typing import ClassVar

START_AGAIN = "`stocketl rebuild` loads all files again without losing a row; it first says what it will do, and asks"


class StockETLError(Exception):
    """Base of every error that ends a command with a plain message and exit code 1."""


class SettingsError(StockETLError):
    """A setting is missing or wrong; the message names the key and the value."""


class DatabaseError(StockETLError):
    """PostgreSQL refuses, and waiting does not help (password, missing column, rights)."""


class SupersededError(StockETLError):
    """A newer job took over the database: this one has stopped writing."""


class CheckpointError(StockETLError):
    """Checkpoint, offset log and ledger disagree: the job would write wrong returns if it went on."""


class DropError(StockETLError):
    """One drop cannot be read, and waiting does not help. `word` begins the reason in its receipt."""

    word: ClassVar[str]


class VanishedError(DropError):
    """A drop's bytes are gone."""

    word = "vanished"


class ChangedError(VanishedError):
    """Another file has the drop's name, and the bytes that were admitted are gone."""

    word = "changed"


class UnreadableDropError(DropError):
    """A drop's bytes are there, but this user may not read them. Other objects of the same place can be read."""

    word = "unreadable"


class SymbolicLinkError(DropError):
    """A drop is a symbolic link. Symbolic links are not read."""

    word = "symbolic-link"


class StorageError(StockETLError):
    """The storage does not answer for the moment. It is asked again, and nothing is lost."""
