"""The organisation of the demonstration, built through the functions that the product itself uses."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from accounts.mailboxes import NotPossible, change_mailbox
from accounts.models import Mailbox, Organization, User
from accounts.organizations import set_up_organization
from crm_mail.demo.conversations import CARLOS, PAULA, PRIYA
from customers.changes import create_customer
from customers.models import Customer
from mail.accounts import open_mail_account
from sharing.policies import connect_mailbox, tick

ORGANIZATION = "Northwind Instruments"
DOMAIN = "northwind.example"
ADMIN = f"alex@{DOMAIN}"
PASSWORD = "let me look around"  # noqa: S105 - printed for whoever tries the demonstration
POP3_PASSWORD = "pop3 demo"  # noqa: S105


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody whom one can sign in as."""

    email: str
    name: str
    about: str


#: address, name, sharing mode, excluded domains.
MEMBERS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (PAULA, "Paula Public", "public", ("hart-legal.example",)),
    (CARLOS, "Carlos Custom", "custom", ()),
    (PRIYA, "Priya Private", "private", ()),
)
SIGN_INS = (
    SignIn(ADMIN, "Alex Admin", "administrator; reads what colleagues share"),
    SignIn(PAULA, "Paula Public", "Public, without hart-legal.example"),
    SignIn(CARLOS, "Carlos Custom", "Custom, shares Acme and Nordic Pulp"),
    SignIn(PRIYA, "Priya Private", "Private"),
)

#: kind, first name, last name, company, addresses.
CUSTOMERS = (
    ("contact", "Bea", "Stone", "Acme", ["bea.stone@acme.example", "b.stone@acme.example"]),
    ("contact", "Jonas", "Weber", "Metallbau Weber", ["jonas.weber@metallbau-weber.example"]),
    ("contact", "Claire", "Dubois", "Laiterie Dubois", ["claire.dubois@laiterie-dubois.example"]),
    ("lead", "健一", "田中", "桜精機", ["tanaka@sakura-seiki.example"]),
    ("lead", "Νίκος", "Παπαδάκης", "Aegean Water", ["nikos@aegean-water.example", "scanner@aegean-water.example"]),
    ("contact", "Omar", "Haddad", "Harbour Logistics", ["omar@harbour-logistics.example"]),
    ("contact", "M.", "Hart", "Hart Legal", ["m.hart@hart-legal.example"]),
    ("contact", "Lucía", "Gómez", "Conservas Gómez", ["lucia.gomez@conservas-gomez.example"]),
    ("contact", "Erik", "Lund", "Nordic Pulp", ["erik.lund@nordic-pulp.example"]),
    ("lead", "Sofia", "Rossi", "Atelier Rossi", ["sofia@atelier-rossi.example"]),
    ("contact", "Grace", "Chair", "Acme", ["chair@acme.example"]),
    ("contact", "Ines", "Vest", "Harbour Logistics", ["invest@harbour-logistics.example"]),
    ("lead", "Wilma", "Quiet", "Nobody Yet", ["wilma@nobody-yet.example"]),
    ("contact", "Priya", "Private", "entered by mistake: a colleague", [PRIYA]),
)
TICKED = ("bea.stone@acme.example", "erik.lund@nordic-pulp.example")


def build(*, pop3_port: int, smtp_port: int) -> Organization:
    """Create everybody and everything, with mailboxes on the local servers, whose ports are all that a later run changes.

    Raises:
        NotPossible: somebody's real installation is here.
    """
    there = Organization.objects.first()
    if there is None:
        return _create(pop3_port, smtp_port)
    if there.name != ORGANIZATION or not there.mail_domains.filter(domain=DOMAIN).exists():
        raise NotPossible(
            f"This data folder holds {there.name}, which is no demonstration. Leave CRM_MAIL_DATA_DIR unset, or name "
            "an empty folder."
        )
    for mailbox in Mailbox.objects.for_organization(there).filter(email_address__in=[email for email, *_ in MEMBERS]):
        change_mailbox(mailbox, incoming_port=pop3_port, outgoing_port=smtp_port)
    return there


@transaction.atomic
def _create(pop3_port: int, smtp_port: int) -> Organization:
    admin = set_up_organization(
        name=ORGANIZATION,
        domains=[DOMAIN],
        time_zone="Europe/Berlin",
        admin_email=ADMIN,
        admin_name="Alex Admin",
        password=PASSWORD,
    )
    organization = admin.organization
    open_mail_account(admin, f"alex.mail@{DOMAIN}")
    members = {
        email: User.objects.create_user(email, PASSWORD, organization=organization, name=name)
        for email, name, _, _ in MEMBERS
    }
    customers = {
        addresses[0]: create_customer(
            organization=organization,
            kind=Customer.Kind(kind),
            first_name=first_name,
            last_name=last_name,
            company=company,
            addresses=addresses,
            owner=members[PAULA],
        )
        for kind, first_name, last_name, company, addresses in CUSTOMERS
    }
    for email, name, mode, excluded_domains in MEMBERS:
        member = members[email]
        open_mail_account(member, email.replace("@", ".mail@"))
        connect_mailbox(
            member,
            actor=member,
            sharing_mode=mode,
            excluded_domains=excluded_domains,
            name=name,
            email_address=email,
            incoming_host="127.0.0.1",
            incoming_port=pop3_port,
            incoming_security="none",
            incoming_username=email,
            incoming_password=POP3_PASSWORD,
            allow_plain_text=True,
            use_same_credentials=True,
            outgoing_host="127.0.0.1",
            outgoing_port=smtp_port,
            outgoing_security="none",
            poll_interval_minutes=3,
        )
    for address in TICKED:
        tick(members[CARLOS], customers[address])
    return organization
