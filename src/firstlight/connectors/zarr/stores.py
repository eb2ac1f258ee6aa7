"""Where a Zarr group lies: a folder, or a prefix of an S3 bucket."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from firstlight.core.errors import MissingExtra, SourceError


def is_url(path: str) -> bool:
    """True for ``s3://bucket/prefix``; anything else is a folder.

    Raises:
        SourceError: It is an address of another kind.
    """
    if "://" not in path:
        return False
    if urlparse(path).scheme != "s3" or not urlparse(path).netloc:
        raise SourceError(
            "This address is not known.",
            field="path",
            value=path,
            expected="a folder, or s3://bucket/path",
        )
    return True


def store_at(path: str, endpoint: str | None, *, read_only: bool) -> Any:
    """The store of a folder or an address.

    Credentials come from where programs for S3 look for them (environment, instance), never from a job.

    Args:
        path: A folder, or ``s3://bucket/prefix``.
        endpoint: Address of an S3 server other than Amazon's.
        read_only: False to write.

    Raises:
        MissingExtra: The library for S3 is not installed.
    """
    try:
        from zarr.storage import LocalStore
    except ModuleNotFoundError as missing:
        raise MissingExtra("zarr", "zarr", "A Zarr group") from missing
    if not is_url(path):
        return LocalStore(Path(path).expanduser(), read_only=read_only)
    try:
        from obstore.store import S3Store
        from zarr.storage import ObjectStore
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "obstore", "s3", "An address that begins with s3://") from missing
    parts = urlparse(path)
    options: dict[str, Any] = {"prefix": parts.path.strip("/")}
    if endpoint is not None:
        options |= {"endpoint": endpoint, "client_options": {"allow_http": endpoint.startswith("http://")}}
    return ObjectStore(S3Store(parts.netloc, **options), read_only=read_only)


def said(error: Exception) -> str:
    """What an error says to people: of what a store adds for debugging (its own state, the server's XML) the message alone."""
    text, _, answer = str(error).partition("\n\nDebug source")[0].partition("<?xml")
    told = re.search("<Message>([^<]+)", answer)
    return f"{type(error).__name__}: {text.strip()}{f' {told[1]}' if told else ''}"
