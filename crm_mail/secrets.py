"""The embedded default's own secrets: a file each in the data folder, made on the first start.

The files are 0600 and the folder, where it is made here, 0700. Several processes may start at once
on an empty folder: all of them get the same values.
"""

import contextlib
import os
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography.fernet import Fernet


def ensure(data_dir: Path) -> None:
    """Make the secrets that are missing. Raises OSError where the folder cannot be written."""
    secret_key(data_dir)
    encryption_keys(data_dir)


def secret_key(data_dir: Path) -> str:
    """Django's signing key, kept in `data_dir/secret_key`."""
    return _read_or_make(data_dir / "secret_key", secrets.token_urlsafe(50))


def encryption_keys(data_dir: Path) -> list[str]:
    """Fernet keys kept in `data_dir/encryption_keys`, comma-separated; the first encrypts."""
    stored = _read_or_make(data_dir / "encryption_keys", Fernet.generate_key().decode())
    return [key.strip() for key in stored.split(",") if key.strip()]


def _read_or_make(path: Path, candidate: str) -> str:
    """The text of `path`; without such a file, `candidate` becomes it unless another was first.

    1. Write the candidate to a temporary file (0600) and flush it to disk.
    2. Link it to its name: that fails if the name exists, and never shows a half-written file.
    3. Flush the folder, because mailbox passwords are lost with the key that encrypted them.
    4. Read what stands under the name, whoever put it there.

    Raises ValueError if the file is empty: a new key could not read what the old one encrypted.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.") as draft:
            draft.write(candidate + "\n")
            draft.flush()
            os.fsync(draft.fileno())
            # Another process that starts at the same moment may have made it: its value holds.
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    value = path.read_text().strip()
    if not value:
        raise ValueError(f"{path} is empty. Restore it from a backup, or remove it to have one made.")
    return value
