"""Steps for scanning transmission electron microscopy and other scanned diffraction."""
