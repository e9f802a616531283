"""Small scripts, in a cache folder of the user, that start a program a little differently."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def cache_folder() -> Path:
    """Where this user's copies of what Spark needs are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stocketl"


def wrapper(name: str, script: str) -> Path:
    """An executable `…/bin/<name>` with this text; the same text gives the same file."""
    made = cache_folder() / f"{name}-{hashlib.sha256(script.encode()).hexdigest()[:12]}" / "bin" / name
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        unfinished = made.with_name(f"{name}.{os.getpid()}")
        unfinished.write_text(script)
        unfinished.chmod(0o755)
        unfinished.replace(made)
    return made
