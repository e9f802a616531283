"""Makes passwords unreadable in all that a person or a log may see."""

from __future__ import annotations

import re

_IN_URI = re.compile(r"(\w+://[^\s:/@]*:)\S*@")
_NAMED = re.compile(
    r"""(?ix)
    (password["']?\s*[=:]\s*)     # as libpq, a URI's query, the environment or JSON writes it
    (?: '(?:[^'\\]|\\.)*(?:'|\Z) | "(?:[^"\\]|\\.)*(?:"|\Z) | [^\s&]+ )
    """
)


def masked(text: str) -> str:
    """The text with `***` in the place of each password.

    >>> masked("host=db password='se cret' or postgresql://me:s3cr@t@db/x")
    'host=db password=*** or postgresql://me:***@db/x'
    """
    return _NAMED.sub(r"\1***", _IN_URI.sub(r"\1***@", text))


def first_line(said: BaseException | str | None) -> str:
    """What an error says in its first line, or else its name: at most 300 characters, masked, without a full stop.

    >>> first_line(ValueError("no password=x here."))
    'no password=*** here'
    """
    otherwise = said if isinstance(said, str) else type(said).__name__
    return masked(next(iter(str(said).strip().splitlines()), otherwise))[:300].rstrip(".")


def masked_in(value: object) -> object:
    """The same for each text in lists and dicts."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {masked(str(name)): masked_in(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked_in(item) for item in value]
    return value
