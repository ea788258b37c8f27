"""Help for every screen, and the three questions (R39)."""

from __future__ import annotations

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse

from portal.help import TOPICS
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    """A member's browser."""
    client = Client()
    client.force_login(factories.user())
    return client


def test_every_topic_is_listed_and_has_a_page(browser: Client) -> None:
    """R39."""
    contents = browser.get(reverse("help")).content.decode()
    for topic in TOPICS:
        page = reverse("help-topic", args=[topic.name])
        assert page in contents
        assert f"<h1>{topic.title}</h1>" in browser.get(page).content.decode()


def test_the_three_questions_are_answered(browser: Client) -> None:
    """R39."""
    page = browser.get(reverse("help-topic", args=["questions"])).content.decode()
    for words in ("share all my customer mail", "change the address of a lead or contact", "limits on sending"):
        assert words in page


def test_an_unknown_topic_is_not_found(browser: Client) -> None:
    """And no path leads out of the folder of topics."""
    assert browser.get("/help/nothing/").status_code == 404
    assert browser.get("/help/topic/").status_code == 404


def test_a_page_that_does_not_exist_says_so_in_plain_words(browser: Client) -> None:
    """404 tells nothing about what exists."""
    answer = browser.get("/no/such/page/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_an_old_form_is_refused_in_plain_words() -> None:
    """A missing CSRF token."""
    factories.user()
    answer = Client(enforce_csrf_checks=True).post(reverse("account_login"), {})
    assert answer.status_code == 403
    assert "Please try again" in answer.content.decode()


def test_the_page_for_our_own_faults_needs_nothing_that_may_be_broken() -> None:
    """No request, no database, no context: only static files."""
    page = render_to_string("500.html")
    assert "Something went wrong" in page
    assert "<script" not in page
