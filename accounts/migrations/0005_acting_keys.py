"""Keys of systems that act for people."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_profile"),
    ]

    operations = [
        migrations.AlterField(
            model_name="apikey",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("read", "read: search, look at documents"),
                        ("upload", "upload: add, change and archive documents"),
                        ("act", "act: search as a named person, for what both may see"),
                    ],
                    max_length=10,
                ),
                default=list,
                size=None,
            ),
        ),
    ]
