"""/api/v2: what the original's interface lacks: all clusters, events as they come, explanations, what-if, tokens."""
