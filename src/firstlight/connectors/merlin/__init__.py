"""Quantum Detectors Merlin (Medipix3): its data and control ports, and the files it writes."""
