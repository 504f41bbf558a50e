"""Drafts, versions and changes of the configuration for programs, below /api/v2."""
