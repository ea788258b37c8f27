"""R32: what is quoted and how it is signed is told apart, and never lost."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.quoting import pieces
from mail.rendering import sanitize


def kinds(text):
    return [piece.kind.value for piece in pieces(text)]


def rendered(html):
    return sanitize(html, inline={}, remote_images=False).html


@given(st.text(alphabet="> -_\nOnwrote:2026@ab,.", max_size=300))
def test_the_pieces_are_the_text_again(text):
    assert "".join(piece.text for piece in pieces(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["own"]),
        ("Hello\nthere", ["own"]),
        ("Yes.\n\nOn Mon, 2 Nov 2026 at 09:30, Bea <b@x> wrote:\n> One\n> two", ["own", "quoted"]),
        ("Yes.\n\nOn Mon, 2 Nov 2026 at 09:30, Bea\n<b@x> wrote:\n> One", ["own", "quoted"]),
        ("Yes.\n\nLa lundo, 2 nov, ĉiu:\n> One", ["own", "quoted"]),
        ("Yes.\n\nOn Mon, 2 Nov 2026 at 09:30, Bea <b@x> wrote:\n\nOne without marks", ["own", "quoted"]),
        ("Yes.\n\nFrom: Bea\nSent: today\nTo: Ann\nSubject: x\n\nOne", ["own", "quoted"]),
        ("Yes.\n\nVon: Bea\nGesendet: heute\nAn: Ann\nBetreff: x\n\nEins", ["own", "quoted"]),
        ("Yes.\n________________________________\nFrom: Bea\n\nOne", ["own", "quoted"]),
        ("> One?\nYes.\n> Two?\nNo.", ["quote", "own", "quote", "own"]),
        ("> One?\nYes.", ["quote", "own"]),
        ("\n".join(["> long"] * 9) + "\nYes.", ["quoted", "own"]),
        ("> One?\nYes.\n\n> The rest", ["quote", "own", "quoted"]),
        ("> only\n> this", ["quote"]),
        ("Hi\n-- \nBea", ["own", "signature"]),
        ("Hi\n-- \nBea\n\nOn 2 Nov 2026 09:30 Ann <a@x> wrote:\n> One", ["own", "signature", "quoted"]),
        ("Hi\n\nSent from my iPhone", ["own", "signature"]),
        ("Hi\n--\n" + "line\n" * 60, ["own"]),
        ("FYI\n\n---------- Forwarded message ---------\nFrom: Bea\nSubject: x\n\nWords", ["own"]),
        ("From: here on it gets easy.\nDo it.", ["own"]),
        ("Bob wrote 3 things:\none\ntwo", ["own"]),
        ("See\n\nbegin 644 a.jpg\nMMM\nend\nBye", ["own", "encoded", "own"]),
        ("begin 644 of them\nstay", ["own"]),
        ("A picture:\n>From here\nyou see it", ["own"]),
    ],
)
def test_each_piece_is_what_it_is(text, expected):
    assert kinds(text) == expected


@pytest.mark.parametrize(
    "line", ["\n", "> ", ">\n", "From: a\n", "On 2026-01-01 a@b ", "a: b\n", "-- \n", "begin 644 x\n", "_" * 25 + "\n"]
)
def test_a_hostile_text_takes_linear_time(line):
    started = time.process_time()
    pieces(line * (400_000 // len(line)))
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    "html",
    [
        "<div>Yes.</div><div class=gmail_quote><div>On Monday Bea wrote:</div><blockquote>One</blockquote></div>",
        "<div>Yes.</div><blockquote type=cite>One</blockquote>",
        "<div>Yes.</div><div class=x_yahoo_quoted>One</div>",
        "<p>Yes.</p><div id=divRplyFwdMsg>From: Bea</div><div>One</div>",
        "<p>Yes.</p><div id=appendonsend></div><hr><div>One</div>",
        "<div><p>Yes.</p><div><div style='border:none;border-top:solid #E1E1E1 1.0pt'>From: Bea</div></div><p>One</p></div>",
        "<p>Yes.</p><p>-----Original Message-----</p><p>One</p>",
        "<blockquote type=cite>One</blockquote><p>Yes.</p>",
        "<table><tr><td><p>Yes.</p><blockquote type=cite>One</blockquote></td></tr></table>",
    ],
)
def test_what_html_quotes_is_folded_and_whole(html):
    result = rendered(html)
    _, _, folded = result.partition('<details class="fold"><summary>Quoted text</summary>')
    quotation = folded.partition("</details>")[0]
    assert "One" in quotation
    assert "Yes." not in quotation
    assert "Yes." in result.replace(quotation, "")
    assert result.count("<details") == result.count("</details>") == 1


@pytest.mark.parametrize(
    "html",
    [
        "<blockquote type=cite>One</blockquote><p>Yes.</p><blockquote type=cite>Two</blockquote><p>No.</p>",
        "<blockquote type=cite>One</blockquote>",
        "<div class=gmail_signature>Bea</div><blockquote type=cite>One</blockquote>",
        "<p>Yes.</p><blockquote>One</blockquote>",
        "<p>Yes.</p><span><blockquote type=cite>One</blockquote></span>",
    ],
)
def test_what_has_to_be_read_stays_open(html):
    assert "<details" not in rendered(html)


def test_a_forwarded_message_is_open_and_can_be_folded():
    html = "<p>FYI</p><div class=gmail_quote>---------- Forwarded message ---------<br>From: Bea<br>One</div>"
    assert '<details class="fold" open>' in rendered(html)


def test_mail_can_not_give_itself_our_classes():
    html = rendered('<div class="fold misleads part-signature">x</div><span class="misleads">y</span>')
    assert "class" not in html


@pytest.mark.parametrize(
    "piece",
    ["<blockquote type=cite>", "<div class=gmail_quote>", "<div class=gmail_signature>", "<a href=https://x>", "x<b>"],
)
def test_hostile_nesting_takes_bounded_time(piece):
    started = time.process_time()
    rendered(piece * 500 + "y" * 1000)
    rendered((piece + "y</div></blockquote></a></b>") * 20_000)
    assert time.process_time() - started < 4


@given(
    st.lists(
        st.sampled_from(
            [
                "<div>",
                "</div>",
                "<blockquote type=cite>",
                "</blockquote>",
                "<div id=appendonsend>",
                "words",
                "<br>",
                "<p>",
            ]
        ),
        max_size=30,
    )
)
def test_folding_only_adds(written):
    html = "".join(written)
    folded = rendered(html) or ""
    for addition in ('<details class="fold"><summary>Quoted text</summary>', "</details>"):
        folded = folded.replace(addition, "")
    assert folded == (sanitize(html, inline={}, remote_images=False, fold=False).html or "")
