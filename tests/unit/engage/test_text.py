"""Which quotes read the same by COPY and line by line."""

import csv

import pytest

from engage.sources import Format
from engage.text import Quoting


@pytest.mark.parametrize(
    ("line", "is_plain"),
    [
        ("a,b", True),
        (",,", True),
        ('"a","b, c"', True),
        ('"a ""b"" c",""', True),
        ('"","""",d', True),
        ('a,5"x3" room', False),
        ('a,5",b,6",c', False),
        ('"a"b,c', False),
        (' "a",b', False),
        ('"a" ,b', False),
        ('a,""b"",c', False),
        ('a,b""c', False),
        ('a,"b', False),
        ('"a\nb",c', False),
    ],
)
@pytest.mark.parametrize(("delimiter", "quote"), [(",", '"'), ("|", "'"), ("]", "^")])
def test_quotes_are_plain_when_they_enclose_whole_fields(line: str, is_plain: bool, delimiter: str, quote: str) -> None:
    written = line.replace(",", delimiter).replace('"', quote) + "\n"
    quoting = Quoting(Format(kind="csv", delimiter=delimiter, quote=quote))
    assert quoting.is_plain(written) is is_plain
    assert quoting.is_plain(f"x{delimiter}y\n" * 3 + written) is is_plain
    if is_plain:
        # Then the strict reader of the standard library, which judges single lines, takes it too.
        next(csv.reader([written], delimiter=delimiter, quotechar=quote, strict=True))
