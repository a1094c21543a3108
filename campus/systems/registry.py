"""All the feeds of the campus, by the systems that make them."""

from campus.systems import Feed, attendance, library, student_records, vle

FEEDS: list[Feed] = [
    *student_records.FEEDS,
    *attendance.FEEDS,
    *library.FEEDS,
    *vle.FEEDS,
]
