"""Deeds that can be undone, labels with the date of their message, and the indexes that lists and counts walk along."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

COPY = """
INSERT INTO mail_labelling (message_id, label_id, date)
SELECT old.message_id, old.label_id, mail_message.date
FROM mail_message_labels old JOIN mail_message ON mail_message.id = old.message_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_customer_columns"),
        ("mail", "0007_receipts"),
    ]

    operations = [
        migrations.RemoveIndex("message", "message_unread"),
        migrations.AlterField(
            "message",
            "folder",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="messages",
                to="mail.folder",
            ),
        ),
        migrations.AlterField(
            "message",
            "owner",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="messages",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            "message",
            models.Index(
                condition=models.Q(is_read=False), fields=["folder", "-date", "-id"], name="message_unread_in_folder"
            ),
        ),
        migrations.AddIndex(
            "message",
            models.Index(condition=models.Q(is_starred=True), fields=["owner", "-date", "-id"], name="message_starred"),
        ),
        migrations.AddIndex("message", models.Index(fields=["owner", "-id"], name="message_as_filed")),
        migrations.CreateModel(
            "Deed",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("read", "marked as read"),
                            ("unread", "marked as unread"),
                            ("star", "starred"),
                            ("unstar", "no longer starred"),
                            ("label", "labelled"),
                            ("unlabel", "no longer labelled"),
                            ("move", "moved"),
                            ("restore", "restored"),
                            ("delete", "deleted for good"),
                            ("remove", "moved, and their folder removed"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "selection",
                    models.JSONField(default=dict, help_text="what workers do it to; empty if it was done at once"),
                ),
                ("place", models.CharField(blank=True, max_length=80)),
                ("total", models.PositiveIntegerField(default=0, help_text="messages that were selected")),
                ("done", models.PositiveIntegerField(default=0, help_text="messages that it changed so far")),
                (
                    "restored",
                    models.PositiveIntegerField(default=0, help_text="of those, how many undoing has changed back"),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("working", "Working"),
                            ("done", "Done"),
                            ("undoing", "Being undone"),
                            ("undone", "Undone"),
                        ],
                        default="done",
                        max_length=8,
                    ),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "folder",
                    models.ForeignKey(
                        help_text="where it moved them",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="mail.folder",
                    ),
                ),
                (
                    "label",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="mail.label"
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deeds",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(state__in=("working", "undoing")), fields=["id"], name="deed_to_be_done"
                    )
                ]
            },
        ),
        migrations.CreateModel(
            "Change",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("messages", models.JSONField(help_text="ids of the messages")),
                ("before", models.BigIntegerField(help_text="the id of the folder they were in", null=True)),
                ("after", models.BigIntegerField(help_text="the id of the folder they were put into", null=True)),
                (
                    "deed",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="changes", to="mail.deed"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            "Labelling",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("date", models.DateTimeField()),
                (
                    "label",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="labellings",
                        to="mail.label",
                    ),
                ),
                (
                    "message",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="labellings",
                        to="mail.message",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["label", "-date", "-message"], name="labelling_by_date")],
                "constraints": [models.UniqueConstraint(fields=("message", "label"), name="labelling_once")],
            },
        ),
        migrations.RunSQL(COPY, migrations.RunSQL.noop),
        migrations.RemoveField("message", "labels"),
        migrations.AddField(
            "message",
            "labels",
            models.ManyToManyField(blank=True, related_name="messages", through="mail.Labelling", to="mail.label"),
        ),
    ]
