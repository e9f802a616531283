"""`stocketl page` as a command: how it begins and ends."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from job_process import command
from page_server import PageServer

from streaming.database import embedded
from streaming.database.transactions import Transactions
from streaming.ledger import writer
from streaming.settings import load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose embedded server is down and holds an empty ledger."""
    data = load(environment=False, home=str(tmp_path / "home")).postgres_data
    transactions = Transactions(embedded.start(data), threading.Event())
    transactions.run(writer.create)
    transactions.close()
    embedded.stop(data)
    return tmp_path / "home"


def test_the_embedded_server_is_up_as_long_as_the_page(home: Path) -> None:
    """The page starts it, as its role for reading, and stops it in order when it is told to end."""
    with PageServer("--home", str(home)) as server:
        assert server.ask("drops") == []
        assert server.next_event(server.events(), "hello")["strip"]["counts"] == {
            "success": 0,
            "failed": 0,
            "waiting": 0,
        }
        assert embedded.running(home / "postgres") is not None
        events = server.events()
        assert server.next_event(events, "hello")["away"] is None
        assert server.stop(signal.SIGTERM) == 143, server.rest()
        assert server.rest() == ""  # though a page was open
    assert embedded.running(home / "postgres") is None


def test_an_address_that_is_taken_is_told(home: Path) -> None:
    """In one line, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("page", "--home", str(home), "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"127.0.0.1:{port} cannot be used" in done.stderr
    assert "give another port" in done.stderr


def test_without_a_database_nothing_is_served(tmp_path: Path) -> None:
    """The message says what makes one."""
    done = command("page", "--home", str(tmp_path), "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "`stocketl run" in done.stderr
