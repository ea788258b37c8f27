"""New entries are put into PostgreSQL's index of words after they were filed."""

from django.db import migrations, models


def _execute(schema_editor, *statements):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def _some(_apps, schema_editor):
    _execute(
        schema_editor,
        "DROP INDEX search_words",
        "CREATE INDEX search_words ON mail_searchentry USING gin (words) WHERE is_indexed",
    )


def _all(_apps, schema_editor):
    _execute(
        schema_editor,
        "DROP INDEX search_words",
        "CREATE INDEX search_words ON mail_searchentry USING gin (words)",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("mail", "0011_search"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            # Django would make a new table on SQLite, and leave the triggers behind that keep search up to date.
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE mail_searchentry ADD COLUMN is_indexed bool NOT NULL DEFAULT true",
                    "ALTER TABLE mail_searchentry DROP COLUMN is_indexed",
                ),
            ],
            state_operations=[
                migrations.AddField(
                    model_name="searchentry",
                    name="is_indexed",
                    field=models.BooleanField(
                        db_default=True, help_text="whether the index of words has it; see `mail.search`"
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="searchentry",
            index=models.Index(condition=models.Q(is_indexed=False), fields=["message"], name="search_waiting"),
        ),
        migrations.RunPython(_some, _all),
    ]
