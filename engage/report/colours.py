"""The colours of charts and pages, light and dark: blue and orange that everybody can tell apart, each ink readable on
its ground (tests compute the ratios of WCAG). Shapes, dashes and labels say the same as colours do.
"""

LIGHT = {
    "ground": "#ffffff", "raised": "#f3f6f9", "ink": "#1b2430", "faint": "#52606d", "rule": "#d3dae1",
    "grid": "#e3e8ed", "link": "#0b5394", "focus": "#0b5394",
    "s1": "#0072b2", "s2": "#c2500a", "s3": "#00785a", "behind": "#8b95a1", "gap": "#52606d",
    "b1": "#a33c0c", "b2": "#d4702a", "b3": "#87919d", "b4": "#3f8fca", "b5": "#0b4f86",
    "allowed": "#e3f1ea", "grade3": "#c6e6d7", "grade2": "#fbe2a4", "grade1": "#f7bd97", "grade0": "#ee8d66",
}  # fmt: skip
"""For paper, too."""
DARK = {
    "ground": "#12171d", "raised": "#1b232c", "ink": "#e8edf2", "faint": "#a8b4c0", "rule": "#3a4653",
    "grid": "#28323c", "link": "#8cc4ff", "focus": "#8cc4ff",
    "s1": "#56b4e9", "s2": "#f5925c", "s3": "#45c9a1", "behind": "#71808f", "gap": "#a8b4c0",
    "b1": "#e2622b", "b2": "#f3ad7a", "b3": "#8b97a4", "b4": "#7fc0ee", "b5": "#3a92d6",
    "allowed": "#1d3a30", "grade3": "#1d4f3d", "grade2": "#66511a", "grade1": "#83491f", "grade0": "#a83f17",
}  # fmt: skip
READ_ON = {
    **dict.fromkeys(("ink", "faint", "link"), ("ground", "raised")),
    "ink ": ("allowed", "grade3", "grade2", "grade1", "grade0"),
    "faint ": ("allowed",),
}
"""Words and what they stand on: at least 4.5."""
SEEN_ON = dict.fromkeys(("s1", "s2", "s3", "behind", "gap", "b1", "b2", "b3", "b4", "b5", "focus"), ("ground",))
"""Shapes and what they stand on: at least 3."""
_RULES = """
text{font-family:FONT;fill:C(ink)}.bold{font-weight:700}.faint{fill:C(faint)}
.halo{paint-order:stroke;stroke:C(ground);stroke-width:4px;stroke-linejoin:round}
.axis{stroke:C(behind);fill:none}.grid{stroke:C(grid);fill:none}
.behind{stroke:C(behind);fill:none;stroke-width:1.3;stroke-dasharray:1.5 2.5}
.compare{stroke:C(ink);fill:none;stroke-dasharray:4 3}.reach{stroke:C(behind);fill:none;stroke-width:1.5}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.line.s1{stroke:C(s1)}.line.s2{stroke:C(s2)}.line.s3{stroke:C(s3)}
.d2{stroke-dasharray:6 3}.d3{stroke-dasharray:2 2}
.fill.s1{fill:C(s1)}.fill.s2{fill:C(s2)}.fill.s3{fill:C(s3)}.gap{stroke:C(gap);stroke-width:1.5;fill:none}
.layer{stroke:C(ground);stroke-width:1}.b1{fill:C(b1)}.b2{fill:C(b2)}.b3{fill:C(b3)}.b4{fill:C(b4)}.b5{fill:C(b5)}
.allowed{fill:C(allowed)}.cell{stroke:C(rule);stroke-width:1}.none{fill:none;stroke-dasharray:2 2}
.grade3{fill:C(grade3)}.grade2{fill:C(grade2)}.grade1{fill:C(grade1)}.grade0{fill:C(grade0)}
"""


def variables(colours: dict[str, str]) -> str:
    """Return CSS that gives the colours of a scheme their names."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def of_page() -> str:
    """Return the CSS of charts on a page, which changes with the scheme of its reader."""
    rules = _RULES.replace("FONT", "inherit")
    for name in LIGHT:
        rules = rules.replace(f"C({name})", f"var(--{name})")
    return rules


def of_print(font: str) -> str:
    """Return the CSS of charts in a PDF."""
    rules = _RULES.replace("FONT", f"'{font}'")
    for name, value in LIGHT.items():
        rules = rules.replace(f"C({name})", value)
    return rules
