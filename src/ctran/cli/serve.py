"""Serve a model over HTTP, with a page to label pictures together with it.

  ctran serve runs/demo                              http://127.0.0.1:8000: the studio; /docs: the API
  ctran serve runs/mine --pictures photos            label a folder: annotations go to photos/metadata.jsonl
  ctran serve runs/mine --host 0.0.0.0 --token-file token.txt
  kill -HUP PID                                      load the model again (also: POST /v1/reload)
  ctran serve runs/mine --label-studio http://localhost:8080     predict for Label Studio (key: LABEL_STUDIO_API_KEY)

Then: ctran train demo --source imagefolder --root photos --absent unknown
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ctran.cli._arguments import add, add_run
from ctran.cli._network import add_network, serve, settings_of
from ctran.cli._types import count, output_folder
from ctran.errors import UserError

if TYPE_CHECKING:
    from ctran.inference.predictor import Predictor
    from ctran.serving.annotations import Annotations
    from ctran.serving.gallery import Gallery
    from ctran.serving.reload import Loaded

_TRIES = 3
"""Times that a folder which changes meanwhile is read."""
SHOWN = 48
"""Pictures of the run's test set that the page starts with."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    model = parser.add_argument_group("model")
    add_run(model, "run, model folder, or folder of ctran export")
    model.add_argument("--exact", action="store_true", help="compute in float32, not in bfloat16 where that is faster")
    pictures = parser.add_argument_group("pictures and annotations")
    add(pictures, "--pictures", metavar="FOLDER", more="label these; annotations go to FOLDER/metadata.jsonl")
    pictures.add_argument(
        "--save",
        type=Path,
        metavar="FOLDER",
        help="where annotations go without --pictures (default: RUN/annotations; of a model: RUN-annotations)",
    )
    pictures.add_argument("--label-studio", metavar="ADDRESS", help="fetch the pictures of its tasks there")
    pictures.add_argument("--pictures-from", nargs="+", default=[], metavar="ADDRESS", help="and may be fetched from these")
    limits = add_network(parser)
    limits.add_argument("--cache", type=count, default=512, metavar="MIB", help="memory for image tokens (default: 512)")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; requests in flight are finished."""
    settings = settings_of(
        options,
        cache_bytes=options.cache * 2**20,
        label_studio=options.label_studio,
        label_studio_key=os.environ.get("LABEL_STUDIO_API_KEY") or None,
        pictures_from=tuple(options.pictures_from),
    )
    from ctran.serving.annotations import Annotations
    from ctran.serving.api import create_app

    if options.save:
        output_folder(options.save, "--save")
    if options.pictures and not options.pictures.is_dir():
        what = "is a file; name the folder of the pictures" if options.pictures.exists() else "there is no such folder"
        raise UserError(f"--pictures {options.pictures}: {what}")

    def load() -> "Loaded":
        return read_model(options.run, options.device, exact=options.exact)

    predictor, version = load()
    annotations = Annotations(options.pictures or options.save or annotations_folder(options.run), predictor.labels.names)
    gallery = gallery_of(options, annotations)
    if gallery.notes:
        print(f"{options.pictures}: {'. '.join(gallery.notes)}", file=sys.stderr)
    app = create_app(
        predictor,
        settings,
        gallery=gallery,
        annotations=annotations,
        version=version,
        load=load,
    )
    where = f"annotations go to {annotations.folder}"
    return serve(app, options, settings, f"serving {options.run}", where, hang_up=app.state.reloader.in_background)


def read_model(run: Path, device: str, *, exact: bool) -> "Loaded":
    """A model and its version, which are of the same files though the folder may be replaced meanwhile.

    Args:
        exact: compute in float32, not in bfloat16 where that is faster.

    Raises:
        ModelFolderError: the folder holds no model, or a damaged one.
        UserError: a device that there is not, or a folder that changes all the time.
    """
    from ctran.folders.exported import load
    from ctran.serving.reload import Loaded

    for _ in range(_TRIES):
        before = _version_or_none(run)
        try:
            predictor = load(run, device)
        except UserError:
            if _version_or_none(run) == before:
                raise
            continue
        if (version := version_of(run)) == before:
            return Loaded(predictor if exact else faster(predictor), version)
    raise UserError(f"{run}: its files changed {_TRIES} times while they were read; try again when nobody writes them")


def _version_or_none(run: Path) -> str | None:
    try:
        return version_of(run)
    except OSError:
        return None


def version_of(run: Path) -> str:
    """Name and digest of a model's files, stored with predictions elsewhere to identify the model."""
    from ctran.folders.exported import digests

    folder = run / "model" if (run / "model").is_dir() else run
    found = digests(folder, (path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".md"))
    name = run.resolve().name.encode("utf-8", "backslashreplace").decode()  # it is sent as JSON
    return f"{name}-{hashlib.sha256(json.dumps(found).encode()).hexdigest()[:8]}"


def annotations_folder(run: Path) -> Path:
    """Where annotations go by default: into a run folder; beside a model folder, which holds a model and nothing else.

    Annotations that lie in a model folder already are continued where they are.
    """
    if (run / "annotations" / "metadata.jsonl").is_file() or (run / "model").is_dir():
        return run / "annotations"
    folder = run.resolve()
    if folder.name == "model" and (folder.parent / "recipe.yaml").is_file():
        return folder.parent / "annotations"
    return folder.with_name(f"{folder.name}-annotations")


def faster(predictor: "Predictor") -> "Predictor":
    """In bfloat16 where its device has that, else as it is."""
    from ctran.devices import fast_in_bfloat16

    return predictor.fast() if fast_in_bfloat16(predictor.device) else predictor


def gallery_of(options: argparse.Namespace, annotations: "Annotations") -> "Gallery":
    """The folder's pictures, else the first of the run's test set where that can be read."""
    from ctran.data.checked import without_decoding
    from ctran.serving.gallery import Gallery
    from ctran.training.pipeline import tables_of_run

    if options.pictures:
        return Gallery.of_folder(annotations)
    if not (options.run / "recipe.yaml").is_file():
        return Gallery([])
    try:
        with without_decoding():  # a broken picture is reported when it is opened
            return Gallery.of_table(tables_of_run(options.run)["test"], SHOWN)
    except (ValueError, OSError) as error:
        print(f"no pictures to start with: {error}", file=sys.stderr)
        return Gallery([])
