"""Which of the project's own files go into the archives of the job and of the Lambdas."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_JOB_SUFFIXES = {".py", ".sql", ".lock", ".conf", ".properties"}


def job_sources(root: Path) -> dict[str, Path]:
    """The package `streaming` and what it reads beside it, by their names in the archive."""
    folders = ("streaming", "checkpoints_conf")
    files = (path for folder in folders for path in (root / folder).rglob("*") if path.suffix in _JOB_SUFFIXES)
    return {str(path.relative_to(root)): path for path in files}


def lambda_sources(root: Path) -> dict[str, Path]:
    """The files of `lambda/`, and the modules of `streaming` that they import, with the packages that these lie in."""
    own = {str(path.relative_to(root / "lambda")): path for path in (root / "lambda").rglob("*.py")}
    borrowed: dict[str, Path] = {}
    todo = [module for path in own.values() for module in _imported(root, path)]
    while todo:
        path = todo.pop()
        name = str(path.relative_to(root))
        if name not in borrowed:
            borrowed[name] = path
            todo += _imported(root, path)
    return own | borrowed


def _imported(root: Path, path: Path) -> Iterator[Path]:
    """The files of `streaming` that a module imports when it is loaded, and the `__init__.py` of each package above."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "streaming":
            place = root / str(node.module).replace(".", "/")
            modules = [place.with_suffix(".py"), *(place / f"{name.name}.py" for name in node.names)]
            for module in filter(lambda file: file.is_file(), modules):
                yield module
                packages = (folder for folder in module.parents if folder.is_relative_to(root / "streaming"))
                yield from (package / "__init__.py" for package in packages)
