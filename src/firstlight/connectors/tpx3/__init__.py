"""Timepix3 detectors of Amsterdam Scientific Instruments, as Accos sends their scans: sparse frames over TCP."""
