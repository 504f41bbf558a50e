"""Events that are there already say in columns who wrote them and their number; new ones are stored so."""

from __future__ import annotations

from typing import Any

from django.db import migrations

_CHUNK = 1000


def fill(apps: Any, schema_editor: Any) -> None:
    event = apps.get_model("webmanager", "Event")
    last = 0
    while rows := list(event.objects.filter(id__gt=last).order_by("id").only("id", "note")[:_CHUNK]):
        for row in rows:
            row.server = str(row.note.get("server", ""))[:255]
            row.code = f"{row.note.get('module', '')}:{row.note.get('event', '')}"[:64]
        event.objects.bulk_update(rows, ["server", "code"])
        last = rows[-1].id


class Migration(migrations.Migration):
    dependencies = [("webmanager", "0005_acknowledged")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
