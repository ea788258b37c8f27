"""Entries for search. Stored mail is indexed afterwards, by the workers or by `index_mail`: a migration must not take hours."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models
from django.db.models import Max

import mail.search

_SQLITE = (
    """
    CREATE VIRTUAL TABLE mail_search USING fts5(
        words, content='mail_searchentry', content_rowid='message_id', tokenize='ascii'
    )
    """,
    """
    CREATE TRIGGER mail_search_insert AFTER INSERT ON mail_searchentry BEGIN
        INSERT INTO mail_search(rowid, words) VALUES (new.message_id, new.words);
    END
    """,
    """
    CREATE TRIGGER mail_search_delete AFTER DELETE ON mail_searchentry BEGIN
        INSERT INTO mail_search(mail_search, rowid, words) VALUES ('delete', old.message_id, old.words);
    END
    """,
)


def _index_words(_apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for statement in _SQLITE:
                cursor.execute(statement)
        elif connection.vendor == "postgresql":
            cursor.execute("CREATE INDEX search_words ON mail_searchentry USING gin (words)")
            # How common a word is decides how it is looked for; of 3000 the database shall know it.
            cursor.execute("ALTER TABLE mail_searchentry ALTER COLUMN words SET STATISTICS 300")
            # Long rows are kept apart, so that the short columns are read quickly.
            cursor.execute("ALTER TABLE mail_searchentry SET (toast_tuple_target = 256)")
            cursor.execute("SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'")
            if cursor.fetchone() == (True,):
                cursor.execute("ALTER TABLE mail_searchentry ALTER COLUMN words SET COMPRESSION lz4")


def _drop_words(_apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("DROP TABLE mail_search")


def _begin(apps, _schema_editor):
    newest = apps.get_model("mail", "Message").objects.aggregate(newest=Max("pk"))["newest"]
    if newest is not None:
        apps.get_model("mail", "SearchBuild").objects.create(before=newest + 1)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("mail", "0010_image_senders"),
    ]

    operations = [
        migrations.CreateModel(
            name="SearchBuild",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("before", models.BigIntegerField(help_text="the id below which messages are still to be indexed")),
                ("done", models.PositiveBigIntegerField(default=0, help_text="messages indexed")),
                ("started_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name="SearchEntry",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="search",
                        serialize=False,
                        to="mail.message",
                    ),
                ),
                (
                    "mailbox",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.mailbox",
                    ),
                ),
                ("date", models.DateTimeField()),
                ("words", mail.search.WordsField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-date", "-message", "mailbox"], name="search_by_date"),
                    models.Index(fields=["mailbox", "-date", "-message"], name="search_in_mailbox"),
                ],
            },
        ),
        migrations.RunPython(_index_words, _drop_words),
        migrations.RunPython(_begin, migrations.RunPython.noop),
    ]
