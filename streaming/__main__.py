"""The command `stocketl`, also as `python -m streaming`."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` takes so long to load that Ctrl-C may hit it
import gc
import sys
from importlib.abc import MetaPathFinder

_QUESTIONS = {"asof", "explain", "plan"}
"""Commands that answer and end."""


class _NoPandas(MetaPathFinder):
    """Finds no pandas. pyarrow loads it at its first conversion, if it is there, and commands would wait 0.2 s."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def main() -> None:
    """The command line; while it is loaded, Ctrl-C ends the process without a word.

    No garbage is looked for while modules are loaded, nor by a command that ends soon: there is nearly none, and to
    look through everything again and again takes an eighth of the time of `explain`.
    """
    gc.disable()
    before = _signal.getsignal(_signal.SIGINT)
    if before is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    ends_soon = bool(_QUESTIONS.intersection(sys.argv[1:2]))
    if ends_soon:
        sys.meta_path.insert(0, _NoPandas())
    from streaming.cli import main as command  # noqa: PLC0415 (this is what takes long)

    if not ends_soon:
        gc.enable()
    _signal.signal(_signal.SIGINT, before)
    try:
        command()
    finally:
        for number in (_signal.SIGINT, _signal.SIGTERM):
            _signal.signal(number, _signal.SIG_IGN)
        gc.freeze()  # else Python looks through all objects again at its end: 0.1 s


if __name__ == "__main__":
    main()
