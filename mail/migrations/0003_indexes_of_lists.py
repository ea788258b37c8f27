"""Organisation and customer mark of a message, date and owner of a correspondence: what lists of shared mail walk along."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Exists, OuterRef, Q, Subquery


def fill(apps, schema_editor):  # noqa: ARG001
    """Repeat on stored rows what new ones are filed with."""
    message = apps.get_model("mail", "Message")
    correspondence = apps.get_model("mail", "Correspondence")
    user = apps.get_model("accounts", "User")
    message.objects.update(
        organization=Subquery(user.objects.filter(pk=OuterRef("owner")).values("organization")),
        has_customer=Exists(correspondence.objects.filter(message=OuterRef("pk"))),
    )
    theirs = message.objects.filter(pk=OuterRef("message"))
    correspondence.objects.update(date=Subquery(theirs.values("date")), owner=Subquery(theirs.values("owner")))


class Migration(migrations.Migration):
    # PostgreSQL changes no table that has rows changed in the same transaction, with constraints still to be checked.
    atomic = False

    dependencies = [
        ("accounts", "0001_initial"),
        ("mail", "0002_all_participants"),
    ]

    operations = [
        migrations.AddField(
            "message",
            "organization",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.organization",
            ),
        ),
        migrations.AddField(
            "message",
            "has_customer",
            models.BooleanField(
                default=False,
                help_text="false only where no customer's address stands in From, To or Cc; narrows searches",
            ),
        ),
        migrations.AddField("correspondence", "date", models.DateTimeField(null=True)),
        migrations.AddField(
            "correspondence",
            "owner",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.user",
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField(
            "message",
            "organization",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.organization",
            ),
        ),
        migrations.AlterField("correspondence", "date", models.DateTimeField()),
        migrations.AlterField(
            "correspondence",
            "owner",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.user",
            ),
        ),
        migrations.RemoveIndex("correspondence", "correspondence_of_customer"),
        migrations.AlterField(
            "correspondence",
            "customer",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="correspondences",
                to="customers.customer",
            ),
        ),
        migrations.AddIndex(
            "thread",
            models.Index(fields=["root"], name="thread_across_owners"),
        ),
        migrations.AddIndex(
            "correspondence",
            models.Index(fields=["customer", "-date", "-message"], name="correspondence_by_date"),
        ),
        migrations.AddIndex(
            "correspondence",
            models.Index(fields=["customer", "owner"], name="correspondence_of_owner"),
        ),
        migrations.AddIndex(
            "message",
            models.Index(condition=Q(is_read=False), fields=["folder"], name="message_unread"),
        ),
        migrations.AddIndex(
            "message",
            models.Index(
                condition=Q(has_customer=True), fields=["organization", "-date", "-id"], name="message_with_customer"
            ),
        ),
    ]
