"""What every file of the configuration has in common: no unknown keys, secrets by name only, errors that name the key.

What the files say is known to the modules that read them.
"""

import os

from pydantic import BaseModel, ConfigDict

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
