"""Runs as processes: how a job is started, watched, stored and found again."""
