"""Runners: a readable reference, and the one that uses every core."""
