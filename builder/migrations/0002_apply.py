"""What was applied to clusters."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("builder", "0001_initial"),
        ("webmanager", "0003_witness"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Apply",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=80)),
                ("revision", models.PositiveIntegerField()),
                ("conf", models.BinaryField()),
                ("scripts", models.BinaryField(default=bytes)),
                ("config", models.CharField(max_length=16)),
                ("by", models.CharField(max_length=255)),
                ("at", models.DateTimeField(auto_now_add=True)),
                ("why", models.CharField(max_length=200)),
                ("anyway", models.CharField(blank=True, max_length=200)),
                ("confirm_s", models.PositiveIntegerField(default=0)),
                ("health", models.BooleanField(default=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("delivering", "Delivering"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("returned", "Returned"),
                            ("refused", "Refused"),
                            ("failed", "Failed"),
                        ],
                        default="delivering",
                        max_length=10,
                    ),
                ),
                ("servers", models.JSONField(default=dict)),
                ("cancel", models.BooleanField(default=False)),
                ("first_event", models.BigIntegerField(default=0)),
                ("text", models.TextField(blank=True)),
                ("beat_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "cluster",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="applies", to="webmanager.cluster"
                    ),
                ),
                (
                    "draft",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="applies",
                        to="builder.draft",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "applies",
                "ordering": ("-id",),
            },
        ),
    ]
