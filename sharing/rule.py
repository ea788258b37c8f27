"""The sharing rule on plain data: who may see one message, and which line of the contract says so (sharing.md, *The rule*).

Pure: `sharing.visibility` gathers the facts and holds the same rule as a queryset.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Line(IntEnum):
    """The lines of the rule, numbered as in the contract; the first that applies decides."""

    STRANGER = 1
    OWNER = 2
    KEPT_PRIVATE = 3
    DRAFT_OR_TRASH = 4
    NOT_SHARED = 5
    NO_CUSTOMER = 6
    EXCLUDED_DOMAIN = 7
    PUBLIC = 8
    SHARED_RECORD = 9
    NOTHING_ELSE = 10


#: The lines that answer yes.
ALLOWING = frozenset({Line.OWNER, Line.PUBLIC, Line.SHARED_RECORD})

REASONS = {
    Line.STRANGER: "Only active colleagues of the mailbox's owner can see mail.",
    Line.OWNER: "It is in your own mailbox.",
    Line.KEPT_PRIVATE: "The owner keeps this message or its conversation private.",
    Line.DRAFT_OR_TRASH: "Drafts and mail in Trash are never shared.",
    Line.NOT_SHARED: "The mailbox is Private, or no sharing has been chosen for it.",
    Line.NO_CUSTOMER: "It is not correspondence with a lead or contact.",
    Line.EXCLUDED_DOMAIN: "A participant belongs to a domain that the mailbox excludes from sharing.",
    Line.PUBLIC: "The mailbox is Public: mail with leads and contacts is shared with all colleagues.",
    Line.SHARED_RECORD: "The mailbox is Custom, and its owner shares mail with this lead or contact.",
    Line.NOTHING_ELSE: "The mailbox is Custom, and its owner does not share mail with this lead or contact.",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rule needs to know of one viewer and one message, at the moment of the question."""

    viewer_is_active: bool
    same_organization: bool
    viewer_is_owner: bool
    kept_private: bool
    draft_or_trash: bool
    mode: str | None
    has_correspondent: bool
    excluded_participant: bool
    shares_a_correspondent: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, and the line that gave it."""

    line: Line

    @property
    def visible(self) -> bool:
        """Whether the viewer may see the message."""
        return self.line in ALLOWING

    @property
    def reason(self) -> str:
        """The line in words."""
        return REASONS[self.line]


def decide(facts: Facts) -> Verdict:
    """The first line of the rule that applies."""
    conditions = (
        (not facts.viewer_is_active or not facts.same_organization, Line.STRANGER),
        (facts.viewer_is_owner, Line.OWNER),
        (facts.kept_private, Line.KEPT_PRIVATE),
        (facts.draft_or_trash, Line.DRAFT_OR_TRASH),
        (facts.mode not in {"public", "custom"}, Line.NOT_SHARED),
        (not facts.has_correspondent, Line.NO_CUSTOMER),
        (facts.mode == "public" and facts.excluded_participant, Line.EXCLUDED_DOMAIN),
        (facts.mode == "public", Line.PUBLIC),
        (facts.shares_a_correspondent, Line.SHARED_RECORD),
        (True, Line.NOTHING_ELSE),
    )
    return Verdict(next(line for applies, line in conditions if applies))
