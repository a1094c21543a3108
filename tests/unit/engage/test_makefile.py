"""`make setup` by a Python that does not fit: said in a sentence, and no obstacle to the next try. Installs nothing."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from engage.settings import PROJECT

MISFIT = Path("/bin/false")
"""Answers no to every question, as a Python that is too old does."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with nothing to install."""
    (tmp_path / "Makefile").write_bytes((PROJECT / "Makefile").read_bytes())
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    return tmp_path


def setup(checkout: Path, python: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "--directory", str(checkout), "setup", f"PYTHON={python}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("python", [MISFIT, Path("/nonexistent/python3")])
def test_a_python_that_does_not_fit_leaves_nothing(checkout: Path, python: Path) -> None:
    done = setup(checkout, python)
    assert done.returncode and f"engage needs Python 3.11 to 3.13, and {python} is not" in done.stderr
    assert not (checkout / ".venv").exists()


def test_an_environment_of_a_python_that_does_not_fit_is_made_anew(checkout: Path) -> None:
    own = checkout / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to(MISFIT)
    # Without pip, which takes seconds to unpack.
    quick = checkout / "python"
    quick.write_text(f'#!/bin/sh\nexec {sys.executable} "$@" --without-pip\n')
    quick.chmod(0o755)
    setup(checkout, quick)
    assert own.resolve() != MISFIT.resolve()
    # One that fits is kept, whatever PYTHON is.
    kept = own.lstat().st_mtime_ns
    assert "needs Python" not in setup(checkout, MISFIT).stderr
    assert own.lstat().st_mtime_ns == kept


def test_everybody_names_the_same_versions() -> None:
    required = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert required == ">=3.11,<3.14"
    assert "(3, 11) <= sys.version_info < (3, 14)" in (PROJECT / "Makefile").read_text()
    for page in ("README.md", "docs/run-it.md"):
        assert "Python 3.11 to 3.13" in (PROJECT / page).read_text()
