"""Names of files, and names that other installed packages add by entry points."""

import pytest

from ctran import losses, methods, registry
from ctran.cli.main import main
from ctran.data import sources
from ctran.errors import UserError
from ctran.training.recipe import RecipeError, read_recipe
from tests.plugins import forget, place, place_project

WHOLE = "SUMMARY = 'nothing'\nfrom ctran.methods.linear import Config, build\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that puts a package where Python finds it: name, its methods (name -> module), its modules."""

    def install(name, points, modules, group="ctran.methods"):
        folder = place(tmp_path / name, name, "2.1", {group: points}, modules)
        monkeypatch.syspath_prepend(folder)

    yield install
    forget(tmp_path)


def test_names_of_installed_packages_stand_beside_those_of_files(tmp_path, monkeypatch, installed):
    monkeypatch.syspath_prepend(place_project(tmp_path / "site"))
    assert "squared_hinge" in registry.names(losses)
    assert "greatest_cell" in registry.names(methods) and "file_names" in registry.names(sources)
    assert "greatest_cell" not in registry.files(methods) and set(registry.files(methods)) < set(registry.names(methods))
    assert registry.find(methods, "greatest_cell").__name__ == "ctran_toy.greatest_cell"
    assert registry.distribution_of(methods, "greatest_cell") == ("ctran-toy", "1.0")
    assert registry.distribution_of(methods, "linear") is None is registry.distribution_of(methods, "no such method")
    with pytest.raises(UserError, match=r"unknown method 'greatest_cel'; did you mean 'greatest_cell'\?"):
        registry.find(methods, "greatest_cel")


def test_a_package_that_is_installed_while_the_program_runs_is_found(tmp_path, installed):
    installed("one", {"first": "first"}, {"first.py": WHOLE})
    assert registry.find(methods, "first").SUMMARY == "nothing"
    place(tmp_path / "one", "two", "1", {"ctran.methods": {"second": "second"}}, {"second.py": WHOLE})
    assert {"first", "second"} <= set(registry.names(methods))


def test_a_name_that_two_packages_give_is_refused_with_both(installed):
    installed("red", {"same": "red_method", "other": "red_method"}, {"red_method.py": WHOLE})
    installed("blue", {"same": "blue_method", "linear": "blue_method"}, {"blue_method.py": WHOLE})
    with pytest.raises(UserError, match=r"method 'same' is given by blue 2.1 \(blue_method\) and by red 2.1 \(red_method\)"):
        registry.find(methods, "same")
    with pytest.raises(UserError, match=r"method 'linear' is given by ctran and by blue 2\.1 \(blue_method\): uninstall"):
        registry.find(methods, "linear")
    assert registry.find(methods, "other").SUMMARY == "nothing" and registry.names(methods).count("same") == 1
    assert registry.find(methods, "ctran")


def test_a_package_that_cannot_be_imported_is_named_and_stops_no_other(installed, capsys):
    modules = {"bad.py": "import a_library_that_is_missing", "half.py": "SUMMARY = 'half'", "good.py": WHOLE}
    points = {"bad": "bad", "half": "half", "gone": "nowhere", "good": "good"}
    installed("mixed", points, modules)
    installed("mixed-sources", {"bad_source": "bad"}, {}, group="ctran.sources")
    with pytest.raises(UserError, match=r"method 'bad' of package mixed 2\.1 \(bad\) cannot be imported: .*a_library_that_is"):
        registry.find(methods, "bad")
    with pytest.raises(UserError, match=r"method 'half' of package mixed 2\.1 \(half\) lacks Config, build; expected a module"):
        registry.find(methods, "half")
    with pytest.raises(UserError, match=r"method 'gone' .* cannot be imported: ModuleNotFoundError: No module named 'nowhere'"):
        registry.find(methods, "gone")
    assert registry.find(methods, "good").SUMMARY == "nothing"
    usable = {name for name, module in registry.each(methods) if not isinstance(module, UserError)}
    assert usable >= {"good", "linear"} and not usable & {"bad", "half", "gone"}
    with pytest.raises(RecipeError, match=r"num_layers is a key of method .*ctran.*, and this recipe has method linear"):
        read_recipe(None, ["--method", "linear", "--model.num_layers", "2"])
    assert main(["data"]) == 0
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "not usable: source 'bad_source' of package mixed-sources 2.1" in out and "imagefolder" in out


def test_a_method_that_builds_something_else_is_named(installed):
    from ctran.labels import LabelSpace
    from ctran.methods._base import MethodConfig, build

    module = "from ctran.methods.linear import SUMMARY, Config\ndef build(config, labels):\n    return 5"
    installed("odd", {"odd": "odd"}, {"odd.py": module})
    with pytest.raises(UserError, match=r"method 'odd': build must return a ctran.model.Method, got builtins.int"):
        build("odd", MethodConfig(), LabelSpace(("a",)))


@pytest.mark.parametrize(
    "config",
    ["Config = 'x'", "class Config: pass", "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Config: pass"],
)
def test_a_config_of_another_kind_is_named_and_stops_no_other(installed, config):
    installed("plain", {"plain": "plain"}, {"plain.py": f"SUMMARY = build = 'x'\n{config}"})
    expected = (
        r"method 'plain' of package plain 2\.1 .* its Config is not a dataclass, a subclass of ctran.methods._base.MethodConfig"
    )
    with pytest.raises(UserError, match=expected):
        registry.find(methods, "plain")
    with pytest.raises(RecipeError, match=r"unknown recipe key 'training.epoch'; did you mean 'training.epochs'"):
        read_recipe(None, ["--training.epoch", "3"])


def test_packages_without_a_group_have_their_files_alone(installed):
    from ctran.export import formats

    installed("stray", {"stray": "stray"}, {}, group="ctran.formats")
    assert registry.names(formats) == registry.files(formats)
