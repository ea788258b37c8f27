"""Address lists of mail headers: no display name may pass for an address."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.addresses import normalize_address
from mail.address_list import parse_address_list
from mail.charsets import decode_words


def read(value):
    """The readable ones; those that can't be read have a test of their own."""
    return [pair for pair in parse_address_list(value, decode_words) if pair[1]]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("bea@acme.example", [("", "bea@acme.example")]),
        ("Bea <Bea@Acme.Example>", [("Bea", "bea@acme.example")]),
        ('"Bea, of Acme" <bea@acme.example>', [("Bea, of Acme", "bea@acme.example")]),
        ('"Bea \\"B\\"" <bea@acme.example>', [('Bea "B"', "bea@acme.example")]),
        ("a@x.example, b@x.example", [("", "a@x.example"), ("", "b@x.example")]),
        ("a@x.example,,b@x.example,", [("", "a@x.example"), ("", "b@x.example")]),
        ("bea@acme.example (Bea)", [("", "bea@acme.example")]),
        ("bea(a (nested, b@x.example) one)@acme.example", [("", "bea@acme.example")]),
        ("Team: a@x.example, B <b@x.example>;", [("", "a@x.example"), ("B", "b@x.example")]),
        ("undisclosed-recipients:;", []),
        ("Bea <@relay.example,@two.example:bea@acme.example>", [("Bea", "bea@acme.example")]),
        ('"be a"@acme.example', []),
        ('"bea"@acme.example', [("", "bea@acme.example")]),
        ("bea . b @ acme . example", [("", "bea.b@acme.example")]),
        ("=?utf-8?q?B=C3=A9a?= <bea@acme.example>", [("Béa", "bea@acme.example")]),
        ("", []),
        ("nobody", []),
        ("<>", []),
        ("Bea <>", []),
    ],
)
def test_every_form_of_an_address_is_read(value, found):
    assert read(value) == found


@pytest.mark.parametrize(
    "value",
    [
        '"bea@acme.example" <evil@lawyers.example>',
        "bea@acme.example <evil@lawyers.example>",
        '"bea@acme.example\\" <evil@lawyers.example>, x" <evil@lawyers.example>',
        "(bea@acme.example) evil@lawyers.example",
        "(bea@acme.example\\) <evil@lawyers.example>) <evil@lawyers.example>",
        "=?utf-8?q?bea=40acme=2Eexample=3E=2C?= <evil@lawyers.example>",
        "=?utf-8?b?YmVhQGFjbWUuZXhhbXBsZT4s?= <evil@lawyers.example>",
        '"=?utf-8?q?bea=40acme.example=22=2C?=" <evil@lawyers.example>',
        "<bea@acme.example@lawyers.example>, <evil@lawyers.example>",
        "bea@acme.example evil@lawyers.example, evil@lawyers.example",
        "bea@acme.example\0, evil@lawyers.example".replace("\0", "\x01"),
    ],
)
def test_a_name_that_looks_like_an_address_is_none(value):
    """Example 18 of the sharing contract, and CVE-2023-27043."""
    assert [address for _, address in read(value)] == ["evil@lawyers.example"]


@given(st.text(max_size=200) | st.text(alphabet='a@b.,;:<>()"\\ =?\r\n', max_size=200))
def test_whatever_is_written_only_addresses_come_out(value):
    for name, address in read(value):
        assert normalize_address(address) == address
        assert "\n" not in name


@given(
    st.lists(
        st.tuples(st.text(alphabet='ab@,<>;:() "\\', max_size=12), st.sampled_from(["a@x.example", "b@y.example"]))
    )
)
def test_a_quoted_name_never_changes_who_is_addressed(people):
    value = ", ".join(
        '"{}" <{}>'.format(name.replace("\\", "\\\\").replace('"', '\\"'), address) for name, address in people
    )
    assert [address for _, address in read(value)] == [address for _, address in people]


@pytest.mark.parametrize("piece", ['"', '"\\', "(", "<", "@", "a@b.example,", "\\", ":", ",", "a<", "()", '"" '])
def test_a_long_header_is_read_in_linear_time(piece):
    started = time.process_time()
    read(piece * (65_536 // len(piece)))
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("value", "unknown"),
    [
        ('"be a"@acme.example', 1),
        ("bea@acme.example evil", 1),
        ("a@b@c.example, bea@acme.example", 1),
        ("undisclosed-recipients:;", 0),
        ("Bea", 0),
        ("<>", 0),
        ('"bea@acme.example" <bea@acme.example>', 0),
    ],
)
def test_who_can_not_be_read_is_counted(value, unknown):
    """sharing.md, line 7: somebody takes part of whom nothing is known."""
    assert sum(1 for _, address in parse_address_list(value, decode_words) if not address) == unknown
