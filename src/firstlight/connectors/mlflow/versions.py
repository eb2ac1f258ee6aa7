"""Versions of models, as registries know them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .http import RegistryError


@dataclass(frozen=True, slots=True)
class Registered:
    """One version of a model in a registry."""

    name: str
    version: int
    description: str
    status: str
    """READY, PENDING_REGISTRATION or FAILED_REGISTRATION."""
    run: str
    """The run that made it, or nothing."""
    tags: dict[str, str]


def newest(known: Sequence[Registered], name: str, version: int | None) -> Registered:
    """One version of a model, of those that are known in their order; without a number the newest that is ready.

    Raises:
        RegistryError: There is none.
    """
    fitting = [each for each in known if each.status == "READY" and version in (None, each.version)]
    if not fitting:
        asked = name if version is None else f"{name}, version {version}"
        raise RegistryError(
            f"The registry has no model '{asked}' that is ready.",
            field="model",
            value=asked,
            expected="one of " + (", ".join(f"{each.name}_v{each.version}" for each in known) or "none of that name"),
        )
    return fitting[-1]
