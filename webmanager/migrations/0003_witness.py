"""The manager as a witness of clusters."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webmanager", "0002_roles")]
    operations = [
        migrations.CreateModel(
            name="Witness",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("cluster", models.CharField(max_length=255, unique=True)),
                ("secret", models.CharField(max_length=64)),
                ("promise", models.JSONField(default=dict)),
                ("boot", models.CharField(blank=True, max_length=64)),
                ("memory", models.JSONField(default=dict)),
            ],
            options={"ordering": ("cluster",)},
        ),
    ]
