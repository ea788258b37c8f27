"""The environment of a test run, set before Django reads its settings (loaded by `-p tests.environment`).

A fresh data folder, mail servers allowed on loopback, nothing taken from the machine but the services that
`tests.services` names.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "CRM_MAIL_DATA_DIR" not in os.environ:
    folder = tempfile.mkdtemp(prefix="crm-mail-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["CRM_MAIL_DATA_DIR"] = folder
os.environ.setdefault("CRM_MAIL_TEST_DATABASE", str(Path(os.environ["CRM_MAIL_DATA_DIR"]) / "test.sqlite3"))
os.environ.setdefault("CRM_MAIL_SECRET_KEY", "only-for-tests")
os.environ.setdefault("CRM_MAIL_ENCRYPTION_KEYS", "b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMtMTI=")
os.environ["CRM_MAIL_ALLOWED_MAIL_NETWORKS"] = "127.0.0.0/8,::1/128"
os.environ["CRM_MAIL_EMAIL_URL"] = "memorymail://"
