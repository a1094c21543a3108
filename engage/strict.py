"""What every file of the configuration has in common: no unknown keys, secrets by name only, errors that name the key.

What the files say is known to the modules that read them.
"""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from engage import source_values as values


class ConfigurationError(Exception):
    """A configuration file is wrong; the message names the file and the key."""


class Strict(BaseModel):
    """Base of everything in a configuration file: no unknown keys, no changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def resolve(value: str) -> str:
    """Return `value`, or the environment variable that it names as `${NAME}`.

    Raises ConfigurationError when the variable is not set.
    """
    if not (match := values.IN_ENVIRONMENT.match(value)):
        return value
    if (found := os.environ.get(match[1])) is None:
        raise ConfigurationError(f"the environment variable {match[1]} is not set")
    return found


_UNIONS = ("transport", "auth")
"""Keys whose value is of one of several kinds: Pydantic puts the kind into a path, and a file does not have it."""


def explain(path: Path, error: ValidationError) -> str:
    """Turn a Pydantic error into lines `file: key: what is wrong`, without the offending value (it may be a secret)."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        parts = problem["loc"]
        key = ".".join(str(part) for before, part in zip(("", *parts), parts, strict=False) if before not in _UNIONS)
        lines.append(f"{path}: {key + ': ' if key else ''}{problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)
