"""Which addresses are colleagues': asked of the database at the moment of the question (sharing.md, *internal address*)."""

from __future__ import annotations

from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Concat

from accounts.addresses import domain_covers, domain_of
from accounts.models import Mailbox, MailDomain, Organization, User


def covers(domain_column: str, covered: str) -> Q:
    """Condition that the domain in `domain_column` covers the domain annotated as `covered`: equal to it or a parent of it."""
    return Q(**{domain_column: F(covered)}) | Q(**{f"{covered}__endswith": Concat(Value("."), F(domain_column))})


def is_internal(organization: str, address: str, domain: str) -> Combinable:
    """Condition on an outer query whose columns are named: the address is a colleague's or at an own mail domain.

    Deactivated users and inactive mailboxes count.
    """
    return (
        Exists(User.objects.filter(organization=OuterRef(organization), email=OuterRef(address)))
        | Exists(Mailbox.objects.filter(owner__organization=OuterRef(organization), email_address=OuterRef(address)))
        | Exists(
            MailDomain.objects.filter(organization=OuterRef(organization))
            .annotate(covered=OuterRef(domain))
            .filter(covers("domain", "covered"))
        )
    )


def own_addresses(user: User) -> set[str]:
    """The addresses that are the user's own: sign-in address and all mailboxes, active or not (sharing.md)."""
    return {user.email, *user.mailboxes.values_list("email_address", flat=True)}


def internal_among(organization: Organization, addresses: set[str]) -> set[str]:
    """Those of `addresses` that are internal to the organisation; three queries whatever their number."""
    domains = list(organization.mail_domains.values_list("domain", flat=True))
    return {
        *User.objects.filter(organization=organization, email__in=addresses).values_list("email", flat=True),
        *Mailbox.objects.filter(owner__organization=organization, email_address__in=addresses).values_list(
            "email_address", flat=True
        ),
        *(a for a in addresses if any(domain_covers(domain, domain_of(a)) for domain in domains)),
    }
