"""Pictures of what a model has learnt, with the numbers behind them as CSV.

  ctran plot embeddings runs/lmt runs/no-lmt       t-SNE of the label embeddings, side by side (Fig. 4 of the paper)
  ctran plot examples runs/demo                    pictures, predictions, and predictions when 50 % of the labels are known
  ctran plot examples runs/cub --known-groups 10   ... when ten groups of extra labels are known
  ctran plot influence runs/demo                   which labels the model associates with each other
  ctran plot heatmap runs/demo new.jpg flag map    which places of a picture support a label
  ctran plot attention runs/demo new.jpg flag map  attention of a label to the picture, layer by layer (for research)

Writes STEM.png and STEM.csv.
"""

import argparse
import sys
from pathlib import Path

from ctran.cli._arguments import add, add_device, add_run
from ctran.cli._types import count, output_stem
from ctran.errors import UserError, nearest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    embeddings = kinds.add_parser("embeddings", help="t-SNE of the label embeddings of one or more runs")
    model = embeddings.add_argument_group("model")
    model.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder, or model folder")
    add_device(model)
    output = embeddings.add_argument_group("output")
    add(output, "--seed", default=0)
    add(output, "--output", metavar="STEM", shown="RUN/embeddings of the first run")

    examples = kinds.add_parser("examples", help="pictures, predictions, and predictions when something is known")
    add_run(examples.add_argument_group("model"))
    data = _data(examples)
    chosen = data.add_mutually_exclusive_group()
    add(chosen, "--count", default=6)
    chosen.add_argument("--ids", nargs="+", metavar="ID", help="these pictures")
    add(data, "--seed", shown="the recipe's evaluation.seed")
    known = examples.add_argument_group("known labels")
    amount = known.add_mutually_exclusive_group()
    add(amount, "--known-share", default=50.0, shown=50)
    add(amount, "--known-groups")
    add(known, "--reveal", default="random")
    add(examples.add_argument_group("output"), "--output", metavar="STEM", shown="RUN/examples")

    influence = kinds.add_parser("influence", help="mean change of each label's log-odds when another becomes known")
    add_run(influence.add_argument_group("model"))
    data = _data(influence)
    add(data, "--count", default=100)
    add(data, "--seed", default=0)
    output = influence.add_argument_group("output")
    add(output, "--labels", more="so many on the map, the table has all", type=count, metavar="N", default=30)
    add(output, "--output", metavar="STEM", shown="RUN/influence")
    for kind, what in (
        ("heatmap", "which places of a picture are evidence for labels, in units of log-odds"),
        ("attention", "attention of labels to a picture, layer by layer: for research, not where predictions come from"),
    ):
        maps = kinds.add_parser(kind, help=what)
        add_run(maps.add_argument_group("model"), "run folder, or model folder")
        question = maps.add_argument_group("question")
        question.add_argument("picture", type=Path, help="picture file")
        question.add_argument("labels", nargs="+", metavar="LABEL", help="names of labels")
        add(question, "--known", default=[])
        add(maps.add_argument_group("output"), "--output", metavar="STEM", shown=f"{kind}, in this folder")


def _data(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The group of flags about a run's pictures."""
    data = parser.add_argument_group("data")
    add(data, "--split", default="test")
    add(data, "--root")
    return data


def run(options: argparse.Namespace) -> int:
    """Draw one kind of picture."""
    kinds = {"embeddings": embeddings, "examples": examples, "influence": influence}
    return (kinds | {"heatmap": heatmap, "attention": attention})[options.kind](options)


def files(stem: Path) -> tuple[Path, Path]:
    """PNG and CSV file of a stem, whose folder must exist."""
    stem = output_stem(stem, "png", "csv")
    return stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".csv")


def embeddings(options: argparse.Namespace) -> int:
    """Maps of the label embeddings."""
    from ctran.folders.tagger import Tagger
    from ctran.plots.embeddings import draw_map, embedding_maps, map_rows, verdict
    from ctran.plots.style import save_rows

    runs: list[Path] = options.runs
    taggers = [Tagger.load(r, options.device) for r in runs]
    home = runs[0].parent if (runs[0] / "config.json").is_file() else runs[0]  # a model folder holds nothing but a model
    png, table = files(options.output or home / "embeddings")
    names = [r.absolute().name for r in runs]
    if len(set(names)) < len(runs):
        names = [str(r) for r in runs]
    maps = [draw_map(tagger, name, seed=options.seed) for tagger, name in zip(taggers, names, strict=True)]
    embedding_maps(maps, png)
    save_rows(("run", "label", "group", "x", "y", "nearest", "same group"), map_rows(maps), table)
    for each in maps:
        print(f"{each.name}: {verdict(each.neighbours)}")
    print(f"{png} and {table.name}")
    return 0


