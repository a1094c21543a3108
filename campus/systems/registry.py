"""All the feeds of the campus, by the systems that make them."""

from campus.systems import Feed, attendance, canvas, crm, echo360, library, panopto, student_records, teams, vle

FEEDS: list[Feed] = [
    *student_records.FEEDS,
    *attendance.FEEDS,
    *library.FEEDS,
    *vle.FEEDS,
    *canvas.FEEDS,
    *panopto.FEEDS,
    *crm.FEEDS,
    *teams.FEEDS,
    *echo360.FEEDS,
]
