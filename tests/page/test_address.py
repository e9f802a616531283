"""Where the page listens, and which `Host` headers are its own."""

from __future__ import annotations

import socket

import pytest

from streaming.errors import SettingsError
from streaming.page.address import PageAddress


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8017", PageAddress("127.0.0.1", 8017)),
        ("9000", PageAddress("127.0.0.1", 9000)),
        ("[::1]:80", PageAddress("::1", 80)),
        ("desk.example:0", PageAddress("desk.example", 0)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, expected: PageAddress) -> None:
    """A port alone stands for this machine."""
    assert PageAddress.read(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:port", "1.2.3.4:70000", "a b:80", "http://host:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """The message shows one that would do."""
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:8017"):
        PageAddress.read(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("h", False)],  # noqa: S104 (never listened on)
)
def test_only_loopback_needs_no_token(host: str, loopback: bool) -> None:  # noqa: FBT001 (the expected answer)
    """A name could lead anywhere, so of all names only `localhost` counts."""
    assert PageAddress(host, 1).loopback is loopback


@pytest.mark.parametrize(
    ("header", "called"),
    [
        ("127.0.0.1:8017", True),
        ("localhost:9", True),
        ("[::1]:8017", True),
        ("evil.example:8017", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.1", False),
        ("", False),
        ("localhost\x00", False),
    ],
)
def test_a_page_of_this_machine_answers_to_its_own_names_only(header: str, called: bool) -> None:  # noqa: FBT001 (as above)
    """A stranger's name that leads here by DNS rebinding is not one of them."""
    assert PageAddress("127.0.0.1", 8017).is_called(header) is called


def test_a_page_for_others_answers_to_addresses_and_the_names_of_the_machine() -> None:
    """An address cannot be rebound; a stranger's name is refused here too."""
    address = PageAddress("0.0.0.0", 80)  # noqa: S104 (never listened on)
    assert address.is_called("10.1.2.3:80")
    assert address.is_called(socket.gethostname())
    assert not address.is_called("evil.example")
