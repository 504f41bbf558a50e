"""All clusters at once, and search."""
