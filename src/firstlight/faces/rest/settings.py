"""How the service is reached, and what it lets others do."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from firstlight.core.errors import FirstlightError

STATIC = Path(__file__).with_name("static")
SHORTEST_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the service listens and whom it answers.

    Raises:
        FirstlightError: Another address than this machine's own is asked for without a token, or with a weak one.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    """What every request must carry; needed for any other address than loopback."""
    roots: tuple[Path, ...] = ()
    """Folders that jobs which come over the network may read and write; none given: the current folder."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names by which browsers may call a service on loopback, as behind a proxy."""
    allowed_origins: tuple[str, ...] = ()
    """Further pages that may steer runs, such as ``http://localhost:5173``."""
    static: Path = STATIC
    """The built web pages."""
    start_timeout: float = 30.0
    """Seconds to wait for a new run to start before answering that it is still starting."""

    def __post_init__(self) -> None:
        """Refuse what would let strangers in."""
        if self.token is None and not is_loopback(self.host):
            raise FirstlightError(
                "Any address but this machine's own needs a token.",
                field="host",
                value=self.host,
                expected="127.0.0.1, or a token as well",
                next_move="Give '--token' or FIRSTLIGHT_TOKEN, or stay on 127.0.0.1 and use an SSH tunnel.",
            )
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise FirstlightError(
                "The token is too short.",
                field="token",
                expected=f"at least {SHORTEST_TOKEN} characters",
                next_move='Make one: python -c "import secrets; print(secrets.token_urlsafe())"',
            )

    @property
    def confined_to(self) -> tuple[Path, ...]:
        """Folders that jobs from the network may use."""
        return self.roots or (Path.cwd(),)

    @property
    def address(self) -> str:
        """Where a browser finds the service."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


def is_loopback(host: str) -> bool:
    """True for names and addresses that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
