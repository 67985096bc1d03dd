"""List the methods that recipes can name, where they come from and what they cost.

ctran methods                            all methods, a line each
ctran methods csra                       source, doubts, cost and options of one
"""

import argparse

from ctran.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a method: its source, doubts, cost and options")


def run(options: argparse.Namespace) -> int:
    """Print one line a method, or all about one."""
    if options.name:
        explain(options.name)
    else:
        list_all()
    return 0


def list_all() -> None:
    """All methods, with the year of their source."""
    from rich.console import Console
    from rich.table import Table

    from ctran import methods, registry

    table = Table("method", "year", "what it is")
    for name, module in registry.each(methods):
        if isinstance(module, UserError):
            table.add_row(name, "", f"not usable: {module}")
            continue
        about, package = getattr(module, "ABOUT", None), registry.distribution_of(methods, name)
        line = f"{module.SUMMARY}{f' (package {package})' if package else ''}"
        table.add_row(name, str(about.year) if about else "", line)
    Console(markup=False).print(table)
    print("ctran methods NAME: source, doubts, cost and options of one; ctran train --method NAME: train it")


def explain(name: str) -> None:
    """Source, cost and options of one method."""
    from ctran import methods, registry
    from ctran.training.key_help import keys_parser

    method = registry.find(methods, name)
    print(method.SUMMARY)
    if about := getattr(method, "ABOUT", None):
        print(about)
    print(f"{'cost:':<11}{_cost(name)}\n")
    keys_parser(f"ctran train RECIPE --method {name} [--model.KEY VALUE ...]", {"model": method.Config}, {}).print_help()
    print("\nKeys of data, labels, training and evaluation: ctran train --keys")


def _cost(name: str) -> str:
    """Of its default options, beside the backbone."""
    import torch

    from ctran import methods, registry
    from ctran.analysis.cost import LABELS, SIDE, cost_of
    from ctran.labels import LabelSpace
    from ctran.methods._base import build

    config = registry.find(methods, name).Config()
    model = build(name, config, LabelSpace(tuple(f"label {i}" for i in range(LABELS)))).eval()
    model.requires_grad_(False)  # PyTorch's counter fails on weights that a module gets as its input
    with torch.inference_mode():
        features = model.encode_images(torch.zeros(1, 3, SIDE, SIDE))
    cost = cost_of(model, features, LABELS)
    picture, changed = (f"{each / 1e9:.2g} G multiply-adds" for each in (cost.picture, cost.changed))
    return (
        f"{cost.parameters / 1e6:.1f} M parameters; {picture} a picture, {changed} when other labels become known; "
        f"for {LABELS} labels, without the backbone ({config.backbone} at {SIDE} px)"
    )
