"""The forms of Email Settings: a POP3 account, the CRM Mail account, sharing (R4, R6, R8–R15, R20–R23)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from accounts.addresses import normalize_address
from accounts.connecting import complete, outgoing_follows
from accounts.discovery import Found, find
from accounts.mailboxes import FIELDS_OF_A_TEST
from accounts.models import Mailbox, User
from accounts.providers import guess_outgoing, is_gmail
from portal.forms import ChoiceCards, LinesField, add_errors
from sharing.models import MAX_EXCLUDED_DOMAINS, SharingPolicy
from sharing.modes import fixed_for, recommended_for
from sharing.policies import check_excluded_domains

MODE_DESCRIPTIONS = {
    "public": "For sales reps and managers in daily contact with customers. Colleagues read all your mail with leads "
    "and contacts, received and sent, but for the domains you exclude.",
    "custom": "For sales reps and managers who choose customer by customer. Colleagues read your mail, received and "
    "sent, with the leads and contacts on whose record you tick Share Email.",
    "private": "For management, and for confidential conversations. Nobody else reads any of your mail, received or "
    "sent. You still read what others share, and can reply to it.",
}
_PLAIN_TEXT = (
    "Without encryption everybody on the way can read the password. Choose SSL/TLS or STARTTLS, or tick below that you "
    "accept this."
)


_SERVERS = [f"{side}_{part}" for side in ("incoming", "outgoing") for part in ("host", "port", "security")]


class SharingForm(forms.Form):
    """A sharing permission; none is preselected for a new mailbox (R13).

    Where administrators have fixed the mode it is the only one to choose from; one that they recommend is marked, and
    still has to be chosen (R25).
    """

    sharing_mode = forms.ChoiceField(
        label="Who can read the customer mail of this account?",
        choices=SharingPolicy.Mode.choices,
        error_messages={"required": "Choose Public, Custom or Private. There is no default."},
    )
    excluded_domains = LinesField(
        label="Exclude domains",
        most=MAX_EXCLUDED_DOMAINS,
        what="domain",
        required=False,
        help_text=f"Up to {MAX_EXCLUDED_DOMAINS}, like lawyers.example. Mail in which anybody there takes part is not "
        "shared. Acts in Public; kept in the other modes.",
    )

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fixed = fixed_for(owner)
        self.recommended = recommended_for(owner)
        field = self.fields["sharing_mode"]
        descriptions = dict(MODE_DESCRIPTIONS)
        if self.recommended:
            descriptions[self.recommended.mode] += " Recommended by your administrators."
        field.widget = ChoiceCards(descriptions=descriptions)
        choices = SharingPolicy.Mode.choices
        if self.fixed:
            choices = [(value, label) for value, label in choices if value == self.fixed.mode]
            self.initial["sharing_mode"] = self.fixed.mode
        field.choices = choices  # type: ignore[attr-defined]

    def clean_excluded_domains(self) -> list[str] | None:
        """Normalised; a sixth is refused (R21). None, which keeps the saved ones, when the field was not sent:
        the script leaves it out in the modes that don't use it.
        """
        if self.add_prefix("excluded_domains") not in self.data:
            return None
        return check_excluded_domains(self.cleaned_data["excluded_domains"])


class OutgoingForm(forms.Form):
    """How mail goes out. Passwords are never shown again; left empty on a saved account they stay.

    As it is, it is the form of the CRM Mail account, which has nothing else. With `is_test` only what a test of the
    account needs is looked at (R12). Whoever sets up somebody else's account is not `by_owner`
    (`accounts.connecting.complete`).
    """

    outgoing_host = forms.CharField(
        label="Outgoing server",
        max_length=253,
        help_text="For example smtp.example.com. If you are not sure, ask your administrator. An empty port is the "
        "usual one.",
        error_messages={"required": "Enter the outgoing server."},
    )
    outgoing_security = forms.ChoiceField(
        label="Security", choices=Mailbox.Security.choices, initial=Mailbox.Security.SSL
    )
    outgoing_port = forms.IntegerField(
        label="Port",
        required=False,
        min_value=1,
        max_value=65535,
        error_messages={"min_value": "Ports are numbers from 1 to 65535. Sending with SSL uses 465."},
    )
    outgoing_username = forms.CharField(
        label="User name", max_length=320, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    outgoing_password = forms.CharField(
        label="Password",
        max_length=1000,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    allow_plain_text = forms.BooleanField(
        label="I understand: without encryption everybody on the way can read my password and my mail", required=False
    )

    sides: tuple[str, ...] = ("outgoing",)

    def __init__(
        self, *args: Any, mailbox: Mailbox | None = None, by_owner: bool = True, is_test: bool = False, **kwargs: Any
    ) -> None:
        if mailbox is not None:
            saved = {name: getattr(mailbox, name) for name in self.base_fields if not name.endswith("_password")}
            kwargs["initial"] = saved | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        self.mailbox = mailbox
        self.by_owner = by_owner
        if is_test:
            for name in self.fields.keys() - FIELDS_OF_A_TEST:
                del self.fields[name]
        for side in self.sides:
            if mailbox is not None and getattr(mailbox, f"{side}_password"):
                self.fields[f"{side}_password"].required = False
                self.fields[f"{side}_password"].help_text = "Leave empty to keep the saved one."

    def clean(self) -> dict[str, Any]:
        """The fields to save, completed and checked together (`accounts.connecting.complete`)."""
        given = dict(self.cleaned_data)
        for name in ("incoming_password", "outgoing_password", "incoming_port", "outgoing_port"):
            if not given.get(name):
                given.pop(name, None)
        for name in self._unchanged_servers(given):
            del given[name]
        for side in self.sides:
            plain = self.cleaned_data.get(f"{side}_security") == Mailbox.Security.NONE
            if plain and not given["allow_plain_text"]:
                self.add_error(f"{side}_security", _PLAIN_TEXT)
        try:
            self.settings = complete(given, self.mailbox, by_owner=self.by_owner)
        except ValidationError as error:
            # What is wrong already, or follows from it, needs no second complaint.
            known = set(self.errors)
            if "incoming_host" in known and given.get("use_same_credentials"):
                known.add("outgoing_host")
            add_errors(self, {name: said for name, said in error.message_dict.items() if name not in known})
        return self.cleaned_data

    def _unchanged_servers(self, given: dict[str, Any]) -> list[str]:
        """What was left as it was shown of a saved account's servers. It may follow from what was changed: a port from
        the security (R8), the outgoing server from the incoming one (R9).
        """
        return [
            name for name in _SERVERS if name in given and self.mailbox and given[name] == getattr(self.mailbox, name)
        ]


class MailboxForm(OutgoingForm):
    """The connection of a POP3 account."""

    name = forms.CharField(label="Account name", max_length=100)
    email_address = forms.CharField(
        label="E-mail address", max_length=320, widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )
    incoming_host = forms.CharField(
        label="Incoming server",
        max_length=253,
        help_text="For example pop.gmail.com. If you are not sure, ask your administrator. An empty port is the usual one.",
    )
    incoming_security = forms.ChoiceField(
        label="Security", choices=Mailbox.Security.choices, initial=Mailbox.Security.SSL
    )
    incoming_port = forms.IntegerField(
        label="Port",
        required=False,
        min_value=1,
        max_value=65535,
        error_messages={"min_value": "Ports are numbers from 1 to 65535. POP3 with SSL uses 995."},
    )
    incoming_username = forms.CharField(
        label="User name",
        max_length=320,
        help_text="Often the e-mail address.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    incoming_password = forms.CharField(
        label="Password",
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="With two-factor authentication, enter an app password, not your usual one.",
    )
    used_by_other_clients = forms.BooleanField(
        label="Other POP clients read this Gmail account too",
        required=False,
        help_text="Gmail only: tags the user name with recent: and leaves messages on the server.",
    )
    use_same_credentials = forms.BooleanField(
        label="Use the same credentials for the outgoing mail server", required=False, initial=True
    )
    outgoing_host = forms.CharField(
        label="Outgoing server",
        max_length=253,
        required=False,
        help_text="With the same credentials it follows the incoming server until you change it.",
    )
    delete_policy = forms.ChoiceField(
        label="Delete message setting",
        choices=Mailbox.DeletePolicy.choices,
        initial=Mailbox.DeletePolicy.LEAVE,
        widget=ChoiceCards(
            descriptions={
                "leave": "Nothing is ever deleted on the server.",
                "after_fetch": "As soon as a message is safely stored here.",
                "after_days": "A number of days after it was fetched.",
                "when_deleted": "When you delete it for good from Trash here.",
            }
        ),
    )
    delete_after_days = forms.IntegerField(label="Days until deletion", required=False, min_value=1, max_value=3650)
    import_since = forms.ChoiceField(
        label="What the first fetch takes", choices=Mailbox.ImportSince.choices, initial=Mailbox.ImportSince.ALL
    )
    import_days = forms.IntegerField(label="Days to go back", required=False, min_value=1, max_value=3650)
    poll_interval_minutes = forms.IntegerField(
        label="Fetch every (minutes)",
        required=False,
        min_value=3,
        max_value=60,
        help_text="Empty: as often as your organisation does.",
    )

    sides = ("incoming", "outgoing")
    #: Titles with their rows; the fields of a row stand beside each other.
    SECTIONS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
        ("Account", (("name", "email_address"),)),
        (
            "Incoming mail",
            (
                ("incoming_host", "incoming_security", "incoming_port"),
                ("incoming_username", "incoming_password"),
                ("used_by_other_clients",),
            ),
        ),
        (
            "Outgoing mail",
            (
                ("use_same_credentials",),
                ("outgoing_host", "outgoing_security", "outgoing_port"),
                ("outgoing_username", "outgoing_password"),
                ("allow_plain_text",),
            ),
        ),
        (
            "Fetching",
            (("delete_policy",), ("delete_after_days",), ("import_since", "import_days"), ("poll_interval_minutes",)),
        ),
    )
    field_order = tuple(name for _, rows in SECTIONS for row in rows for name in row)
    #: Which fields are only of use with a value of another one, for the script; the server judges in any case.
    SHOWN_WHEN = {
        "outgoing_username": "use_same_credentials=off",
        "outgoing_password": "use_same_credentials=off",
        "delete_after_days": "delete_policy=after_days",
        "import_days": "import_since=days",
    }

    @property
    def outgoing_follows(self) -> bool:
        """Whether the outgoing server changes with the incoming one (R9), as it does until it is edited."""
        return outgoing_follows(self.mailbox) if self.mailbox else not self["outgoing_host"].value()

    def sections(self) -> list[tuple[str, list[list[tuple[forms.BoundField, str]]]]]:
        """Titles with their rows of fields, each field with the condition under which it is shown."""
        return [
            (title, [[(self[name], self.SHOWN_WHEN.get(name, "")) for name in row] for row in rows])
            for title, rows in self.SECTIONS
        ]

    def clean(self) -> dict[str, Any]:
        """Also, what only Gmail has is for Gmail (R11)."""
        given = self.cleaned_data
        if given.get("used_by_other_clients") and not is_gmail(given.get("incoming_host", "")):
            self.add_error("used_by_other_clients", "Only Gmail has this. Untick it for other servers.")
        return super().clean()


def as_entered(posted: QueryDict) -> dict[str, Any]:
    """What was filled in so far, to be shown again; passwords are not sent back (R14)."""
    return {
        name: name in posted if isinstance(field, forms.BooleanField) else posted.get(name, "")
        for name, field in MailboxForm.base_fields.items()
        if not name.endswith("_password")
    }


def fill_in_outgoing(posted: QueryDict, mailbox: Mailbox | None = None) -> MailboxForm:
    """The form as it was filled in so far, with the outgoing server that goes with the incoming one (R9)."""
    return MailboxForm(initial=as_entered(posted) | guess_outgoing(posted.get("incoming_host", "")), mailbox=mailbox)


def find_servers(posted: QueryDict, mailbox: Mailbox | None = None) -> tuple[MailboxForm, Found | None]:
    """The form as it was filled in so far, with the servers of its e-mail address as far as they are known (R7).

    Whatever is found, an empty name and user name get what they most often are. Passwords are not sent back (R14).
    """
    entered = as_entered(posted)
    address = normalize_address(str(entered["email_address"]))
    if address is None:
        return MailboxForm(initial=entered, mailbox=mailbox), None
    found = find(address)
    entered["name"] = entered["name"] or (found.provider.name if found.provider else found.domain)
    entered["incoming_username"] = entered["incoming_username"] or address
    return MailboxForm(initial=entered | found.settings, mailbox=mailbox), found


class MailAccountForm(forms.Form):
    """The CRM Mail account (R4)."""

    address = forms.CharField(
        label="Your CRM Mail address",
        max_length=320,
        widget=forms.EmailInput,
        help_text="At one of your organisation's own mail domains.",
    )
    signature = forms.CharField(
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Put below what you write: in new messages, and in replies and forwards above what is quoted. Leave it "
        "empty for no signature.",
    )
