"""The environment of a test run, set before Django reads its settings (loaded by `-p tests.environment`).

A fresh data folder, mail servers allowed on loopback, nothing taken from the machine but the services that
`tests.services` names. Each of several parallel test processes has a folder and Redis databases of its own.
"""

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

_parallel = re.fullmatch(r"gw(\d+)", os.environ.get("PYTEST_XDIST_WORKER", ""))

if _parallel or "CRM_MAIL_DATA_DIR" not in os.environ:
    folder = tempfile.mkdtemp(prefix="crm-mail-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["CRM_MAIL_DATA_DIR"] = folder
if _parallel:
    for name, number in (("CELERY_BROKER_URL", 2 * int(_parallel[1])), ("CACHE_URL", 2 * int(_parallel[1]) + 1)):
        if "redis" in os.environ.get(name, ""):
            os.environ[name] = re.sub(r"((?:virtual_host|db)=|:\d+/)\d+", rf"\g<1>{number}", os.environ[name])
os.environ["CRM_MAIL_TEST_DATABASE"] = str(Path(os.environ["CRM_MAIL_DATA_DIR"]) / "test.sqlite3")
os.environ.setdefault("CRM_MAIL_SECRET_KEY", "only-for-tests")
os.environ.setdefault("CRM_MAIL_ENCRYPTION_KEYS", "b25seS1mb3ItdGVzdHMtb25seS1mb3ItdGVzdHMtMTI=")
os.environ["CRM_MAIL_LOOK_UP_SERVERS"] = "false"
os.environ["CRM_MAIL_ALLOWED_MAIL_NETWORKS"] = "127.0.0.0/8,::1/128"
os.environ["CRM_MAIL_EMAIL_URL"] = "memorymail://"
