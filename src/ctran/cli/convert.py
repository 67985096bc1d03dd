"""Turn a checkpoint of the authors' released code into a model folder.

  ctran convert best_model.pt models/coco --labels names.txt

The file holds neither label names nor their order, nor the number of heads: see docs/authors-checkpoints.md.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ctran.cli._arguments import add
from ctran.cli._types import count, output_folder

if TYPE_CHECKING:
    from ctran.folders.tagger import Tagger
    from ctran.paper.checkpoints import Checkpoint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    files = parser.add_argument_group("files")
    files.add_argument("checkpoint", type=Path, metavar="AUTHORS.pt", help="best_model.pt of the released code")
    files.add_argument("out", type=Path, metavar="OUT", help="model folder to write")
    missing = parser.add_argument_group("what the checkpoint does not hold")
    names = "one name a line in the order of training, or a labels.json"
    add(missing, "--labels", type=Path, metavar="FILE", more=names)
    missing.add_argument("--heads", type=count, default=4, help="attention heads (default: 4, as released)")
    missing.add_argument("--image-size", type=count, metavar="PX", help="side of the input (default: 576; CUB: 299)")
    missing.add_argument("--no-lmt", action="store_true", help="trained without --use_lmt: the model ignores known labels")


def convert(options: argparse.Namespace) -> tuple["Tagger", "Checkpoint"]:
    """The model of a checkpoint, with its labels and test transform."""
    from ctran.data.readers.names import read_labels
    from ctran.model.pretrained import WeightsError
    from ctran.paper import checkpoints as authors
    from ctran.paper.conversion import tagger_of

    checkpoint = authors.read(options.checkpoint)
    labels = read_labels(options.labels, checkpoint.num_labels) if options.labels else None
    use_states, heads = not options.no_lmt, options.heads
    try:
        return tagger_of(checkpoint, labels, heads=heads, image_size=options.image_size, use_states=use_states), checkpoint
    except WeightsError as error:
        raise WeightsError(f"{options.checkpoint}: {error}") from None


def report(options: argparse.Namespace, tagger: "Tagger", checkpoint: "Checkpoint") -> str:
    """What was converted, and which parts are guesses."""
    names, kind = tagger.labels.names, checkpoint.kind
    if options.labels:
        order = f"named by {options.labels.name}"
    elif names[0].startswith("attribute"):
        order = "112 attributes, then 200 classes, in the order of the CUB files; name them with --labels"
    else:
        order = "the file holds no names and the released code documents no order; name them with --labels"
    states = (
        "no state embeddings (--no-lmt)"
        if options.no_lmt
        else f"row of 'unknown' of norm {float(checkpoint.unknown.norm()):.4g}, kept and frozen (the paper: 0)"
    )
    picture = tagger.preprocessing
    scale = f"mean {picture.mean}, std {picture.std}"
    return "\n".join(
        [
            f"the released {kind.title}",
            f"  labels      {len(names)}, {names[0]} ... {names[-1]}: {order}",
            f"  encoder     {checkpoint.num_layers} layers, {options.heads} heads (not in the file: --heads), "
            f"width {checkpoint.dim}",
            f"  states      {states}",
            f"  pictures    {picture.size} px, fit {picture.fit}, centre {picture.centre:g}, {scale}",
            f"  left out    {kind.left_out} ({len(kind.unused)} tensors, without effect on the logits)",
        ]
    )


def card(options: argparse.Namespace, tagger: "Tagger", text: str) -> str:
    """README.md of the model folder."""
    from ctran.folders.card import front_matter

    name = json.dumps(options.checkpoint.name)
    return f"""{front_matter(tagger)}
# C-Tran, converted from the authors' released code

Made from {name} by `ctran convert`. Code and training: github.com/QData/C-Tran (Lanchantin et al., CVPR 2021).

```
{text}
```

```python
import ctran

print(ctran.load("path/of/this/folder").predict("picture.png").top(5))
```
"""


def run(options: argparse.Namespace) -> int:
    """Convert, and print what was converted."""
    output_folder(options.out, "OUT")
    tagger, checkpoint = convert(options)
    text = report(options, tagger, checkpoint)
    tagger.save(options.out, card=card(options, tagger, text))
    print(f"{text}\nmodel folder: {options.out}")
    return 0
