"""Failures on purpose: bounded, guarded, measured."""
