"""What a Savu plugin sees of Savu: the base classes it derives from, and the data that it asks about itself.

Written against the contract of ``savu.plugins`` (setup, padding, pre_process, process_frames, post_process), not against
its code. Where Savu itself is installed, a plugin derives from Savu's own classes, and finds what it asks for here too.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import yaml

from firstlight.core.errors import FirstlightError
from firstlight.parser import literal

_DEFAULT = re.compile(
    r":(?:\*|~)?param\s+(?P<name>\w+)\s*:.*?Default\s*:\s*(?P<value>.+?)\s*\.?\s*(?=(?:\n\s*:|\Z))", re.DOTALL
)


class Plugin:
    """The base of all plugins."""

    def __init__(self, name: str = "Plugin") -> None:
        """Keep the name."""
        self.name = name

    parameters: Mapping[str, Any] = {}
    """Set before anything else is called."""

    def setup(self) -> None:
        """Name the pattern of the data; `BaseFilter` does it for filters."""

    def set_filter_padding(self, in_data: Any, out_data: Any) -> None:
        """Ask for neighbours; none by default."""

    def pre_process(self) -> None:
        """Called once before the first frame."""

    def post_process(self) -> None:
        """Called once after the last frame."""

    def nInput_datasets(self) -> int:  # noqa: N802  (their name)
        """One data set goes in."""
        return 1

    def nOutput_datasets(self) -> int:  # noqa: N802
        """One data set comes out."""
        return 1


class BaseFilter(Plugin):
    """The base of filters: frames in, frames of the same shape out."""

    def get_plugin_pattern(self) -> str:
        """PROJECTION or SINOGRAM."""
        return "PROJECTION"

    def get_max_frames(self) -> str | int:
        """How many frames at once: 'single', 'multiple', or a number."""
        return "multiple"


class BaseRecon(Plugin):
    """The base of reconstructions: one sinogram in, one slice out."""

    frame_params: tuple[Any, ...] = ()

    def get_frame_params(self) -> tuple[Any, ...]:
        """Column of the axis, angles in degree, shape of the slice, start."""
        return self.frame_params

    def get_plugin_pattern(self) -> str:
        """A reconstruction takes sinograms."""
        return "SINOGRAM"

    def get_max_frames(self) -> str | int:
        """One sinogram after the other."""
        return "single"


class Driver:
    """Base of the mix-ins that say where a plugin runs; here the runner says it."""


def register_plugin(plugin: type) -> type:
    """Savu's registration; here nothing has to be registered."""
    return plugin


class PluginTools:
    """Base of the classes that describe a plugin's parameters."""


class CitationInformation:
    """Takes what a plugin says about its origin."""


_MODULES: Mapping[str, Mapping[str, Any]] = {
    "savu.plugins.plugin": {"Plugin": Plugin},
    "savu.plugins.filters.base_filter": {"BaseFilter": BaseFilter},
    "savu.plugins.base_filter": {"BaseFilter": BaseFilter},
    "savu.plugins.reconstructions.base_recon": {"BaseRecon": BaseRecon},
    "savu.plugins.base_recon": {"BaseRecon": BaseRecon},
    "savu.plugins.driver.cpu_plugin": {"CpuPlugin": Driver},
    "savu.plugins.driver.multi_threaded_plugin": {"MultiThreadedPlugin": Driver},
    "savu.plugins.utils": {"register_plugin": register_plugin},
    "savu.plugins.plugin_tools": {"PluginTools": PluginTools},
    "savu.data.plugin_list": {"CitationInformation": CitationInformation},
}


@contextlib.contextmanager
def stand_ins() -> Iterator[None]:
    """While this holds, files of plugins can be imported where Savu is not installed.

    >>> with stand_ins():
    ...     from savu.plugins.filters.base_filter import BaseFilter as Theirs
    >>> Theirs is BaseFilter
    True
    """
    try:
        importlib.import_module("savu")
    except ModuleNotFoundError:
        pass
    else:
        yield
        return
    made: dict[str, ModuleType] = {}
    for name, contents in _MODULES.items():
        parts = name.split(".")
        for count in range(1, len(parts) + 1):
            path = ".".join(parts[:count])
            made.setdefault(path, ModuleType(path))
            made[path].__path__ = []  # a package, so that what lies below can be imported
        made[name].__dict__.update(contents)
    sys.modules.update(made)
    try:
        yield
    finally:
        for path in made:
            sys.modules.pop(path, None)


_LABELS = ("rotation_angle", "detector_y", "detector_x")


class Asked:
    """Notes what a plugin's `set_filter_padding` and `setup` ask for."""

    def __init__(self, shape: tuple[int, ...], frame: tuple[int, ...] | None = None) -> None:
        """Know the shape of the whole data, and which of its axes a frame has."""
        self.padding: Any = None
        self.pattern: str | None = None
        self.frames: str | int | None = None
        chosen = frame or range(len(shape))
        self._shape = tuple(shape[place] for place in chosen)
        self._labels = tuple(_LABELS[place] for place in chosen)

    def plugin_data_setup(self, pattern: str, frames: str | int, **more: Any) -> None:
        """Note pattern and frames."""
        self.pattern, self.frames = pattern, frames

    def create_dataset(self, *given: Any, **more: Any) -> None:
        """The output is like the input here."""

    def get_shape(self) -> tuple[int, ...]:
        """Shape of the data: angle, row, col, or those of them that a frame has."""
        return self._shape

    def get_data_dimension_by_axis_label(self, label: str, contains: bool = False) -> int:
        """The place of an axis in this shape.

        Raises:
            FirstlightError: There is no such axis.
        """
        for place, known in enumerate(self._labels):
            if label == known or (contains and label in known):
                return place
        raise FirstlightError(
            "The plugin asks for an axis that its data do not have.",
            field="axis",
            value=label,
            expected=", ".join(self._labels),
        )

    def __getattr__(self, name: str) -> Any:
        """Say what is not there.

        Raises:
            FirstlightError: Always.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        raise FirstlightError(
            f"The plugin asks its data for '{name}', which is not known here.",
            field="plugin",
            value=name,
            expected="a CPU plugin that needs frames, padding, parameters and shape alone",
            next_move="Write it as a step of its own; see docs/how-to/add-a-step.md.",
        )


def defaults(kind: type) -> dict[str, Any]:
    """Default values of a plugin's parameters, from its docstring (``:param name: … Default: value.``) or its tools class."""
    found: dict[str, Any] = {}
    for each in reversed(kind.__mro__):
        for match in _DEFAULT.finditer(each.__doc__ or ""):
            text = match["value"].strip()
            try:
                found[match["name"]] = literal(text)
            except (ValueError, SyntaxError):
                found[match["name"]] = text.strip("'\"")
        found |= _of_tools(each)
    return found


def _module(name: str) -> ModuleType | None:
    """A module that is there, or can be imported: the tools of a plugin lie in a file beside it."""
    if name not in sys.modules and name.endswith("_tools"):
        with contextlib.suppress(ImportError), stand_ins():
            return importlib.import_module(name)
    return sys.modules.get(name)


def _of_tools(kind: type) -> dict[str, Any]:
    """Defaults of the class ``NameTools``, whose method `define_parameters` has YAML for a docstring."""
    for module in (kind.__module__, kind.__module__ + "_tools"):
        tools = getattr(_module(module), kind.__name__ + "Tools", None)
        text = getattr(getattr(tools, "define_parameters", None), "__doc__", None)
        if text:
            described = yaml.safe_load(text)
            return {
                str(name): value.get("default")
                for name, value in (described or {}).items()
                if isinstance(value, Mapping) and "default" in value
            }
    return {}
