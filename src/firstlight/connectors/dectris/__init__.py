"""DECTRIS detectors over SIMPLON: stream v1 and v2 over ZeroMQ, and the REST interface."""
