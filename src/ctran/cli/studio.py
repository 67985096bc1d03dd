"""Label a folder of pictures from nothing, and learn a tagger on the way: a page in your browser.

  ctran studio photos                                http://127.0.0.1:8000: type labels, tick them, press Learn
  ctran studio photos --open --output runs/photos    the learnt model, for every other command
  ctran studio photos --recipe auto                  learn the more accurate model; minutes
  ctran studio photos --absent negative              in rows that are there already, what is not listed is absent

Labels are saved to photos/metadata.jsonl and photos/labels.yaml, which ctran train reads. To label with a model that
there is already: ctran serve RUN --pictures photos
"""

import argparse
from pathlib import Path

from ctran.cli._arguments import add, add_device
from ctran.cli._network import add_network, serve, settings_of
from ctran.cli._types import output_folder
from ctran.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    pictures = parser.add_argument_group("pictures and labels")
    pictures.add_argument("folder", type=Path, metavar="FOLDER", help="of the pictures; labels are saved there")
    pictures.add_argument(
        "--absent",
        choices=("unknown", "negative"),
        default="unknown",
        help="what it means that a row that is there already does not list a label: nobody checked, or it is absent "
        "(default: unknown)",
    )
    model = parser.add_argument_group("model that is learnt")
    model.add_argument("--recipe", default="quick", help="of ctran train, with a frozen backbone (default: quick)")
    add(model, "--output", metavar="RUN", more="run folder of the model, replaced when it is learnt again", shown="runs/FOLDER")
    add_device(model)
    add_network(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; then the folder's files are written."""
    folder: Path = options.folder
    if not folder.is_dir():
        what = "is a file; name the folder of the pictures" if folder.exists() else "there is no such folder"
        raise UserError(f"{folder}: {what}")
    output_folder(folder, "FOLDER")
    target = output_folder(options.output or Path("runs") / folder.resolve().name)
    settings = settings_of(options)
    from ctran.labelling.studio import Studio
    from ctran.serving.folder_api import create_folder_app

    studio = Studio(folder, target, recipe=options.recipe, absent=options.absent, device=options.device, warm=True)
    if not studio.folder.pictures:
        studio.close()
        raise UserError(f"{folder} holds no picture that can be read. {' '.join(studio.folder.notes)}".strip())
    app = create_folder_app(studio, settings)
    where = f"labels go to {folder / 'metadata.jsonl'}, models to {target}"
    try:
        return serve(app, options, settings, f"studio of {folder}", where)
    finally:
        studio.close()  # where the server was ended in haste, or has not begun
