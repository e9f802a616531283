"""Databases by name on one server: made empty, copied as a whole, so that a test can begin where another one ended."""

from __future__ import annotations

import urllib.parse

import psycopg2
from psycopg2 import sql


class Databases:
    """server: the URI of a database to which this role may connect and create others."""

    def __init__(self, server: str) -> None:
        self._server = server

    def uri(self, name: str) -> str:
        """The server's URI with another database in it."""
        parts = urllib.parse.urlsplit(self._server)
        # urlunsplit drops the empty host of `postgresql://user@/name?host=/folder`
        return f"{parts.scheme}://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")

    def create(self, name: str) -> str:
        """The URI of a fresh empty database."""
        return self.copy("template1", name)

    def copy(self, source: str, name: str) -> str:
        """The URI of a fresh copy; sessions on an older database of this name are cut, and it is dropped."""
        self.drop(name)
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(source)))
        return self.uri(name)

    def drop(self, name: str) -> None:
        """Removes a database, if it is there, and cuts the sessions on it."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        connection = psycopg2.connect(self._server)
        connection.autocommit = True
        try:
            with connection.cursor() as cur:
                cur.execute(statement)
        finally:
            connection.close()
