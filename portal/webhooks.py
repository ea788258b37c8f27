"""Administration › Webhooks: other programs that are told of customers and their mail. For administrators only."""

from __future__ import annotations

from django import forms
from django.contrib import messages as notices
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.requests import administrators_only, member
from sharing.visibility import visible_to
from webhooks import administering
from webhooks.delivering import check_url
from webhooks.models import Delivery, Webhook
from webhooks.tasks import hint_delivery

SHOWN = 50


class WebhookForm(forms.Form):
    """Where to, and of what."""

    url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="It begins with https:// and is on the public internet.",
        widget=forms.URLInput(attrs={"placeholder": "https://crm.example.com/hooks/mail"}),
    )
    events = forms.MultipleChoiceField(
        label="Tell it when", choices=Webhook.Event, widget=forms.CheckboxSelectMultiple, initial=list(Webhook.Event)
    )

    def clean_url(self) -> str:
        """Usable, as far as can be said without asking it."""
        return check_url(self.cleaned_data["url"])


@administrators_only
@never_cache
@require_http_methods(["GET", "POST"])
def webhook_list(request: HttpRequest) -> HttpResponse:
    """All of the organisation, and a new one. The answer to the form shows the secret: it is not shown again."""
    user = member(request)
    form = WebhookForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        webhook = administering.add(user, **form.cleaned_data)
        context = {"webhook": webhook, "secret": webhook.secret.reveal()}
        return render(request, "administration/webhook_added.html", context)
    webhooks = Webhook.objects.for_organization(user.organization).select_related("user")
    return render(request, "administration/webhooks.html", {"form": form, "webhooks": webhooks})


@administrators_only
@require_safe
def webhook(request: HttpRequest, pk: int) -> HttpResponse:
    """One with its latest deliveries; those of mail as far as whoever looks may see the mail."""
    found = _webhook(request, pk)
    latest = list(found.deliveries.order_by("-id")[: 2 * SHOWN])
    mail = {delivery.object_id for delivery in latest if delivery.is_about_mail}
    seen = set(visible_to(member(request)).filter(pk__in=mail).values_list("pk", flat=True))
    shown = [each for each in latest if not each.is_about_mail or each.object_id in seen][:SHOWN]
    names = {**dict(Webhook.Event.choices), Delivery.PING: "Test"}
    context = {"webhook": found, "deliveries": shown, "names": names, "is_listening": found in _listening(request)}
    return render(request, "administration/webhook.html", context)


@administrators_only
@require_POST
def webhook_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send something, to see whether it comes."""
    found = _webhook(request, pk)
    if found not in _listening(request):
        notices.error(request, "This webhook is off. Switch it on first.")
        return redirect(found)
    Delivery.objects.create(webhook=found, event=Delivery.PING, object_id=0)
    Webhook.objects.filter(pk=pk).update(paused_until=None)
    hint_delivery(pk)
    notices.success(request, "A test is on its way. Its outcome is listed below in a moment.")
    return redirect(found)


@administrators_only
@require_POST
def webhook_switch(request: HttpRequest, pk: int) -> HttpResponse:
    """On or off."""
    found = _webhook(request, pk)
    administering.switch(member(request), found, is_active="on" in request.POST)
    return redirect(found)


@administrators_only
@require_POST
def webhook_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Away with it and its deliveries."""
    administering.delete(member(request), _webhook(request, pk))
    notices.success(request, "The webhook was deleted. Nothing more is sent to it.")
    return redirect("webhooks")


@administrators_only
@require_POST
def delivery_again(request: HttpRequest, pk: int, delivery: int) -> HttpResponse:
    """Send a delivery again, under the same id; what it tells is read anew."""
    found = _webhook(request, pk)
    again = found.deliveries.filter(pk=delivery).exclude(state=Delivery.State.WAITING)
    row = get_object_or_404(found.deliveries, pk=delivery)
    if row.is_about_mail:
        get_object_or_404(visible_to(member(request)), pk=row.object_id)
    again.update(state=Delivery.State.WAITING, tries=0, due_at=timezone.now())
    hint_delivery(pk)
    return redirect(found)


def _webhook(request: HttpRequest, pk: int) -> Webhook:
    everybodys = Webhook.objects.for_organization(member(request).organization).select_related("user")
    return get_object_or_404(everybodys, pk=pk)


def _listening(request: HttpRequest) -> list[Webhook]:
    return list(Webhook.objects.for_organization(member(request).organization).listening())


urlpatterns = [
    path("administration/webhooks/", webhook_list, name="webhooks"),
    path("administration/webhooks/<int:pk>/", webhook, name="webhook"),
    path("administration/webhooks/<int:pk>/test/", webhook_test, name="webhook-test"),
    path("administration/webhooks/<int:pk>/switch/", webhook_switch, name="webhook-switch"),
    path("administration/webhooks/<int:pk>/delete/", webhook_delete, name="webhook-delete"),
    path(
        "administration/webhooks/<int:pk>/deliveries/<int:delivery>/again/",
        delivery_again,
        name="webhook-delivery-again",
    ),
]
