"""Who is no student though systems know them: staff, visitors, test accounts, told by what a source calls people.

`config/identity.yaml` declares it once for all sources. Who a reference does name is `identity`'s.
"""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from engage import source_values as values
from engage.records import IDENTITY_KINDS
from engage.strict import ConfigurationError, Strict, explain, read_yaml


class NotAStudent(Strict):
    """A kind of reference, and what it looks like when it is not a student's."""

    kind: Literal[IDENTITY_KINDS]  # type: ignore[valid-type]
    matches: values.WholePattern
    """As in a source's `drop`: the whole reference, in any letters."""
    reason: values.Filled


class Identity(Strict):
    """The whole file."""

    not_students: list[NotAStudent] = []


def load(config: Path) -> list[NotAStudent]:
    """Read `identity.yaml` of a configuration folder; none without it. Raises ConfigurationError."""
    path = config / "identity.yaml"
    try:
        return Identity.model_validate(read_yaml(path) or {}).not_students
    except FileNotFoundError:
        return []
    except ValidationError as error:
        raise ConfigurationError(explain(path, error, Identity)) from None
