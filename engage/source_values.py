"""How single values of a source file read, and which are refused. The file as a whole is `engage.sources`.

No message here repeats the value: it may be a secret.
"""

import os
import re
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from engage.records import RECORDS

IN_ENVIRONMENT = re.compile(r"^\$\{([A-Z][A-Z0-9_]*)\}$")
_DAY_PARTS, _TIME_PARTS = {"%d", "%m", "%Y", "%y"}, {"%H", "%M", "%S"}
_WHOLE_DATES = (_DAY_PARTS - {"%y"}, _DAY_PARTS - {"%Y"})
_TWO_DAYS = (date(2026, 10, 31), date(2025, 2, 3))


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
        # Knows the name, and that it is one of texts: base64 is a codec too.
        "a".encode(value)
    except (LookupError, ValueError) as error:
        raise ValueError("is not the name of an encoding, such as utf-8-sig or latin-1") from error
    return value


def _one_character(value: str) -> str:
    # What COPY takes.
    if len(value) != 1 or not value.isascii() or value in "\0\r\n":
        raise ValueError("must be one ASCII character, and no line end")
    return value


def _closing_line(value: str) -> str:
    try:
        is_idle = re.search(value, "") is not None
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    if is_idle:
        raise ValueError("would take any line for the closing one: it matches the empty text")
    return value


def _whole_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return value


def _record_name(value: str) -> str:
    if value not in RECORDS:
        raise ValueError(f"must be one of {', '.join(RECORDS)}")
    return value


def _date_format(value: str) -> str:
    if value in ("iso8601", "epoch_s"):
        return value
    parts = re.findall(r"%.?", value)
    if not parts or set(parts) - _DAY_PARTS - _TIME_PARTS:
        raise ValueError("must be iso8601, epoch_s, or made of %d %m %Y %y %H %M %S")
    if len(set(parts)) < len(parts) or set(parts) - _TIME_PARTS not in _WHOLE_DATES:
        raise ValueError("needs %d, %m and one of %Y and %y, each part at most once")
    return value


def _day_format(value: str) -> str:
    try:
        # Two days, so that a format without day or month is found out.
        is_good = all(datetime.strptime(f"{day:{value}}", value).date() == day for day in _TWO_DAYS)
    except (ValueError, re.error):
        is_good = False
    if not is_good:
        raise ValueError("must name a day for strptime, such as %Y%m%d")
    return value


def _port(value: int | str) -> int | str:
    if not IN_ENVIRONMENT.match(str(value)) and not (str(value).isdecimal() and 0 < int(value) < 65536):
        raise ValueError("must be a number from 1 to 65535, or ${ENV_NAME}")
    return value


def _from_environment(value: object) -> object:
    # Not set: nothing is said, so that the file can be read where its systems are not at hand.
    return os.environ.get(match[1]) if isinstance(value, str) and (match := IN_ENVIRONMENT.match(value)) else value


def _clock_time(value: object) -> object:
    # YAML 1.1 reads an unquoted 16:30 as the number 16 * 60 + 30, and 16:30:00 as 60 times that.
    if not isinstance(value, int | float):
        return value
    for seconds, unit in ((60, 60), (3600, 1)):
        if isinstance(value, int) and seconds <= value < 24 * seconds:
            return (datetime.min + timedelta(seconds=value * unit)).time()
    raise ValueError("must be a time in quotes, such as '16:30'")


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
Character = Annotated[str, AfterValidator(_one_character)]
ClosingLine = Annotated[str, AfterValidator(_closing_line)]
DateFormat = Annotated[str, AfterValidator(_date_format)]
DayFormat = Annotated[str, AfterValidator(_day_format)]
WholePattern = Annotated[str, AfterValidator(_whole_pattern)]
RecordName = Annotated[str, AfterValidator(_record_name)]
Port = Annotated[int | str, AfterValidator(_port)]
Encoding = Annotated[str, AfterValidator(_encoding)]
DayInForce = Annotated[date | None, BeforeValidator(_from_environment)]
ClockTime = Annotated[time, BeforeValidator(_clock_time)]
YamlWords = BeforeValidator(_words)
