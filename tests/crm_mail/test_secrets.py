"""The embedded default's own secrets (interface.md, Settings)."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from crm_mail import secrets


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_read_again(tmp_path: Path) -> None:
    key = secrets.secret_key(tmp_path)
    encryption = secrets.encryption_keys(tmp_path)
    secrets.ensure(tmp_path)
    assert secrets.secret_key(tmp_path) == key
    assert secrets.encryption_keys(tmp_path) == encryption
    assert len(key) >= 50


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    secrets.ensure(data)
    assert _mode(data) == 0o700
    assert {path.name: _mode(path) for path in data.iterdir()} == {
        "secret_key": 0o600,
        "encryption_keys": 0o600,
    }


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    secrets.ensure(tmp_path)
    assert _mode(tmp_path) == 0o750


def test_the_encryption_key_encrypts(tmp_path: Path) -> None:
    (key,) = secrets.encryption_keys(tmp_path)
    fernet = Fernet(key)
    assert fernet.decrypt(fernet.encrypt(b"secret")) == b"secret"


def test_several_encryption_keys_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "encryption_keys").write_text("newest, older,\n")
    assert secrets.encryption_keys(tmp_path) == ["newest", "older"]


def test_an_empty_file_is_reported_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "encryption_keys").touch()
    with pytest.raises(ValueError, match="is empty"):
        secrets.encryption_keys(tmp_path)
    assert (tmp_path / "encryption_keys").read_text() == ""


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from crm_mail import secrets; "
        "data = Path(sys.argv[1]); "
        "print('ready', flush=True); sys.stdin.readline(); "
        "print(secrets.secret_key(data), *secrets.encryption_keys(data))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "data")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=30)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert len(answers) == 1
