"""What people say of themselves."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_audit_chain")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="preferred_campus",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                help_text="Their own choice, where it is not the campus that the university has for them.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="accounts.campus",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="languages",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=10),
                blank=True,
                db_default=[],
                default=list,
                editable=False,
                help_text="Languages that they read (ISO 639-1); none is no preference.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="keeps_history",
            field=models.BooleanField(
                db_default=True,
                default=True,
                editable=False,
                help_text="Whether their searches are kept for them.",
            ),
        ),
    ]
