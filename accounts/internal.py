"""Which addresses are colleagues': asked of the database at the moment of the question (sharing.md, *internal address*)."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar, cast

from django.db.models import Exists, ExpressionWrapper, F, Model, OuterRef, Q, QuerySet, TextField, Value
from django.db.models.functions import Concat

from accounts.addresses import domain_covers, domain_of
from accounts.models import Mailbox, MailDomain, Organization, User

M = TypeVar("M", bound=Model)


def covering(domains: QuerySet[M], domain: str) -> QuerySet[M]:
    """Those rows of `domains` whose column `domain` covers the domain in the outer query's column: equal or a parent."""
    covered = ExpressionWrapper(OuterRef(domain), output_field=TextField())
    equal_or_parent = Q(domain=F("covered")) | Q(covered__endswith=Concat(Value("."), F("domain")))
    return cast("QuerySet[M]", domains.annotate(covered=covered).filter(equal_or_parent))


@lru_cache(maxsize=256)
def is_internal(organization: int, address: str = "address", domain: str = "domain") -> Q:
    """Condition on rows whose columns are named: the address is a colleague's or at an own mail domain.

    Deactivated users and inactive mailboxes count. The addresses are read once a query, however many rows it looks at;
    only the condition is remembered here, for an organisation's id, never what it found.
    """
    users = User.objects.filter(organization=organization).values("email")
    mailboxes = Mailbox.objects.filter(owner__organization=organization).values("email_address")
    domains = covering(MailDomain.objects.filter(organization=organization), domain)
    return Q(**{f"{address}__in": users}) | Q(**{f"{address}__in": mailboxes}) | Q(Exists(domains))


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
