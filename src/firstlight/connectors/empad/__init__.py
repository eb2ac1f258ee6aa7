"""Scans of an EMPAD: plain frames in a .raw file, and an .xml file beside it."""
