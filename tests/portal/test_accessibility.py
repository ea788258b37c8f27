"""Every page can be used by everybody: axe-core finds nothing serious, on a wide light screen and a narrow dark one."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from accounts.models import Mailbox
from fetcher.models import FetchRun
from tests import factories
from tests.portal import chromium
from tests.portal.browsers import browser
from tests.portal.hands import check_accessible
from tests.portal.places import places
from tests.portal.test_in_chromium import portal  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chromium.PROGRAM is None, reason="Chromium is not installed"),
]

#: What changes slowly, like the colour of a button, has changed.
_FINISH = "document.getAnimations().forEach(each => each instanceof CSSTransition && each.finish())"


def test_axe_finds_nothing_serious_on_any_page(portal: LiveServer) -> None:  # noqa: F811
    """R30: with something on each page, as its users see it: on a wide screen in the light, on a phone in the dark."""
    admin = factories.user(mail_account=True, role="admin", name="Ann Admin")
    rep = factories.user(organization=admin.organization, name="Bob Rep", mail_account=True)
    own = factories.mailbox(owner=admin, name="Sales", mode="custom")
    second = factories.mailbox(owner=admin, email_address="second@our.example", is_active=False)
    rejected = factories.mailbox(owner=rep, mode="public")
    Mailbox.objects.filter(pk=rejected.pk).update(state="password_rejected", last_error="The password was rejected.")
    for state, error in (("done", ""), ("failed", "The server refused the connection.")):
        started = timezone.now() - timedelta(minutes=5)
        FetchRun.objects.create(
            mailbox=own, token=uuid.uuid4(), state=state, started=started, finished=timezone.now(), new=3, error=error
        )
    customer = factories.customer(organization=admin.organization, addresses=["bea@acme.example"])
    shared = factories.message(mailbox=rejected, sender="bea@acme.example", subject="Shared offer")
    message = factories.message(mailbox=own, sender="bea@acme.example", html="<p>Hello</p>", subject="An offer")
    pages = [*places(own, customer, message), *(reverse("mailbox", args=[each.pk]) for each in (second, rejected))]
    pages.append(reverse("message", args=[shared.pk]))
    session = browser(admin).cookies[settings.SESSION_COOKIE_NAME].value
    with chromium.page() as page:
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": portal.url}])
        for path in pages:
            answer = page.goto(portal.url + path)
            assert answer is not None
            assert answer.status == 200, path
            for width, colours in (1280, "light"), (360, "dark"):
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(color_scheme=colours)
                page.evaluate(_FINISH)
                check_accessible(page)
