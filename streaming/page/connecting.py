"""How other programs reach the database: its URI and a few lines to begin with, for people to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from streaming.screen import Facts

_QUERY = "SELECT * FROM stocketl.latest ORDER BY return DESC NULLS LAST LIMIT 5"


def ways_in(uri: str) -> Facts:
    """The URI, and snippets by the name of the program. uri: without a password."""
    alchemy = "postgresql+psycopg2://" + uri.partition("://")[2]
    return {
        "uri": uri,
        "snippets": [
            {"name": "psql", "text": f"psql '{_of_shell(uri)}'"},
            {
                "name": "pandas",
                "text": "import pandas as pd\nfrom sqlalchemy import create_engine\n\n"
                f"engine = create_engine({alchemy!r})\n"
                f'pd.read_sql("{_QUERY}", engine)',
            },
            {
                "name": "psycopg2",
                "text": "import psycopg2\n\n"  # noqa: S608 (a text to copy, nothing runs it here)
                f"with psycopg2.connect({uri!r}) as connection, connection.cursor() as cur:\n"
                "    cur.execute(\"SELECT date, price, return, volume FROM stocketl.series('AAPL')\")\n"
                "    rows = cur.fetchall()",
            },
            {
                "name": "SQL",
                "text": "-- one ticker, in whichever table it is\n"
                "SELECT date, price, return, volume FROM stocketl.series('AAPL') ORDER BY date DESC LIMIT 5;\n"
                f"-- the highest returns\n{_QUERY};\n-- wake me after each batch\nLISTEN stocketl;",
            },
        ],
    }


def _of_shell(uri: str) -> str:
    return uri.replace("'", quote("'"))
