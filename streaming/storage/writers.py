"""Whether somebody has a file open for writing.

`cp`, scp and many programs write under the final name, and may pause for longer than `--settle`. The kernel knows: it
grants a read lease only on a file that nobody has open for writing (man 2 fcntl, F_SETLEASE). It is given back at once.
Where it cannot be asked (another owner's file, a network file system), the file counts as written: `--settle` decides.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from contextlib import suppress

_SET_SIGNAL = 10  # F_SETSIG: who opens the file for writing in this moment waits, and this process gets a signal
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_being_written(path: str) -> bool:
    """Asks the kernel. False also for what cannot be opened, which is told elsewhere."""
    try:
        file = os.open(path, _READ)
    except OSError:
        return False
    try:
        fcntl.fcntl(file, _SET_SIGNAL, signal.SIGURG)  # by default a process ignores it; SIGIO would end it
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    else:
        with suppress(OSError):
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
    finally:
        os.close(file)
