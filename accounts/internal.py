"""Which addresses are colleagues': asked of the database at the moment of the question (sharing.md, *internal address*)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from django.db.models import BooleanField, F, Func, Model, OuterRef, Q, QuerySet

from accounts.addresses import domain_covers, domain_of
from accounts.models import Mailbox, MailDomain, Organization, User

M = TypeVar("M", bound=Model)

#: Whether the domain in the second column covers that in the first: it is at its end, whole.
_COVERS = "substr('.' || {covered}, 1 + length({covered}) - length({domain})) = '.' || {domain}"


class _Covers(Func):
    """Whether the domain in the first column covers that in the second: equal or a parent."""

    output_field = BooleanField()
    arity = 2

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]  # noqa: ARG002
        """The same on every database."""
        domain, covered = (compiler.compile(each)[0] for each in self.get_source_expressions())
        return _COVERS.format(domain=domain, covered=covered), []


class _Internal(Func):
    """Whether the address in the first column, at the domain in the second, is internal to `organization` (an id).

    Nearly every page asks it, some several times: as a statement of its own it costs neither Django nor the database
    much to prepare. The addresses are read once a query, however many rows it looks at.
    """

    output_field = BooleanField()
    arity = 2
    _SQL = (
        "({address} IN (SELECT email FROM {users} WHERE organization_id = {organization}"
        " UNION ALL SELECT box.email_address FROM {mailboxes} box JOIN {users} person ON person.id = box.owner_id"
        " WHERE person.organization_id = {organization})"
        " OR EXISTS (SELECT 1 FROM {domains} own WHERE own.organization_id = {organization} AND {covers}))"
    )

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]  # noqa: ARG002
        """The same on every database."""
        (address, of_address), (domain, of_domain) = map(compiler.compile, self.get_source_expressions())
        sql = self._SQL.format(
            address=address,
            organization=int(self.extra["organization"]),
            covers=_COVERS.format(domain="own.domain", covered=domain),
            users=User._meta.db_table,
            mailboxes=Mailbox._meta.db_table,
            domains=MailDomain._meta.db_table,
        )
        return sql, [*of_address, *of_domain, *of_domain]


def covering(domains: QuerySet[M], domain: str) -> QuerySet[M]:
    """Those rows of `domains` whose column `domain` covers the domain in the outer query's column: equal or a parent."""
    return domains.filter(_Covers(F("domain"), OuterRef(domain)))


@lru_cache(maxsize=256)
def is_internal(organization: int, address: str = "address", domain: str = "domain") -> Q:
    """Condition on rows whose columns are named: the address is a colleague's or at an own mail domain.

    Deactivated users and inactive mailboxes count. Only the condition is remembered here, for an organisation's id,
    never what it found.
    """
    return Q(_Internal(F(address), F(domain), organization=organization))


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
