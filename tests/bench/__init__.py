"""Measurements against the project's goals, beside the peers: bin/bench."""
