"""Block files of NanoMEGAS (``.blo``): scans of precession electron diffraction."""
