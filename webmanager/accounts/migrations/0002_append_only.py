"""The database itself refuses to change or remove a row of the audit; and who had no role so far could look."""

from django.db import migrations

TABLE = "accounts_auditentry"
REASON = "the audit is append-only"
SQLITE = [
    f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REASON}'); END"
    for verb in ("UPDATE", "DELETE")
]
POSTGRESQL = [
    f"CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{REASON}'; END $$",
    f"CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON {TABLE} "
    "FOR EACH ROW EXECUTE FUNCTION audit_append_only()",
]
UNDO = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": [f"DROP TRIGGER audit_append_only ON {TABLE}", "DROP FUNCTION audit_append_only()"],
}


def protect(apps, schema_editor):
    for statement in {"sqlite": SQLITE, "postgresql": POSTGRESQL}.get(schema_editor.connection.vendor, []):
        schema_editor.execute(statement)


def unprotect(apps, schema_editor):
    for statement in UNDO.get(schema_editor.connection.vendor, []):
        schema_editor.execute(statement)


def give_viewers_their_role(apps, schema_editor):
    """Until now a user in no group could look; now the group says it, so that a user can have one cluster only."""
    viewer = apps.get_model("auth", "Group").objects.get_or_create(name="viewer")[0]
    for user in apps.get_model("auth", "User").objects.filter(groups__isnull=True, is_superuser=False):
        user.groups.add(viewer)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_accounts"), ("webmanager", "0002_roles")]
    operations = [
        migrations.RunPython(protect, unprotect),
        migrations.RunPython(give_viewers_their_role, migrations.RunPython.noop),
    ]
