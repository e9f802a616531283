"""Which of the project's own files go into the job's archive and into that of the Lambdas."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_JOB_SUFFIXES = {".py", ".sql", ".lock", ".conf", ".properties"}


def job_sources(root: Path) -> dict[str, Path]:
    """The package `streaming` and what it reads beside it, by their names in the archive."""
    folders = ("streaming", "streaming/migrations", "checkpoints_conf")
    files = (path for folder in folders for path in (root / folder).iterdir() if path.suffix in _JOB_SUFFIXES)
    return {str(path.relative_to(root)): path for path in files}


def lambda_sources(root: Path) -> dict[str, Path]:
    """The files of `lambda/`, and the modules of `streaming` that they import."""
    own = {path.name: path for path in (root / "lambda").glob("*.py")}
    borrowed: dict[str, Path] = {}
    todo = [module for path in own.values() for module in _imported(path)]
    while todo:
        path = root / todo.pop()
        name = str(path.relative_to(root))
        if name not in borrowed:
            borrowed[name] = path
            todo += _imported(path)
    return own | ({"streaming/__init__.py": root / "streaming" / "__init__.py"} | borrowed if borrowed else {})


def _imported(path: Path) -> Iterator[str]:
    """The files of `streaming` that a module imports when it is loaded."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module == "streaming":
            yield from (f"streaming/{name.name}.py" for name in node.names if not name.name.startswith("__"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streaming."):
            yield f"{str(node.module).replace('.', '/')}.py"
