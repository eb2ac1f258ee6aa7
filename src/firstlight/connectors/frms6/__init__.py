"""Files of PNDetector pnCCD cameras (``.frms6`` and ``.hdr``)."""
