"""What a field should look like where a row was rejected, and which option of a profile reads it otherwise."""

from __future__ import annotations

_EXPECTED = {
    "line-too-long": "expected a line of at most 1 MiB",
    "bad-quotes": "expected quotes that end before the next delimiter",
    "wrong-number-of-fields": (
        "expected as many fields as the header has; a profile names those of the rows: "
        'csv = { skip_lines = 1, header = ["date", …] }'
    ),
    "not-utf8": 'expected UTF-8 in date, ticker, price and volume; a profile reads others: csv = { encoding = "…" }',
    "repeated-header": "the names of the columns once more",
    "bad-date": (
        'expected a day such as 2024-03-04; a profile reads others: date = { column = "…", format = "%d/%m/%Y" }, '
        'or "%m/%d/%Y", "%d-%b-%y" for 04-Mar-24, "excel" for 45293, "unix-s" for 1709510400'
    ),
    "bad-id": "expected 1 to 59 bytes without control characters, quotes of a spreadsheet or formulas",
    "missing-price": "expected a price, got an empty field",
    "bad-price": (
        "expected a price from 1e-9 to 1e12 such as 172.54; a profile reads others: "
        'csv = { decimal = ",", thousands = "." } for 1.172,54, currency = "$", suffixes = true for 1.2K'
    ),
    "bad-volume": "expected a whole number or an empty field",
    "control-character": "expected text without control characters, in the other columns too",
}


def expected(reason: str) -> str:
    """One sentence for each reason of `fields.REASONS`; an empty text for any other."""
    return _EXPECTED.get(reason, "")
