"""The errors a person who runs StockETL can meet: one tree, each message says what to do next."""

START_AGAIN = "`stocketl rebuild` loads all files again without losing a row; it says first what it will do, and asks"


class StockETLError(Exception):
    """Base of every error that ends a command with a plain message and exit code 1."""


class SettingsError(StockETLError):
    """A setting is missing or wrong; the message names the key and the value."""


class DatabaseError(StockETLError):
    """PostgreSQL refuses in a way that waiting does not mend (password, missing column, rights)."""


class SupersededError(StockETLError):
    """A newer job took over the database: this one has stopped writing."""


class CheckpointError(StockETLError):
    """Checkpoint, offset log and ledger disagree: to go on would write wrong returns."""


class VanishedError(StockETLError):
    """A drop's bytes are gone, or are no longer the bytes that were admitted."""


class StorageError(StockETLError):
    """The storage does not answer for the moment: asked again, nothing is lost."""
