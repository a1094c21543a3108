"""What each role may do, as data. Whatever is not said here nobody but the owner may: PUBLIC neither."""

from dataclasses import dataclass

SCHEMAS = ("ops", "load", "raw", "quarantine", "pii", "staging", "intermediate", "marts", "governance")
"""Where anything granted besides what is said here is taken back."""

ROLES = {
    "engage_loader": "delivers rows, and reads none",
    "engage_bi": "reads the marts",
    "engage_staff": "reads of the marts what is about their own students",
    "engage_visa": "reads the contact points of sponsored students",
    "engage_governance": "reads the figures of the governance summary",
}
STAFF = "engage_staff"

USAGE = {
    "engage_loader": ("ops", "raw", "quarantine", "pii"),
    "engage_bi": ("marts",),
    "engage_staff": ("marts",),
    "engage_visa": ("marts",),
    "engage_governance": ("governance",),
}
"""The schemas in which a role may name anything. Policies find ops.my_student without."""


@dataclass(frozen=True)
class Rule:
    """Privileges of a role on the tables and views of one schema."""

    role: str
    privileges: tuple[str, ...]
    schema: str
    only: tuple[str, ...] = ()
    """These; none: all of the schema."""
    besides: tuple[str, ...] = ()
    """Not these."""
    own_students: bool = False
    """Only what shows those who ask the rows of their own students."""


VISA_ONLY = ("sponsored_contact_point",)
"""Marts by which students show as sponsored."""

RULES = (
    Rule("engage_loader", ("INSERT",), "raw"),
    Rule("engage_loader", ("INSERT",), "quarantine"),
    Rule("engage_loader", ("INSERT",), "pii"),
    Rule("engage_loader", ("SELECT", "INSERT"), "ops", only=("delivery", "batch", "batch_day")),
    Rule("engage_loader", ("SELECT",), "ops", only=("source",)),
    Rule("engage_bi", ("SELECT",), "marts", besides=VISA_ONLY),
    Rule("engage_staff", ("SELECT",), "marts", own_students=True),
    Rule("engage_staff", ("SELECT",), "marts", only=("calendar_day", "source_health", "source_register")),
    Rule("engage_staff", ("SELECT",), "ops", only=("my_student",)),
    Rule("engage_visa", ("SELECT",), "marts", only=VISA_ONLY),
    Rule("engage_governance", ("SELECT",), "governance"),
)
