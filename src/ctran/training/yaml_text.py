"""YAML as text, lists and mappings of text; what a text means depends on its key (:mod:`ctran.training.values`)."""

from typing import Any

import yaml

from ctran.errors import UserError

NULL = ("", "~", "null", "Null", "NULL")


class RecipeError(UserError):
    """A recipe or flag that cannot be used; the message names the key and what was expected."""


class Plain(str):
    """Unquoted text of a YAML file: the only kind that can mean null."""


class _Loader(yaml.SafeLoader):
    """Scalars stay text; a duplicate key in a mapping is an error."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return node


def _text(_: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(node.value) if node.style else Plain(node.value)


for _kind in ("null", "bool", "int", "float", "timestamp", "binary", "value", "str"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _text)


def read_yaml(content: bytes | str) -> Any:
    """A YAML document of text, lists and mappings.

    Raises:
        RecipeError: the content is not YAML; the message is one line.
    """
    try:
        return yaml.load(content, _Loader)
    except RecursionError:
        raise RecipeError("nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise RecipeError(f"{error.problem or error.context}{where}") from None
    except yaml.YAMLError as error:
        raise RecipeError(" ".join(str(error).split())) from None


class _Dumper(yaml.SafeDumper):
    """Quotes and escapes what a reader of YAML would change, such as unusual line breaks."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


def write_yaml(content: Any, *, flow: bool = False) -> str:
    """YAML that :func:`read_yaml` reads back unchanged; ``flow`` writes one line."""
    width = float("inf") if flow else 100
    return yaml.dump(content, None, _Dumper, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=width)


def plain(value: Any) -> Any:
    """The value with all text as built-in ``str``."""
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, str) else value
