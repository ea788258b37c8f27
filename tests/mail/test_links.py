"""R32: a link says where it leads, whatever its text says."""

import time

import pytest

from mail.links import host_of, misleads
from mail.rendering import sanitize


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://x.example/a", "x.example"),
        ("HTTPS://X.Example:8443/a", "x.example"),
        ("https://bank.example@evil.example/", "evil.example"),
        ("https://bank.example:pw@evil.example/", "evil.example"),
        ("https:\\\\evil.example\\bank.example", "evil.example"),
        ("https://bank.example\\@evil.example/", "bank.example"),
        ("https:evil.example/", "evil.example"),
        ("https:///evil.example/", "evil.example"),
        ("ht\ntps://evil\t.example/", "evil.example"),
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://[::1]/", "[::1]"),
        ("mailto:bea@Acme.example?subject=x", "Acme.example"),
        ("tel:+491", ""),
        ("", ""),
    ],
)
def test_the_host_is_the_one_that_a_browser_goes_to(address, host):
    assert host_of(address) == host


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://bank.example/login", "https://evil.example/"),
        ("www.bank.example", "https://evil.example/"),
        ("bank.example", "https://evil.example/bank.example"),
        ("bank.example", "https://bank.example.evil.example/"),
        ("bank.example/sign in"[:12], "https://notbank.example/"),
        ("https://bank.example", "https://bank.example@evil.example/"),
        (" »bank.example« ", "https://evil.example/"),
        ("bea@acme.example", "mailto:eve@evil.example"),
        ("bea@acme.example", "https://evil.example/"),
        ("bаnk.example", "https://bank.example/"),
    ],
)
def test_text_that_names_another_host_misleads(text, address):
    assert misleads(text, address) == host_of(address)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Click here", "https://evil.example/"),
        ("https://bank.example/login", "https://bank.example/"),
        ("bank.example", "https://www.bank.example/x"),
        ("shop.bank.example", "https://bank.example/"),
        ("www.bank.example", "https://login.bank.example/"),
        ("offer.pdf", "https://files.example/1"),
        ("README.md", "https://files.example/1"),
        ("e.g. this", "https://x.example/"),
        ("Version 2.0", "https://x.example/"),
        ("3.50", "https://x.example/"),
        ("bea@acme.example", "mailto:bea@acme.example"),
        ("https://bücher.example", "https://xn--bcher-kva.example/"),
        ("Visit bank.example today for more", "https://evil.example/"),
        ("x" * 10_000, "https://x.example/"),
    ],
)
def test_other_text_does_not(text, address):
    assert misleads(text, address) == ""


def test_a_hostile_text_takes_no_time():
    started = time.process_time()
    for piece in ("a.", "a@", "-", "www.", "https://", "_"):
        misleads(piece * (500 // len(piece)), "https://x.example/")
    assert time.process_time() - started < 1


def test_the_page_says_where_each_link_leads():
    html = sanitize(
        '<a href="https://evil.example/a?b" title="https://bank.example"><b>bank</b>.example</a>',
        inline={},
        remote_images=False,
    ).html
    assert 'title="https://evil.example/a?b"' in html
    assert 'title="https://bank.example"' not in html
    assert "(leads to evil.example)" in html
