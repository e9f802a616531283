"""What to do about a drop that failed: a table from the beginning of its reason to a sentence."""

from __future__ import annotations

import re

CORRECT_IT = "Correct the file and drop it again."

_PROFILE = "give it a profile (`stocketl sniff FILE` proposes one) and drop it again."

_ADVICE = (
    (r"second-key", "Say in a profile which rows count (rows = …), then drop it again."),
    (r"vanished|changed", "Copy it to a name that ends in .tmp, rename it, and leave it alone until it is moved."),
    (r"unreadable", "Let the job read it (rights, encryption, archive class), then drop it again."),
    (r"poison", "Its parser does not survive this file. Take out the rows that you suspect and drop it again."),
    (r"too-large|.*unpack", "Split the file, or raise --unpacked-limit, then drop it again."),
    (r".*symbolic link", "Drop the file itself instead of a link to it."),
    (r"the name of the file", "Correct the pattern of the profile, or the name of the file, and drop it again."),
    (r"no drop is called", "Rename it: a name that begins with a dot or ends like .tmp is left alone."),
    (r"the name", "Give it a name that ends in .csv and drop it again. A profile reads files of other names."),
    (r".*empty", "If it should hold rows, drop it again with them. Else there is nothing to do."),
    (
        r"the (gzip|bzip2|xz|zstd|zip)|.*deflate",
        "Pack the file again, once and by itself, or drop it unpacked as .csv.",
    ),
    (r"the Parquet file", "Write it again with plain columns, in row groups of at most a million rows."),
    (r".*(UTF-8|UTF-16|not a CSV)", "Save it as CSV in UTF-8 and drop it again."),
    (r"every row was rejected", f"Correct the rows: the first ones are listed with their reasons. Or: {_PROFILE}"),
    (r".*(header|columns)", f"Correct the header line (date,id,price,trade_volume). Or: {_PROFILE}"),
)


def advice(reason: str) -> str:
    """A whole sentence for any reason of a failed drop."""
    return next((told for pattern, told in _ADVICE if re.match(pattern, reason, re.IGNORECASE)), CORRECT_IT)
