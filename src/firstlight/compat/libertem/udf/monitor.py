"""The newest frame, where LiberTEM's scripts import it from."""

from ..shipped import SignalMonitorUDF

__all__ = ["SignalMonitorUDF"]
