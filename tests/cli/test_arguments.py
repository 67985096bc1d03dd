"""Flags over all commands: what several share has one type and one help text, and stands in a named group of the help."""

import argparse
import re

import pytest

from ctran.cli._arguments import FLAGS
from ctran.cli.main import COMMANDS, make_parser


def parsers():
    """Name -> parser of each command and of each kind of plot."""
    found = {}
    for name, parser in make_parser()[1].items():
        kinds = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        found |= {f"{name} {kind}": each for action in kinds for kind, each in action.choices.items()} or {name: parser}
    return found


def options():
    """Flag -> command -> its action; what every parser has is left out."""
    found: dict[str, dict[str, argparse.Action]] = {}
    for name, parser in parsers().items():
        for action in parser._actions:
            for flag in action.option_strings:
                if flag.startswith("--") and flag not in ("--help", "--debug"):
                    found.setdefault(flag, {})[name] = action
    return found


def start(action):
    """A help text without what is special in one command and its default."""
    return re.split(r"; | \(default", action.help)[0]


SHARED = {flag: actions for flag, actions in options().items() if len(actions) > 1}


def test_every_command_is_covered():
    assert {name.split()[0] for name in parsers()} == set(COMMANDS) and len(SHARED) >= 10


@pytest.mark.parametrize("flag", SHARED)
def test_a_flag_of_several_commands_has_one_type_and_one_help_text(flag):
    actions = SHARED[flag].values()
    assert len({start(action) for action in actions}) == 1, {n: a.help for n, a in SHARED[flag].items()}
    if flag not in ("--labels", "--output"):  # a number of labels, or a file of names; a path, of predict also a URL
        assert len({(action.type, type(action), tuple(action.choices or ())) for action in actions}) == 1
    assert flag in FLAGS, f"add {flag} to ctran.cli._arguments.FLAGS"


def test_no_shared_flag_is_without_a_command():
    assert set(FLAGS) <= set(options())


@pytest.mark.parametrize("name", parsers())
def test_help_names_every_default_and_every_flag_has_words(name):
    for action in parsers()[name]._actions:
        assert action.help, action
        if action.option_strings and action.default not in (None, False, [], argparse.SUPPRESS) and not action.choices:
            assert "(default: " in action.help, (name, action.option_strings)


@pytest.mark.parametrize("name", [name for name, parser in parsers().items() if len(parser._actions) > 5])
def test_help_of_a_command_with_many_flags_is_in_groups(name):
    parser = parsers()[name]
    loose = [a.option_strings[0] for a in parser._optionals._group_actions if a.option_strings[0] not in ("-h", "--debug")]
    assert not loose and len([g for g in parser._action_groups if g._group_actions]) >= 3


@pytest.mark.parametrize(
    ("flag", "value", "expected"), [("--seed", "-1", "at least 0"), ("--split", "tset", "train, val, test")]
)
def test_a_wrong_value_is_refused_in_the_same_words_by_all(flag, value, expected, capsys):
    for name in SHARED[flag]:
        with pytest.raises(SystemExit):
            parsers()[name].parse_args([flag, value])
        assert f"argument {flag}: expected" in (err := capsys.readouterr().err) and expected in err, name


def test_known_labels_may_be_given_in_several_flags_everywhere():
    for name in SHARED["--known"]:
        words = ["run", "a.png", *(["cat"] if name.startswith("plot") else []), "--known", "a=yes", "--known", "b=no"]
        assert parsers()[name].parse_args(words).known == ["a=yes", "b=no"], name
