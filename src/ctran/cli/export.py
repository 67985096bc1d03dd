"""Write a model as two graphs (encode, predict) for other runtimes, and check that the logits agree.

  ctran export runs/demo --format onnx
  ctran export runs/demo --format openvino --int8              calibrated on the run's val pictures
  ctran export models/coco --format torch --pictures photos    a model folder comes without pictures

The logits are compared on real pictures; float32 formats that differ by more than 0.001 are not kept.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from ctran.cli._arguments import add, add_run
from ctran.cli._types import count, output_folder
from ctran.errors import UserError

if TYPE_CHECKING:
    from ctran.export.pictures import Pictures
    from ctran.folders.tagger import Tagger

FORMATS = ("onnx", "openvino", "torch")
CALIBRATE, FEW = 300, 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    add_run(parser.add_argument_group("model"), "run folder, or model folder")
    data = parser.add_argument_group("data")
    add(data, "--pictures", nargs="+", more="files or folders to compare and calibrate on, not the run's val")
    data.add_argument("--calibrate", type=count, metavar="N", help="at most N pictures for int8 (default: 300)")
    output = parser.add_argument_group("output")
    output.add_argument("--format", choices=FORMATS, required=True, help="whose files")
    output.add_argument("--int8", action="store_true", help="8-bit integers (onnx, openvino)")
    add(output, "--output", metavar="FOLDER", shown="RUN/FORMAT, or RUN/FORMAT-int8")


def pictures_for(options: argparse.Namespace, tagger: "Tagger") -> "Pictures":
    """The pictures named, or the run's ``val``."""
    from ctran.export.pictures import Pictures, find_pictures
    from ctran.training.pipeline import tables_of_run

    if options.pictures:
        return Pictures(find_pictures(options.pictures), tagger.preprocessing)
    if not (options.run / "recipe.yaml").is_file():
        raise UserError(f"{options.run} is a model without a recipe: name pictures to compare on with --pictures")
    try:
        table = tables_of_run(options.run)["val"]
    except (ValueError, OSError) as error:
        raise UserError(f"the run's pictures cannot be read ({error}); name others with --pictures") from error
    return Pictures(table, tagger.preprocessing)


def run(options: argparse.Namespace) -> int:
    """Export, compare, and print the largest difference."""
    from ctran.export.write import write
    from ctran.folders.tagger import Tagger

    if options.calibrate is not None and not options.int8:
        raise UserError("--calibrate is for --int8; float32 formats need no calibration")
    tagger = Tagger.load(options.run, options.device)
    kind = f"{options.format}-int8" if options.int8 else options.format
    folder = options.run if options.run.name not in ("", "..") else options.run.resolve()
    sibling = folder.with_name(f"{folder.name}-{kind}")
    out = options.output or (options.run / kind if (options.run / "recipe.yaml").is_file() else sibling)
    output_folder(out)
    pictures = pictures_for(options, tagger)
    calibrate = min(options.calibrate or CALIBRATE, len(pictures))
    found = write(tagger, out, options.format, pictures, int8=options.int8, calibrate=calibrate)
    if options.int8:
        print(f"int8, calibrated on {calibrate} pictures")
    if options.int8 and calibrate < FEW:
        print(f"warning: with fewer than {FEW} pictures to calibrate on int8 may be far off on others", file=sys.stderr)
    print(f"{found}\nexported folder: {out}")
    return 0
