"""Comparing addresses and domains, as the sharing contract says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.addresses import (
    PUBLIC_PROVIDER_DOMAINS,
    DomainRefused,
    check_excluded_domain,
    domain_covers,
    domain_of,
    is_public_provider,
    normalize_address,
    normalize_domain,
)

ADDRESS_LIKE = (
    st.text(alphabet="aZ.@-_+ß\u00fcİſK。．xn-- \"'\n\0\u202e", max_size=40) | st.emails() | st.text(max_size=60)
)


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("Bea@Acme.Example", "bea@acme.example"),
        ("  bea@acme.example.  ", "bea@acme.example"),
        ("a+b@x.example", "a+b@x.example"),
        ("a.b@gmail.com", "a.b@gmail.com"),
        ("a@Bücher.example", "a@xn--bcher-kva.example"),
        ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"),
        ("a@faß.de", "a@xn--fa-hia.de"),
        ("a@bücher。example", "a@xn--bcher-kva.example"),
        ("o'hara@x.example", "o'hara@x.example"),
        ("JÖRG@x.example", "jörg@x.example"),
        ("root@localhost", "root@localhost"),
    ],
)
def test_an_address_is_compared_in_one_form(written, compared):
    assert normalize_address(written) == compared


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "bea",
        "@acme.example",
        "bea@",
        "bea@acme..example",
        "bea@-acme.example",
        "bea@acme.example-",
        "be a@acme.example",
        "bea\0@acme.example",
        "bea\r\nBcc:x@acme.example",
        "be\u202ea@acme.example",
        "bea@ac me.example",
        "bea@[192.0.2.1]",
        "bea@acme/example",
        f"{'a' * 320}@acme.example",
        f"bea@{'a' * 64}.example",
        f"bea@{'a.' * 200}example",
        f"bea@{'ü' * 100}.example",
    ],
)
def test_what_has_no_local_part_and_domain_is_no_address(text):
    assert normalize_address(text) is None


@given(ADDRESS_LIKE)
def test_a_compared_form_compares_as_itself(text):
    once = normalize_address(text)
    if once is not None:
        assert normalize_address(once) == once
        assert len(once) <= 320
        assert domain_of(once).isascii()
        assert normalize_domain(domain_of(once)) == domain_of(once)


@given(st.emails())
def test_case_makes_no_difference(address):
    assert normalize_address(address.upper()) == normalize_address(address)


@given(st.emails(), st.sampled_from(["", "eu.", "a.b."]))
def test_a_domain_covers_itself_and_what_is_below_it(address, prefix):
    domain = normalize_domain(address.rpartition("@")[2])
    assert domain_covers(domain, prefix + domain)
    assert not domain_covers(domain, f"x{domain}")
    assert not domain_covers(f"eu.{domain}", domain)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("@Acme.Example.", "acme.example"),
        (" lawyers.example ", "lawyers.example"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("shop.co.uk", "shop.co.uk"),
    ],
)
def test_an_excluded_domain_is_stored_in_its_compared_form(written, stored):
    assert check_excluded_domain(written) == stored


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a@b.example", "is an e-mail address"),
        ("@a@b.example", "is an e-mail address"),
        ("example", "suffix of many"),
        ("com", "suffix of many"),
        ("@com.", "suffix of many"),
        ("co.uk", "suffix of many"),
        ("CO.UK.", "suffix of many"),
        ("", "is not a domain"),
        ("@", "is not a domain"),
        ("acme example", "is not a domain"),
        ("https://acme.example/", "is not a domain"),
        ("acme..example", "is not a domain"),
        ("*.acme.example", "is not a domain"),
        ("\0", "is not a domain"),
    ],
)
def test_addresses_suffixes_and_nonsense_are_refused_with_a_reason(text, reason):
    with pytest.raises(DomainRefused, match=reason):
        check_excluded_domain(text)


@given(st.text(max_size=300))
def test_whatever_is_entered_is_a_domain_or_refused(text):
    try:
        domain = check_excluded_domain(text)
    except DomainRefused:
        return
    assert normalize_domain(domain) == domain


def test_public_providers_are_known_by_every_name_below_them():
    assert is_public_provider("gmail.com")
    assert is_public_provider("eu.gmx.net")
    assert not is_public_provider("acme.example")
    assert not is_public_provider("notgmail.com")
    assert len(PUBLIC_PROVIDER_DOMAINS) >= 60
    assert all(normalize_domain(domain) == domain for domain in PUBLIC_PROVIDER_DOMAINS)
