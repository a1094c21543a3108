"""What a spreadsheet would take for a formula, in files that people open with one. Which files is not known here."""

_RISKY = ("=", "+", "-", "@", "\t", "\r")


def harmless(value: object) -> object:
    """Return a cell as it is written: a text that would be a formula begins with an apostrophe, a number stays one."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_RISKY) else value
