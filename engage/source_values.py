"""How single values of a source file read, and which are refused. The file as a whole is `engage.sources`.

No message here repeats the value: it may be a secret.
"""

import codecs
import re
from datetime import time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, StringConstraints

IN_ENVIRONMENT = re.compile(r"^\$\{([A-Z][A-Z0-9_]*)\}$")


def _only_from_environment(value: str) -> str:
    if not IN_ENVIRONMENT.match(value):
        raise ValueError("must be written as ${ENV_NAME}; secrets do not belong in a file")
    return value


def _names_days(value: str) -> str:
    try:
        groups = set(re.compile(value).groupindex)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    if groups & {"day", "from", "to"} not in (set(), {"day"}, {"from", "to"}):
        raise ValueError("must have the group `day`, or both `from` and `to`, or none of them")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("is not the name of a time zone, such as Europe/London") from error
    return value


def _encoding(value: str) -> str:
    try:
        codecs.lookup(value)
    except LookupError as error:
        raise ValueError("is not the name of an encoding, such as utf-8-sig or latin-1") from error
    return value


def _clock_time(value: object) -> object:
    # YAML 1.1 reads an unquoted 16:30 as the number 16 * 60 + 30.
    return time(*divmod(value, 60)) if isinstance(value, int) else value


def _words(value: object) -> object:
    # YAML 1.1 reads an unquoted true, yes, on as a boolean, also as a key.
    return (
        {str(k).lower() if isinstance(k, bool) else k: v for k, v in value.items()}
        if isinstance(value, dict)
        else value
    )


Filled = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Secret = Annotated[str, AfterValidator(_only_from_environment)]
NamePattern = Annotated[str, AfterValidator(_names_days)]
ZoneName = Annotated[str, AfterValidator(_zone)]
Encoding = Annotated[str, AfterValidator(_encoding)]
ClockTime = Annotated[time, BeforeValidator(_clock_time)]
YamlWords = BeforeValidator(_words)
