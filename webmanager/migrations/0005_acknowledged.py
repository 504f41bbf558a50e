"""Who has acknowledged an event, when and with which words; who wrote it, and its number, as columns."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webmanager", "0004_rest"),
    ]

    operations = [
        migrations.AddField(
            model_name="event",
            name="ack_comment",
            field=models.CharField(blank=True, default="", max_length=500),
        ),
        migrations.AddField(
            model_name="event",
            name="acked_at",
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="event",
            name="acked_by",
            field=models.CharField(blank=True, default="", max_length=150),
        ),
        migrations.AddField(
            model_name="event",
            name="code",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.AddField(
            model_name="event",
            name="server",
            field=models.CharField(blank=True, default="", max_length=255),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("acked_at", None), models.Q(("severity", "info"), _negated=True)),
                fields=["cluster", "severity"],
                name="event_open",
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("acked_at", None), _negated=True),
                fields=["cluster", "acked_at"],
                name="event_acked",
            ),
        ),
    ]
