"""What every file of the configuration has in common: no unknown keys, secrets by name only, errors that name the key.

What the files say is known to the modules that read them.
"""

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from yaml.constructor import ConstructorError

from engage import source_values as values


class ConfigurationError(Exception):
    """A configuration file is wrong; the message names the file and the key."""


class Strict(BaseModel):
    """Base of everything in a configuration file: no unknown keys, no changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def resolve(value: str) -> str:
    """Return `value`, or the environment variable that it names as `${NAME}`.

    Raises ConfigurationError when the variable is not set.
    """
    if not (match := values.IN_ENVIRONMENT.match(value)):
        return value
    if (found := os.environ.get(match[1])) is None:
        raise ConfigurationError(f"the environment variable {match[1]} is not set")
    return found


def read_yaml(path: Path) -> object:
    """Return what a YAML file says. Raises FileNotFoundError, ConfigurationError naming file and line.

    A key that is there twice is refused: the first of them would do nothing.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as UTF-8 text ({type(error).__name__})") from None
    except yaml.MarkedYAMLError as error:
        # Not the error itself: it quotes the line, which may hold a secret.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{path}: line {line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError):
        raise ConfigurationError(f"{path}: not YAML") from None


class _Loader(yaml.SafeLoader):
    """Safe YAML whose every fault is a YAMLError."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """See PyYAML, which lets a day such as 30 February pass as an error of the program."""
        try:
            return super().construct_object(node, deep)
        except ValueError:
            raise ConstructorError(None, None, "a date, time or number that cannot be", node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See PyYAML, which takes the last of equal keys."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := next((key for place, key in enumerate(keys) if key in keys[:place]), None):
            raise ConstructorError(None, None, f"the key {twice[:60]} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


_UNIONS = ("transport", "auth")
"""Keys whose value is of one of several kinds: Pydantic puts the kind into a path, and a file does not have it."""


def explain(path: Path, error: ValidationError, model: type[BaseModel]) -> str:
    """Turn a Pydantic error into lines `file: key: what is wrong`, without the offending value (it may be a secret).

    `model`: of the whole file; a key that it does not know is told with the nearest that it does.
    """
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        parts = problem["loc"]
        key = ".".join(str(part) for before, part in zip(("", *parts), parts, strict=False) if before not in _UNIONS)
        said = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(parts[-1]), _known(model, parts[:-1]), n=1, cutoff=0.7)
            said = f"there is no such key{f'; did you mean {near[0]}?' if near else ''}"
        elif problem["type"] in ("model_type", "dict_type"):
            said = "must be keys with their values"
        lines.append(f"{path}: {key + ': ' if key else ''}{said}")
    return "\n".join(lines)


def _known(model: type[BaseModel], parts: tuple[int | str, ...]) -> list[str]:
    """Return the keys that may stand at a place of a file; places in a list and names of one's own lead no deeper."""
    there = [model]
    for part in parts:
        fields = [one.model_fields[str(part)] for one in there if part in one.model_fields]
        tagged = [one for one in there if part in get_args(getattr(one.model_fields.get("kind"), "annotation", None))]
        there = [found for field in fields for found in _models(field.annotation)] or tagged or there
    return [name for one in there for name in one.model_fields]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
