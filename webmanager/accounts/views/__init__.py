"""Pages about people and agents."""
