"""Named points at which the tests kill the process; nothing happens unless `STOCKETL_FAULT` names one.

`STOCKETL_FAULT=<point>:<file>`: the process that reaches the point creates the file and then waits to be
killed, so a test kills the whole process tree at a known place and can prove that it did.
"""

import os
import pathlib
import signal


def reach(point: str) -> None:
    """Stops here for ever, once per file, if the environment names this point."""
    wanted = os.environ.get("STOCKETL_FAULT")
    if wanted is None:
        return
    name, _, marker = wanted.partition(":")
    if name != point:
        return
    path = pathlib.Path(marker)
    if not path.exists():
        unfinished = path.with_name(f"{path.name}.tmp")
        unfinished.write_text(f"{point} {os.getpid()}\n")
        unfinished.replace(path)
        signal.pause()


def die(victim: str) -> None:
    """Ends this process as a broken native parser would, each time, if the environment says `die:<victim>`."""
    if os.environ.get("STOCKETL_FAULT") == f"die:{victim}":
        os.kill(os.getpid(), signal.SIGKILL)
