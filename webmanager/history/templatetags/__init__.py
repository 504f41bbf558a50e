"""Filters for the page of this package."""