def examples(options: argparse.Namespace) -> int:
    """Pictures with predictions in two settings."""
    import numpy as np

    from ctran.folders.tagger import Tagger
    from ctran.masking import EvalSetting
    from ctran.plots.examples import example_rows, example_sheet, make_examples
    from ctran.plots.style import save_rows
    from ctran.training.pipeline import build_tables
    from ctran.training.recipe import read_run
    from ctran.training.run_folder import check_data

    recipe = read_run(options.run, ["--data.root", options.root] if options.root else [])
    tagger = Tagger.load(options.run, options.device)
    png, csv = files(options.output or options.run / "examples")
    tables = build_tables(recipe)
    if changed := check_data(tables, options.run, (options.split,)):
        print(f"warning: {changed}; some may have been trained on", file=sys.stderr)
    table = tables[options.split]
    seed = recipe.evaluation.seed if options.seed is None else options.seed
    if options.ids:
        rows = [find(i, table.ids, options.split) for i in options.ids]
    else:
        rows = np.random.default_rng(seed).permutation(len(table))[: options.count].tolist()
    setting = EvalSetting(options.known_share / 100, reveal=options.reveal)
    if options.known_groups is not None:
        setting = EvalSetting(groups=options.known_groups)
    found = make_examples(tagger, table, rows, setting, seed=seed)
    example_sheet(found, tagger.labels, setting, png)
    header = ("picture", "setting", "label", "probability", "present", "state", "truth")
    save_rows(header, example_rows(found, tagger.labels, setting), csv)
    print(f"{png} and {csv.name}")
    return 0


def influence(options: argparse.Namespace) -> int:
    """Associations between labels."""
    import numpy as np

    from ctran.analysis.influence import influence as measure
    from ctran.folders.tagger import Tagger
    from ctran.plots.heat import influence_map
    from ctran.plots.style import save_rows
    from ctran.training.pipeline import tables_of_run

    tagger = Tagger.load(options.run, options.device)
    png, csv = files(options.output or options.run / "influence")
    table = tables_of_run(options.run, options.root)[options.split]
    rows = np.random.default_rng(options.seed).permutation(len(table))[: options.count].tolist()
    matrix, names = measure(tagger, table, rows).numpy(), tagger.labels.names
    influence_map(matrix, names, png, most=options.labels)
    pairs = ((names[i], names[j], f"{matrix[i, j]:.5f}") for i in range(len(names)) for j in range(len(names)) if i != j)
    save_rows(("known", "label", "change of log-odds"), pairs, csv)
    print(f"{png} and {csv.name}: {len(rows)} pictures; association, not cause")
    return 0


def heatmap(options: argparse.Namespace) -> int:
    """Evidence for labels: a row a label."""
    import numpy as np

    from ctran.cli.predict import parse_known
    from ctran.folders.tagger import Tagger
    from ctran.plots.heat import heatmap_sheet
    from ctran.plots.style import save_rows

    png, csv = files(options.output or Path("heatmap"))
    session = Tagger.load(options.run, options.device).session(options.picture).tell(parse_known(options.known))
    maps = {name: session.heatmap(name) for name in options.labels}
    heatmap_sheet(session.square.numpy(), maps, png)
    header = ("label", "row", "column", "log-odds")
    cells = ((name, *place, f"{value:.6f}") for name, found in maps.items() for place, value in np.ndenumerate(found))
    save_rows(header, cells, csv)
    print(f"{png} and {csv.name}")
    return 0


def attention(options: argparse.Namespace) -> int:
    """Attention of labels: a row of layers a label."""
    import numpy as np

    from ctran.cli.predict import parse_known
    from ctran.folders.tagger import Tagger
    from ctran.plots.heat import attention_sheet
    from ctran.plots.style import save_rows

    png, csv = files(options.output or Path("attention"))
    session = Tagger.load(options.run, options.device).session(options.picture).tell(parse_known(options.known))
    maps = {name: session.attention(name) for name in options.labels}
    attention_sheet(session.square.numpy(), maps, png)
    cells = (
        (name, layer + 1, *place, f"{value:.6f}")
        for name, found in maps.items()
        for (layer, *place), value in np.ndenumerate(found)
    )
    save_rows(("label", "layer", "row", "column", "attention"), cells, csv)
    print(f"{png} and {csv.name}")
    return 0


def find(name: str, ids: list[str], split: str) -> int:
    """Row of a picture; UserError with the nearest id where there is none."""
    if name not in ids:
        raise UserError(f"{split} has no picture {name!r}{nearest(name, ids)}")
    return ids.index(name)
