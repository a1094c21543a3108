"""docs/faults.md says how many faults there are and names a test for each: both must be so."""

import ast
import re

from engage.settings import PROJECT

PAGE = (PROJECT / "docs" / "faults.md").read_text()
TESTS = PROJECT / "tests" / "integration"
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| fault |")]


def test_the_number_of_faults_is_right() -> None:
    said = re.search(r"^([\d,]+) faults, ", PAGE, re.MULTILINE)
    assert said and int(said[1]) == len(ROWS)
    assert len({row.split(" | ")[0] for row in ROWS}) == len(ROWS), "each is there once"


def test_every_fault_has_a_test_that_is_there() -> None:
    for row in ROWS:
        named = re.fullmatch(r"\| .+ \| .+ \| .+ \| `([\w/]+\.py)::(\w+)(?:\[(.+)\])?` \|", row)
        assert named, row
        tree = ast.parse((TESTS / named[1]).read_text())
        assert named[2] in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)], row
        constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        assert named[3] is None or named[3] in constants, row
