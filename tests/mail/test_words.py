"""R31: how text is folded to the words that search compares."""

from __future__ import annotations

import time
import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.highlighting import extract
from mail.search_query import parse
from mail.words import LONGEST_WORD, fold, phrase, places, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("An Offer, please!", ["an", "offer", "please"], id="case and punctuation"),
        pytest.param("bea@acme.example", ["bea", "acme", "example"], id="an address is three words"),
        pytest.param("offer_2026-05.pdf", ["offer", "2026", "05", "pdf"], id="so is a file name"),
        pytest.param("Größe Straße Übung", ["grosse", "strasse", "ubung"], id="German umlauts"),
        pytest.param("İstanbul IRMAK ırmak", ["istanbul", "irmak", "irmak"], id="Turkish i with and without a dot"),
        pytest.param(
            "Łódź Søren Æsir œuvre þing", ["lodz", "soren", "aesir", "oeuvre", "thing"], id="no decomposition"
        ),
        pytest.param("cafe\u0301 café", ["cafe", "cafe"], id="combining characters"),
        pytest.param("z̸͔̈a̶̛͝l̷gö", ["zalgo"], id="many combining characters"),
        pytest.param("ﬁle ²Ｆｕｌｌ", ["file", "2full"], id="ligatures, superscripts, full width"),
        pytest.param(
            "co\u00adoper\u200bate", ["cooper", "ate"], id="a soft hyphen joins, a space without width divides"
        ),
        pytest.param("مُحَمَّد أحمد ـسـلام", ["محمد", "احمد", "سلام"], id="Arabic without vowel signs and tatweel"),
        pytest.param("Ελλάδα ΟΔΟΣ", ["ελλαδα", "οδοσ"], id="Greek, final sigma"),
        pytest.param("Ёлка й", ["елка", "и"], id="Cyrillic"),
        pytest.param("会議室", ["会議", "議室", "室"], id="Han by twos"),
        pytest.param("会議room室", ["会議", "議", "room", "室"], id="Han beside Latin"),
        pytest.param("ｶﾞ ガ カ\u3099", ["カ", "カ", "カ"], id="Kana, halfwidth and with a mark"),
        pytest.param("한국", ["한국", "국"], id="Hangul"),
        pytest.param("\u1112\u1161\u11ab\u1100\u116e\u11a8", ["한국", "국"], id="Hangul in letters"),
        pytest.param("สวัสดี", ["สว", "วั", "ัส", "สด", "ดี", "ี"], id="Thai by twos"),
        pytest.param("हिन्दी", ["हिनदी"], id="Hindi keeps its vowels"),
        pytest.param("🎉 — \0 ...", [], id="nothing to compare"),
        pytest.param("x" * 5000, ["x" * LONGEST_WORD], id="a very long word is known by its beginning"),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_texts_in_other_normal_forms_are_the_same() -> None:
    """Names of files come decomposed from some systems."""
    for text in ("Größe café 한국 が Ёлка", "é" * 100):
        assert words(unicodedata.normalize("NFD", text)) == words(text)


@pytest.mark.parametrize("marks", ["\u0301\u0316", "".join(map(chr, range(0x300, 0x340)))], ids=["two", "many"])
def test_marks_without_end_take_linear_time(marks: str) -> None:
    """Mail that means harm: sorting them takes seconds."""
    text = "a" + marks * (65_536 // len(marks))
    started = time.process_time()
    assert words(text) == ["a"]
    assert extract(f"offer {text}", parse("offer", date(2026, 11, 2)).words)[0].is_hit
    assert time.process_time() - started < 1


@given(st.text())
def test_words_hold_nothing_that_divides_them_in_a_database(text: str) -> None:
    """Letters, digits and marks only: no space, quote, operator or NUL of any query language."""
    for word in words(text):
        assert word
        assert all(unicodedata.category(sign)[0] in "LNM" for sign in word)
        assert len(word) <= LONGEST_WORD
        assert not any("A" <= sign <= "Z" for sign in word)


@given(st.text())
def test_places_are_those_of_the_words(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    found = places(text)
    assert [each.word for each in found] == words(text)
    for each in found:
        assert 0 <= each.start < each.end <= len(text)
        assert each.word[:1] in fold(text[each.start : each.end])


@given(st.text(), st.text(), st.text())
def test_a_text_holds_the_phrase_of_each_part_of_it(before: str, part: str, after: str) -> None:
    """Whatever stands around it, as long as a space is between."""
    asked, is_beginning = phrase(part)
    held = words(f"{before} {part} {after}")
    assert not asked or any(
        held[at : at + len(asked) - 1] == list(asked[:-1])
        and (
            held[at + len(asked) - 1].startswith(asked[-1]) if is_beginning else held[at + len(asked) - 1] == asked[-1]
        )
        for at in range(len(held) - len(asked) + 1)
    )


@given(st.text(alphabet="会議室東京"), st.text(alphabet="会議室東京", min_size=1), st.text(alphabet="会議室東京"))
def test_a_text_without_spaces_holds_the_phrase_of_each_part_of_it(before: str, part: str, after: str) -> None:
    asked, is_beginning = phrase(part)
    held = words(before + part + after)
    assert any(
        held[at : at + len(asked) - 1] == list(asked[:-1])
        and (
            held[at + len(asked) - 1].startswith(asked[-1]) if is_beginning else held[at + len(asked) - 1] == asked[-1]
        )
        for at in range(len(held) - len(asked) + 1)
    )
