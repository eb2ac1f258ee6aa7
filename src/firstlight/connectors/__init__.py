"""Connectors: one folder for each outside system, with its source, sink, view or simulator."""
