"""Where the page listens, and by which names a browser may call it."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from streaming.errors import SettingsError

DEFAULT = "127.0.0.1:8017"


@dataclass(frozen=True)
class PageAddress:
    """A host name or an IP address, and a port (0: any free one)."""

    host: str
    port: int

    @classmethod
    def read(cls, text: str) -> PageAddress:
        """`HOST:PORT`, `[::1]:PORT`, or a port alone, which stands for 127.0.0.1. Raises SettingsError."""
        found = re.fullmatch(r"(?:(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+)):)?(\d{1,5})", text.strip(), re.ASCII)
        if found is None or int(found[3]) > 65_535:
            msg = f"--listen: expected an address such as {DEFAULT}, got {text!r}"
            raise SettingsError(msg)
        return cls(found[1] or found[2] or "127.0.0.1", int(found[3]))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        ip = _ip(self.host)
        return self.host == "localhost" if ip is None else ip.is_loopback

    def url(self, port: int) -> str:
        """The page's address for a browser on this machine. port: the one that is really used."""
        ip = _ip(self.host)
        host = self.host
        if ip is not None and ip.is_unspecified:  # every interface: any of the machine's names will do
            host = socket.gethostname()
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def is_called(self, header: str) -> bool:
        """Whether a `Host` header names this server.

        A page of a stranger can make its own name lead to 127.0.0.1 (DNS rebinding), but then its name stands here.
        """
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::\d{1,5})?", header, re.ASCII)
        if found is None:
            return False
        name = (found[1] or found[2]).lower().rstrip(".")
        ip = _ip(name)
        if ip is not None:
            return ip.is_loopback or not self.loopback
        known = {"localhost", self.host.lower()}
        return name in (known if self.loopback else known | {socket.gethostname().lower(), socket.getfqdn().lower()})


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
