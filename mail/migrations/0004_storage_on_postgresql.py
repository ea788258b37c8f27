"""How PostgreSQL keeps the large columns: text compressed by lz4, raw chunks, which are compressed already, as they are.

Its own compression, pglz, takes longer over the text of a message than everything else in the row.
"""

from django.db import migrations


def _store_well(_apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE mail_rawchunk ALTER COLUMN data SET STORAGE EXTERNAL")
        cursor.execute("SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'")
        # Older than PostgreSQL 14, or built without lz4.
        if cursor.fetchone() == (True,):
            cursor.execute("ALTER TABLE mail_messagetext ALTER COLUMN text SET COMPRESSION lz4")


class Migration(migrations.Migration):
    dependencies = [("mail", "0003_indexes_of_lists")]

    operations = [migrations.RunPython(_store_well, migrations.RunPython.noop)]
