"""Who somebody unknown is, guessed from a message (R27)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.guessing import guess


@pytest.mark.parametrize(
    ("name", "address", "guessed"),
    [
        ("Bea Stone", "bea@acme.example", ("Bea", "Stone", "Acme")),
        ("Stone, Bea", "bea@mail.acme.co.uk", ("Bea", "Stone", "Acme")),
        ("Bea van der Stone (Sales)", "b@big-corp.com", ("Bea van der", "Stone", "Big Corp")),
        ("Bea Stone | Acme", "bea@gmail.com", ("Bea", "Stone", "")),
        ("Bea Stone via Calendar", "x@acme.example", ("Bea", "Stone", "Acme")),
        ("Acme, Inc.", "sales@acme.example", ("", "Acme", "Acme")),
        ("", "bea.stone42@acme.example", ("Bea", "Stone", "Acme")),
        ("bea@acme.example", "bea@acme.example", ("", "Bea", "Acme")),
        ("", "info@xn--bcher-kva.example", ("", "Info", "Bücher")),
        ("山田 太郎", "yamada@acme.co.jp", ("山田", "太郎", "Acme")),
        ("", "42@acme.example", ("", "42@acme.example", "Acme")),
    ],
)
def test_name_and_company_are_guessed(name: str, address: str, guessed: tuple[str, str, str]) -> None:
    """R27: as people write them."""
    assert guess(name, address) == guessed


@given(
    name=st.text(max_size=400),
    local=st.text("abc.-_+1", min_size=1, max_size=64),
    domain=st.text("abx-.", max_size=253),
)
def test_any_guess_fits_into_the_fields(name: str, local: str, domain: str) -> None:
    """Whatever a stranger calls themself."""
    first, last, company = guess(name, f"{local}@{domain}")
    assert last.strip()
    assert (len(first) <= 100, len(last) <= 100, len(company) <= 200) == (True, True, True)
