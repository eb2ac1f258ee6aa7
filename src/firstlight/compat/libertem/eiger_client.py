"""The SIMPLON interface with the method names of DECTRIS's DEigerClient, which LiberTEM-live's connections give."""

from __future__ import annotations

from typing import Any

from firstlight.connectors.dectris.control import Simplon


class EigerClient(Simplon):
    """Our client, which knows these names as well; answers are those of the interface, not taken apart."""

    def sendDetectorCommand(self, command: str, parameter: Any = None) -> Any:  # noqa: N802
        """Give a command: arm, trigger, disarm, …; arm answers with the number of the series."""
        body = None if parameter is None else {"value": parameter}
        return self._ask("PUT", f"detector/api/{self.version}/command/{command}", body)

    def detectorConfig(self, param: str) -> Any:  # noqa: N802
        """A parameter of the detector: its value and what is known of it."""
        return self._asked("detector", "config", param)

    def setDetectorConfig(self, param: str, value: Any) -> list[str]:  # noqa: N802
        """Change it; the names of all that changed with it."""
        return self.put(param, value)

    def setDetectorConfigMultiple(self, *params: Any) -> list[str]:  # noqa: N802
        """Change several, given as name, value, name, value and so on."""
        pairs = zip(params[::2], params[1::2], strict=True)
        return sorted({name for param, value in pairs for name in self.put(param, value)})

    def detectorStatus(self, param: str) -> Any:  # noqa: N802
        """What the detector says of itself."""
        return self._asked("detector", "status", param)

    def streamConfig(self, param: str) -> Any:  # noqa: N802
        """A parameter of the stream."""
        return self._asked("stream", "config", param)

    def setStreamConfig(self, param: str, value: Any) -> list[str]:  # noqa: N802
        """Change it."""
        return self.put(param, value, module="stream")

    def streamStatus(self, param: str) -> Any:  # noqa: N802
        """What the stream says of itself."""
        return self._asked("stream", "status", param)

    def fileWriterConfig(self, param: str) -> Any:  # noqa: N802
        """A parameter of the file writer."""
        return self._asked("filewriter", "config", param)

    def setFileWriterConfig(self, param: str, value: Any) -> list[str]:  # noqa: N802
        """Change it."""
        return self.put(param, value, module="filewriter")

    def _asked(self, module: str, kind: str, param: str) -> Any:
        return self._ask("GET", f"{module}/api/{self.version}/{kind}/{param}")
