"""What a person sees of the job: one line for each log record, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from streaming.masking import masked, masked_in
from streaming.screen import shown

if TYPE_CHECKING:
    from logging import _SysExcInfoType

_PLAIN_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def log_to_terminal(log_format: str) -> None:
    """Sends the project's records from INFO up, and warnings of libraries, to standard error; passwords masked.

    log_format: `text` or `json` (one object a line: time, level, logger, message and what the record carries).
    """
    on_terminal = log_format != "json" and sys.stderr.isatty()
    handler = _TerminalHandler() if on_terminal else logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(_is_for_people)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("streaming").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    logging.getLogger("py4j").setLevel(logging.ERROR)  # it reports each call that a stopping JVM no longer answers


def terminal() -> Console | None:
    """The terminal to which the log goes. None if it goes elsewhere, or if the terminal cannot move its cursor."""
    consoles = (to.console for to in logging.getLogger().handlers if isinstance(to, _TerminalHandler))
    return next((console for console in consoles if not console.is_dumb_terminal), None)


class _TerminalHandler(logging.Handler):
    """Writes through a console, so that a progress bar can stand below the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.console = Console(stderr=True, highlight=False)

    def emit(self, record: logging.LogRecord) -> None:
        """One line; only the terminal wraps it."""
        try:
            self.console.print(Text(self.format(record)), soft_wrap=True)
        except Exception:  # noqa: BLE001 (as every handler of the standard library does)
            self.handleError(record)


def _is_for_people(record: logging.LogRecord) -> bool:
    """False for the bridge to Java, which writes some of its stack traces past its own logger."""
    return "py4j" not in Path(record.pathname).parts


class TextLines(logging.Formatter):
    """Time of day, level, message. An error shows its last line, without the stack trace."""

    default_time_format = "%H:%M:%S"
    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        return masked(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (named by logging)
        """One line, whatever a name in it holds: nobody can forge another one."""
        return shown(super().formatMessage(record).rstrip())

    def formatException(self, ei: _SysExcInfoType) -> str:  # noqa: N802 (named by logging)
        """One line."""
        return shown("".join(traceback.format_exception_only(ei[1])).strip())


class JsonLines(logging.Formatter):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _PLAIN_RECORD}
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(masked_in(fields), default=lambda value: masked(str(value)), ensure_ascii=False)
