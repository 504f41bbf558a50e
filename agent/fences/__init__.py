"""Fence agents: programs that force a server off, of the package fence-agents; what each needs, from its metadata."""
