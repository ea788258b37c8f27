"""The text beside HTML that was written here, for readers without HTML (R35)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.html_text import MAX_DEPTH
from sender.plain_text import plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("<div>Dear Bea,</div><div>yes.</div>", "Dear Bea,\nyes."),
        ("<div>Dear Bea,</div><div><br></div><div>yes.<br></div>", "Dear Bea,\n\nyes."),
        ("<div><br></div><div>below</div><div><br></div>", "\nbelow"),
        ("<h1>Offer</h1><p>a</p><p>b</p>c", "Offer\n\na\n\nb\n\nc"),
        ("<div>&lt;b&gt;\n two&nbsp; spaces</div>", "<b> two  spaces"),
        ("<div>-- <br>Paula</div>", "-- \nPaula"),
        ("<div>a</div><ul><li>x</li><li>y<ol><li>1</li><li>2</li></ol></li></ul>b", "a\n- x\n- y\n  1. 1\n  2. 2\nb"),
        ("<pre>a\n  b\n\nc</pre>d", "a\n  b\n\nc\n\nd"),
        ("<table><tr><td>Two</td><td>pumps</td></tr><tr><td>One</td></tr></table>", "Two pumps\nOne"),
        ('a<hr>b<img src="cid:x" alt="Map">', "a\n--------------------\nb[Map]"),
        (
            'See <a href="https://x.example/">our <b>offer</b></a> or <a href="https://y.example/">https://y.example</a>.',
            "See our offer <https://x.example/> or https://y.example.",
        ),
        (
            'Or ask <a href="mailto:bea@acme.example">bea@acme.example</a>.',
            "Or ask bea@acme.example.",
        ),
    ],
)
def test_a_line_stays_a_line_and_formatting_is_written_out(html: str, text: str) -> None:
    """R35."""
    assert plain_text(html) == text


def test_what_is_quoted_is_marked_as_deep_as_it_is() -> None:
    """R35: as mail programs do, which fold it away by its marks."""
    quote = "<div>Bea wrote:</div><blockquote>one<div><br></div>two<blockquote>older</blockquote>&gt; old</blockquote>"
    assert plain_text(f"<div>Yes.</div>{quote}<div>Paula</div>") == (
        "Yes.\nBea wrote:\n> one\n>\n> two\n>> older\n>\n>> old\n\nPaula"
    )


_LINE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=20)


@given(st.lists(_LINE.map(lambda line: " ".join(line.split()))))
def test_lines_as_the_editor_writes_them_come_back(lines: list[str]) -> None:
    """R35: each line is a `div`."""

    def escaped(line: str) -> str:
        return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    html = "".join(f"<div>{escaped(line) or '<br>'}</div>" for line in lines)
    typed = [line if line != "--" else "-- " for line in lines]
    assert plain_text(html) == "\n".join(typed).rstrip()


@pytest.mark.parametrize(
    "html",
    [
        "<b>x</b>" * 200_000,
        '<a href="https://x.example/">x</a>' * 50_000,
        "<blockquote>" * MAX_DEPTH + "x<br>" * 200_000,
        "<ul><li>x" * MAX_DEPTH + "<br>y" * 200_000,
        "<ul>" * MAX_DEPTH + "<li>x" * 200_000,
    ],
    ids=["formatting", "links", "quotes", "lists", "items"],
)
def test_it_takes_time_and_room_in_proportion_to_its_length(html: str) -> None:
    assert 0 < len(plain_text(html)) < 10 * len(html)
