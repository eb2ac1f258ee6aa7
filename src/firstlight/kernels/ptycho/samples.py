"""What light does in the sample: one thin object, slices with free space between them, or incoherent states of one object.

Slices (multislice): Maiden, Humphry and Rodenburg, J. Opt. Soc. Am. A 29, 1606 (2012). The probe lights the first one; what leaves a slice,
propagated over the gap (Fresnel), lights the next; what leaves the last goes to the detector. States: Thibault and Menzel, Nature 494, 68
(2013). An object that changes within a frame is the sum of the intensities of its states; each gives an exit wave with each mode of the probe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from .propagate import NearField
from .waves import empty_like, exit_waves, namespace

Array = Any


@dataclass(frozen=True, slots=True)
class Passage:
    """Light of some positions on its way."""

    lights: list[Array]
    """What falls on each layer, shape (1 or position, mode, v, u)."""
    waves: Array
    """What goes to the detector, shape (position, mode, v, u): with states, those of the first state come first."""


class Sample(Protocol):
    """How light goes through the layers of an object, and how changes go back; one layer: shape (y, x), else (layer, y, x)."""

    @property
    def first(self) -> slice:
        """The layers that the probe itself lights."""
        ...

    def through(self, image: Array, light: Array, corners: Array, out: Array | None = None) -> Passage:
        """Exit waves of windows.

        Args:
            image: The object.
            light: Probes, shape (1 or position, mode, v, u).
            corners: Shape (position, 2), integers on the host.
            out: Where the exit waves go; default: memory of their own.
        """
        ...

    def back(self, image: Array, change: Array, corners: Array, *, scaled: bool) -> list[Array]:
        """What changes of exit waves mean for what leaves each layer: the adjoint, first layer first.

        Args:
            image: The object.
            change: Shape (position, mode, v, u), as the exit waves.
            corners: Shape (position, 2).
            scaled: In each slice divided by the largest ``|O|²``, so that it stays a change as ePIE shares it out; else a derivative.
        """
        ...

    def along(
        self, image: Array, to_image: Array | None, passage: Passage, to_light: Array | None, corners: Array
    ) -> Array:
        """By how much exit waves change to first order when object and probes change; None: they stay, not both."""
        ...


def layers_of(image: Array) -> list[Array]:
    """The layers of an object, shape (y, x) each; views."""
    return [image] if image.ndim == 2 else list(image)


def _lit(layer: Array, light: Array, corners: Array, out: Array | None = None) -> Array:
    return exit_waves(
        layer, light, corners, empty_like(light, (len(corners), *light.shape[1:])) if out is None else out
    )


def _changed(
    layer: Array, to_layer: Array | None, light: Array, to_light: Array | None, corners: Array
) -> Array | None:
    """``δO P + O δP``; None where nothing changes."""
    parts = [
        _lit(one, other, corners)
        for one, other in ((to_layer, light), (layer, to_light))
        if one is not None and other is not None
    ]
    if len(parts) == 2:
        parts[0] += parts[1]
    return parts[0] if parts else None


def _known(change: Array | None) -> Array:
    if change is None:
        raise ValueError("neither object nor probe changes")
    return change


@dataclass(frozen=True, slots=True)
class Thin:
    """One layer."""

    @property
    def first(self) -> slice:
        """It."""
        return slice(0, 1)

    def through(self, image: Array, light: Array, corners: Array, out: Array | None = None) -> Passage:
        """``P O``."""
        return Passage([light], _lit(image, light, corners, out))

    def back(self, image: Array, change: Array, corners: Array, *, scaled: bool) -> list[Array]:
        """The same."""
        return [change]

    def along(
        self, image: Array, to_image: Array | None, passage: Passage, to_light: Array | None, corners: Array
    ) -> Array:
        """``P δO + O δP``."""
        return _known(_changed(image, to_image, passage.lights[0], to_light, corners))


@dataclass(frozen=True, slots=True)
class Slices:
    """Layers that light passes one after the other."""

    gap: NearField
    """From one to the next, over a window."""

    @property
    def first(self) -> slice:
        """The first one."""
        return slice(0, 1)

    def through(self, image: Array, light: Array, corners: Array, out: Array | None = None) -> Passage:
        """Multiply, propagate, multiply."""
        lights = [light]
        for layer in image[:-1]:
            lights.append(self.gap.forward(_lit(layer, lights[-1], corners)))
        return Passage(lights, _lit(image[-1], lights[-1], corners, out))

    def back(self, image: Array, change: Array, corners: Array, *, scaled: bool) -> list[Array]:
        """``O* δψ``, back over the gap."""
        changes = [change]
        for layer in image[:0:-1]:
            light = _lit(layer, changes[-1].conj(), corners).conj()
            if scaled:
                light /= (layer.real**2 + layer.imag**2).max()
            changes.append(self.gap.backward(light))
        return changes[::-1]

    def along(
        self, image: Array, to_image: Array | None, passage: Passage, to_light: Array | None, corners: Array
    ) -> Array:
        """What changes before a slice goes through it too."""
        change = None
        for number, layer in enumerate(image):
            to_layer = None if to_image is None else to_image[number]
            change = _changed(layer, to_layer, passage.lights[number], to_light, corners)
            if change is not None and number < len(image) - 1:
                to_light = self.gap.forward(change)
        return _known(change)


@dataclass(frozen=True, slots=True)
class States:
    """Layers each of which is the object for a part of the time."""

    @property
    def first(self) -> slice:
        """All."""
        return slice(None)

    def through(self, image: Array, light: Array, corners: Array, out: Array | None = None) -> Passage:
        """The exit waves of all states."""
        if out is None:
            out = empty_like(light, (len(corners), len(image) * light.shape[1], *light.shape[2:]))
        return Passage([light] * len(image), exit_waves(image, light, corners, out))

    def back(self, image: Array, change: Array, corners: Array, *, scaled: bool) -> list[Array]:
        """Each state's own."""
        modes = change.shape[1] // len(image)
        ascontiguous = namespace(change).ascontiguousarray
        return [ascontiguous(change[:, number * modes : (number + 1) * modes]) for number in range(len(image))]

    def along(
        self, image: Array, to_image: Array | None, passage: Passage, to_light: Array | None, corners: Array
    ) -> Array:
        """Each state's own."""
        light = passage.lights[0]
        moves = [None] * len(image) if to_image is None else to_image
        parts = [_known(_changed(one, move, light, to_light, corners)) for one, move in zip(image, moves, strict=True)]
        return namespace(light).concatenate(parts, axis=1)


THIN: Sample = Thin()
