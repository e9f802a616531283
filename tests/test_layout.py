"""The house is in order: every test says its rule, every room has its tests, no package hands anything on."""

from __future__ import annotations

import ast
from pathlib import Path

from deploy.sources import lambda_sources

ROOT = Path(__file__).resolve().parents[1]

MOST_FILES_OF_A_ROOM = 12


def packages(folder: str) -> list[Path]:
    """The folders of Python below this one."""
    return sorted({path.parent for path in (ROOT / folder).rglob("*.py")} - {ROOT / folder})


def test_no_package_hands_on_a_name() -> None:
    """An `__init__.py` is empty: whoever needs a thing imports it from where it is."""
    inits = [*(ROOT / "lambda").rglob("__init__.py"), *(ROOT / "streaming").rglob("__init__.py")]
    assert [str(path) for path in inits if path.read_text() and path.parent != ROOT / "streaming"] == []
    code = ast.parse((ROOT / "streaming" / "__init__.py").read_text()).body[1:]
    assert [ast.unparse(line).split(" = ")[0] for line in code] == ["__version__"]


def test_no_room_is_too_full() -> None:
    """What holds more is two rooms."""
    rooms = {str(room.relative_to(ROOT)): len([*room.glob("*.py")]) - 1 for room in packages("streaming")}
    assert {room: files for room, files in rooms.items() if files > MOST_FILES_OF_A_ROOM} == {}


def test_every_room_has_its_tests() -> None:
    """In a folder of the same name, or among the whole processes."""
    without = [room.name for room in packages("streaming") if not [*(ROOT / "tests" / room.name).glob("test_*.py")]]
    assert without == ["rebuild"]
    assert (ROOT / "tests" / "job" / "test_rebuild.py").exists()


def test_the_lambdas_borrow_three_modules_of_the_job() -> None:
    """Their archive is small and starts quickly; a change of anything else needs no new Lambda."""
    borrowed = {name for name in lambda_sources(ROOT) if name.startswith("streaming/")}
    assert {name for name in borrowed if not name.endswith("__init__.py")} == {
        "streaming/errors.py",
        "streaming/storage/place.py",
        "streaming/receipts/names.py",
    }


def test_each_test_says_its_rule() -> None:
    """In the first line of its docstring: one sentence, which ends with its full stop."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for test in ast.walk(ast.parse(path.read_text())):
            if isinstance(test, ast.FunctionDef) and test.name.startswith("test_"):
                said = (ast.get_docstring(test) or "").split("\n")[0]
                if not said.endswith((".", "!", "?")):
                    wrong.append(f"{path.relative_to(ROOT)}: {test.name}: {said!r}")
    assert not wrong, "\n".join(wrong)
