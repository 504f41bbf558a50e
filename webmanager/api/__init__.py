"""The REST interface /api/v1, compatible with the original's, and its schema."""
