"""How numbers are written: one text with its decimal sign, thousands, currency, K or M → the plain decimal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_ZEROS = {"k": 3, "m": 6, "b": 9, "t": 12}
_BLANK = " \u00a0\u202f"


@dataclass(frozen=True)
class Numbers:
    """How the numbers of a column are written; the default is the contract's own way.

    decimal: `.` or `,`; thousands: what may stand between groups of digits, empty = nothing (a blank stands for the
    no-break blanks too); signs: currency signs that may stand before or behind; suffixes: K, M, B and T may end a
    number.
    """

    decimal: str = "."
    thousands: str = ""
    signs: tuple[str, ...] = ()
    suffixes: bool = False

    @cached_property
    def is_plain(self) -> bool:
        """Whether a number is what it stands for as it is written."""
        return self == Numbers()

    @property
    def separators(self) -> str:
        """The characters that may stand between groups of digits."""
        return _BLANK if self.thousands == " " else self.thousands

    @cached_property
    def pattern(self) -> str:
        """Of a number without blanks, sign of a currency and suffix: `digits`, `fraction` and `exponent`."""
        between = f"[{re.escape(self.separators)}]"
        groups = f"|[0-9]{{1,3}}(?:{between}[0-9]{{2,3}})*{between}[0-9]{{3}}" if self.thousands else ""
        fraction = rf"(?P<point>{re.escape(self.decimal)}(?P<fraction>[0-9]*))?"
        return rf"\+?(?P<digits>[0-9]*{groups}){fraction}(?P<exponent>[eE][+-]?[0-9]+)?"

    def plain(self, text: str) -> str | None:
        """The plain or exponent decimal that a text without blanks around it stands for; None if it is no number.

        >>> Numbers(decimal=",", thousands=".").plain("1.234,50")
        '1234.50'
        >>> Numbers(signs=("$",), suffixes=True).plain("$68.18K")
        '68.18e3'
        """
        if self.is_plain:
            return text
        bare = self._without_sign(text)
        zeros = _ZEROS.get(bare[-1:].lower(), 0) if self.suffixes else 0
        found = self._matcher.fullmatch(bare[:-1].rstrip() if zeros else bare)
        if found is None or (zeros and found["exponent"]) or not (found["digits"] or found["fraction"]):
            return None
        digits = "".join(letter for letter in found["digits"] if letter.isdigit())
        exponent = f"e{zeros}" if zeros else found["exponent"] or ""
        return f"{digits}{'.' if found['point'] else ''}{found['fraction'] or ''}{exponent}"

    @cached_property
    def _matcher(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def _without_sign(self, text: str) -> str:
        for sign in self.signs:
            if text.startswith(sign):
                return text[len(sign) :].strip(_BLANK)
            if text.endswith(sign):
                return text[: -len(sign)].strip(_BLANK)
        return text


PLAIN = Numbers()
"""As the contract has them."""
