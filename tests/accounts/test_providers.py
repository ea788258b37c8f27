"""The shipped table of mail providers, and what is guessed where it knows nothing (R7, R9, R11)."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from accounts.providers import Provider, guess_outgoing, provider_at, provider_behind, provider_of, providers

HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def test_at_least_thirty_providers_are_known_the_most_used_among_them() -> None:
    """R7."""
    reachable = {provider.name for provider in providers() if not provider.unavailable}
    assert len(reachable) >= 30
    assert reachable >= {"Gmail", "Zoho Mail", "Outlook.com", "Yahoo Mail", "GMX", "Fastmail"}
    assert provider_of("bea@icloud.com")


@pytest.mark.parametrize("provider", providers(), ids=lambda provider: provider.key)
def test_every_entry_of_the_table_can_be_used(provider: Provider) -> None:
    """R7, R8: host names, a port that says its security, something to find it by, links that are encrypted."""
    assert provider.domains or provider.mx
    assert all(HOST.fullmatch(name) for name in (*provider.domains, *provider.mx))
    if provider.unavailable:
        assert provider.settings("bea@example.com") == {}
    else:
        assert HOST.fullmatch(provider.incoming)
        assert HOST.fullmatch(provider.outgoing)
        assert provider.outgoing_port in {465, 587}
    assert not provider.app_password_url or provider.app_password_url.startswith("https://")
    assert not provider.app_password_url or provider.app_password


def test_no_domain_belongs_to_two_providers() -> None:
    """R7."""
    counted = Counter(domain for provider in providers() for domain in provider.domains)
    assert [domain for domain, count in counted.items() if count > 1] == []


def test_an_address_brings_the_whole_connection() -> None:
    """R7."""
    provider = provider_of("bea@hotmail.co.uk")
    assert provider is not None
    assert provider.settings("bea@hotmail.co.uk") == {
        "incoming_host": "outlook.office365.com",
        "incoming_port": 995,
        "incoming_security": "ssl",
        "incoming_username": "bea@hotmail.co.uk",
        "outgoing_host": "smtp-mail.outlook.com",
        "outgoing_port": 587,
        "outgoing_security": "starttls",
    }


def test_an_address_at_a_subdomain_is_not_the_providers() -> None:
    """R7: anybody's name may stand under a domain."""
    assert provider_of("bea@mail.gmail.com") is None
    assert provider_of("bea@notgmail.com") is None


@pytest.mark.parametrize(
    ("exchangers", "key"),
    [
        (["aspmx.l.google.com.", "alt1.aspmx.l.google.com."], "gmail"),
        (["acme-example.mail.protection.outlook.com"], "microsoft365"),
        (["outlook-com.olc.protection.outlook.com"], "outlook"),
        (["mx00.kundenserver.de"], "ionos-de"),
        (["mx.zoho.eu", "mx2.zoho.eu"], "zoho-pro-eu"),
        (["mx.acme.example"], None),
        ([], None),
    ],
)
def test_a_domain_of_ones_own_is_known_by_who_receives_its_mail(exchangers: list[str], key: str | None) -> None:
    """R7: the longest name decides."""
    found = provider_behind(exchangers)
    assert (found.key if found else None) == key


@pytest.mark.parametrize(
    ("incoming", "outgoing"),
    [
        ("pop.gmail.com", {"outgoing_host": "smtp.gmail.com", "outgoing_port": 465, "outgoing_security": "ssl"}),
        ("POP.googlemail.com.", {"outgoing_host": "smtp.gmail.com", "outgoing_port": 465, "outgoing_security": "ssl"}),
        ("pop3.web.de", {"outgoing_host": "smtp.web.de", "outgoing_port": 587, "outgoing_security": "starttls"}),
        ("pop3.acme.example", {"outgoing_host": "smtp.acme.example"}),
        ("mail.acme.example", {"outgoing_host": "mail.acme.example"}),
        ("acme.example", {}),
        ("zeus.acme.example", {}),
    ],
)
def test_the_outgoing_server_follows_the_incoming_one(incoming: str, outgoing: dict[str, object]) -> None:
    """R9."""
    assert guess_outgoing(incoming) == outgoing


def test_a_server_tells_its_provider() -> None:
    """R12: what to advise when it refuses a sign-in."""
    found = provider_at("pop.fastmail.com")
    assert found is not None
    assert "app password" in found.app_password.lower()
    assert provider_at("pop.acme.example") is None
