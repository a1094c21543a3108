"""All the feeds of the campus, by the systems that make them."""

from campus.systems import Feed

FEEDS: list[Feed] = []
