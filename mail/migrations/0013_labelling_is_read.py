"""What is unread with a label is found by an index of its own."""

from django.db import migrations, models

FILL = """
UPDATE mail_labelling SET is_read = true
WHERE EXISTS (SELECT 1 FROM mail_message WHERE mail_message.id = mail_labelling.message_id AND mail_message.is_read)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("mail", "0012_words_indexed_later"),
    ]

    operations = [
        migrations.AddField("labelling", "is_read", models.BooleanField(default=False)),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AddIndex(
            "labelling",
            models.Index(
                condition=models.Q(is_read=False),
                fields=["label", "-date", "-message"],
                name="labelling_unread_by_date",
            ),
        ),
    ]
