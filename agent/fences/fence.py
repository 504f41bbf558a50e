"""fence: a device that forces servers off, by an agent of the package fence-agents.

What is declared here all devices have; the options of an agent come from its own metadata (agent.fences.metadata).
"""

from __future__ import annotations

from agent.clpconf.sections import SECTIONS

SPEC = SECTIONS["fence"]
