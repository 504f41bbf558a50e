import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("builder", "0002_apply"),
    ]

    operations = [
        migrations.AddField(
            model_name="whatif",
            name="told_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
    ]
