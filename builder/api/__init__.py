"""The REST interface of the Builder: /api/v1/configuration."""
