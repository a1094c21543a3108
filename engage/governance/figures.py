"""`figures.yaml`: the figures of schema `governance` in words. What they are made from is editions.py's."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from engage.strict import read_yaml

FILE = Path(__file__).parent / "figures.yaml"
Kind = Literal["count", "share", "average", "ratio"]


@dataclass(frozen=True)
class Figure:
    """What a figure is, for whoever reads it."""

    id: str
    section: str
    title: str
    unit: str
    kind: Kind
    describes: str
    """What it says, a sentence or two."""
    limits: str
    """What it cannot say."""
    span: Literal["week", "period", "both"]
    """Whether its rows are of weeks, of the edition's period, or there are some of both."""


@cache
def figures() -> dict[str, Figure]:
    """Return every figure by its id, in the order of the report."""
    return {one.id: one for one in TypeAdapter(list[Figure]).validate_python(read_yaml(FILE))}
