"""What a forced recovery would do and lose, told before it is asked for."""

from __future__ import annotations

from typing import Any

from agent.wire.mirror import plan_of_force
from webmanager.mirrors import words


def report(mirror: dict[str, Any], source: str) -> dict[str, Any]:
    """`source`: whose data would stay. `possible` False: `sentences` say why not."""
    plan = plan_of_force(mirror["name"], source, mirror["servers"])
    said = [words.sentence(code, values) for code, values in plan.facts]
    lost = next((values["lost_bytes"] for _, values in plan.facts if "lost_bytes" in values), None)
    return {"server": source, "possible": bool(plan.does), "does": plan.does, "sentences": said, "lost_bytes": lost,
            "codes": [code for code, _ in plan.facts]}  # fmt: skip


def preview(status: dict[str, Any], target: str, server: str) -> dict[str, Any]:
    """As the preview of an operation is shown."""
    found = report(status["mirrors"][target], server)
    if not found["possible"]:
        refusal = {"text": " ".join(found["sentences"]), "said": True}
        return {"steps": [], "refusal": refusal, "downtime_s": {}, "error": ""}
    steps = [{"at_s": 0.0, "text": text} for text in found["sentences"]]
    return {"steps": steps, "refusal": None, "downtime_s": {}, "error": ""}
