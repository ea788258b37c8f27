"""Mailbox passwords at rest: sealed with rotating Fernet keys, opened only where a server asks for them (R14)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class SecretUnreadable(Exception):
    """The secret was sealed with a key that this installation no longer has."""

    def __init__(self) -> None:
        super().__init__("The saved password cannot be read with the encryption keys in use.")


@lru_cache(maxsize=4)
def _keyring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def keyring() -> MultiFernet:
    """The keys of `CRM_MAIL_ENCRYPTION_KEYS`; the first one seals, all of them open."""
    return _keyring(tuple(settings.ENCRYPTION_KEYS))


class Secret:
    """A sealed password. It is only ever opened by `reveal`; printing, dumping or comparing it shows nothing."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token

    @classmethod
    def seal(cls, plain: str) -> Secret:
        """Seal `plain` with the first key; an empty password stays an empty secret."""
        return cls(keyring().encrypt(plain.encode()).decode() if plain else "")

    def reveal(self) -> str:
        """The password in clear.

        Raises:
            SecretUnreadable: none of the keys in use opens it.
        """
        if not self.token:
            return ""
        try:
            return keyring().decrypt(self.token.encode()).decode()
        except InvalidToken:
            raise SecretUnreadable from None

    def rotated(self) -> Secret:
        """The same password, sealed with the first key (`SecretUnreadable` as in `reveal`)."""
        if not self.token:
            return self
        try:
            return Secret(keyring().rotate(self.token.encode()).decode())
        except InvalidToken:
            raise SecretUnreadable from None

    def __bool__(self) -> bool:
        return bool(self.token)

    def __repr__(self) -> str:
        return "Secret(…)" if self.token else "Secret()"

    __str__ = __repr__


def no_secret() -> Secret:
    """The default of a column that holds no password yet."""
    return Secret("")


class SecretField(models.TextField):
    """A column that holds a `Secret`; only its sealed form ever reaches the database or a dump."""

    if TYPE_CHECKING:
        _pyi_private_set_type: Secret  # type: ignore[assignment]
        _pyi_private_get_type: Secret  # type: ignore[assignment]

    def from_db_value(self, value: str | None, *_: Any) -> Secret:
        """Wrap the stored token without opening it: a lost key breaks the mailbox, not the list of mailboxes."""
        return Secret(value or "")

    def to_python(self, value: Any) -> Secret:
        """A `Secret`; a string is taken as an already sealed token (fixtures)."""
        return value if isinstance(value, Secret) else Secret(value or "")

    def get_prep_value(self, value: Any) -> str:
        """The sealed token."""
        return self.to_python(value).token

    def value_to_string(self, obj: models.Model) -> str:
        """The sealed token, for serialisers."""
        return self.get_prep_value(self.value_from_object(obj))
