"""The verbs of clpsim, one a file."""
