"""Prediction over a whole collection: pictures a second, beside one by one and a loop of timm and torchvision."""

import statistics
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timm
import torch
from PIL import Image
from torchvision import transforms as v1

import ctran
from benchmarks.harness import Options, interleave, ratios, spread, verdict
from benchmarks.jpeg import write
from benchmarks.machine import bfloat16_is_timed
from benchmarks.models import paper_model
from ctran.collection import options as collection
from ctran.collection.decoding import Pictures
from ctran.collection.inputs.folder import Folder
from ctran.collection.known_cells import Columns, KnownCells
from ctran.collection.predict_shard import PREDICTIONS, Work, predict_shard
from ctran.folders.tagger import Tagger
from ctran.images.transforms import Preprocessing
from ctran.inference.many import BATCH, PictureReader
from ctran.inference.predictor import Predictor
from ctran.labels import LabelSpace

TITLE = "A whole collection"
TARGET = (
    "Files to part files in float32, at least 1.9 times as fast as a plain loop of timm and torchvision with the same network, "
    "and at least 90 % of the slower of decoding alone and the model alone. The model is the shipped one, pictures are "
    "640 x 480."
)
LEAST, SHARE = 1.9, 0.9
NUMBER, PART = 1000, 500
WORKERS = (0, 1, 2)
COLLECTION = 100_000_000
"""Pictures of the collection whose cost ``docs/scaling.md`` is about."""


def model(tiny: bool) -> Tagger:
    """The shipped model, or a toy."""
    if not tiny:
        return Tagger.load(Path(ctran.__file__).parents[2] / "models/openclipart", "cpu")
    labels = LabelSpace(tuple(f"label {number}" for number in range(5)))
    config = {"method": "ctran", "model": {"backbone": "test_resnet"}}
    return Tagger(paper_model(num_labels=5, tiny=True), labels, config, Preprocessing(64))


def plain_loop(paths: list[Path], tagger: Tagger) -> Callable[[], object]:
    """What everybody writes: Pillow, torchvision's transforms, timm's classifier with as many outputs, batch by batch."""
    size, names = tagger.preprocessing.size, tagger.labels.names
    network = timm.create_model(tagger.model.backbone.name, num_classes=len(names)).eval()  # pyright: ignore
    normalize = v1.Normalize(tagger.preprocessing.mean, tagger.preprocessing.std)
    resize = v1.Resize((size, size), v1.InterpolationMode.BICUBIC)
    transform = v1.Compose([resize, v1.ToTensor(), normalize])

    def loop() -> int:
        found = []
        with torch.inference_mode():
            for start in range(0, len(paths), BATCH):
                images = []
                for path in paths[start : start + BATCH]:
                    with Image.open(path) as picture:
                        images.append(transform(picture.convert("RGB")))
                rows = network(torch.stack(images)).sigmoid()
                found += [[names[i] for i in row.topk(min(5, len(names))).indices.tolist()] for row in rows]
        return len(found)

    return loop


def whole(folder: Path, output: Path, predictor: Predictor, workers: int, part: int) -> Callable[[], object]:
    """The pictures of a folder into new part files at each call; processes that decode live on between two calls."""
    work = Work(
        predictor,
        Pictures(PictureReader(predictor.preprocessing), workers),
        KnownCells(predictor.labels, Columns(), {}),
        collection.Options(part_size=part),
        str(output),
        "benchmark",
        BATCH,
        fail_fast=True,
    )
    numbers = count()

    def predict() -> None:
        for shard in Folder(str(folder), part).shards():
            predict_shard(work, shard, f"part-{next(numbers)}-{id(work)}.parquet")

    return predict


def halves(folder: Path, predictor: Predictor, workers: int, part: int) -> dict[str, Callable[[], object]]:
    """Decoding alone, and the model alone on one batch of squares again and again."""
    reader, cells = PictureReader(predictor.preprocessing), KnownCells(predictor.labels, Columns(), {})
    pictures = Pictures(reader, workers)

    def batches() -> Iterator[list[Any]]:
        for shard in Folder(str(folder), part).shards():
            rows = list(shard.rows(cells))
            yield from (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))

    sizes = [len(rows) for rows in batches()]
    squares = next(iter(Pictures(reader).decode([next(batches())])))[1][0]

    def compute() -> None:
        for size in sizes:
            predictor.decided(predictor.encode_images(squares[:size]), [{}] * size)

    return {f"decoding alone, {workers} workers": lambda: sum(1 for _ in pictures.decode(batches())), "model alone": compute}


def run(options: Options) -> dict[str, Any]:
    """Seconds of each candidate for all pictures, and the bytes of what is read and written."""
    number, part = (6, 4) if options.tiny else (NUMBER, PART)
    tagger = model(options.tiny)
    with TemporaryDirectory() as temporary:
        folder, output = Path(temporary) / "pictures", Path(temporary) / "out"
        folder.mkdir()
        paths = write(folder, number, *((64, 48) if options.tiny else (640, 480)))
        calls: dict[str, Callable[[], object]] = {
            "one by one": lambda: [tagger.predict(path) for path in paths],
            "plain loop": plain_loop(paths, tagger),
        }
        kinds: dict[str, Predictor] = {"float32": tagger}
        if bfloat16_is_timed(options):
            kinds["fast"] = tagger.fast()
        if find_spec("openvino") and find_spec("nncf") and not options.tiny:
            kinds["OpenVINO int8"] = _int8(tagger, paths, Path(temporary) / "int8")
        workers = (0, 1) if options.tiny else WORKERS
        for kind, predictor in kinds.items():
            for each in workers:
                calls[f"collection, {kind}, {each} workers"] = whole(folder, output, predictor, each, part)
        calls |= halves(folder, tagger, max(workers), part)
        times = interleave(calls, options.repeats)
        written = [path.stat().st_size for path in (output / PREDICTIONS).iterdir()]
        rows = number / len(list(Folder(str(folder), part).shards()))
        return {
            "pictures": number,
            "workers": list(workers),
            "times": times,
            "bytes read": sum(path.stat().st_size for path in paths) / number,
            "bytes written": statistics.mean(written) / rows,
        }


def _int8(tagger: Tagger, paths: list[Path], folder: Path) -> Predictor:
    """The model exported to OpenVINO in int8, calibrated on some of the pictures."""
    from benchmarks.jpeg import table_of
    from ctran.export.pictures import Pictures as Shown
    from ctran.export.write import write as export
    from ctran.folders.exported import Exported

    export(tagger, folder, "openvino", Shown(table_of(paths[:32]), tagger.preprocessing), int8=True, calibrate=32)
    return Exported.load(folder)


def table(result: dict[str, Any]) -> str:
    """A row a candidate."""
    number, times = result["pictures"], result["times"]
    plain = times["plain loop"]
    slower = [max(pair) for pair in zip(times[_decoding(result)], times["model alone"], strict=True)]
    lines = ["| | pictures a second | times the plain loop | share of the slower half | target |", "|---|---|---|---|---|"]
    best = max((n for n in times if n.startswith("collection, float32")), key=lambda n: number / statistics.median(times[n]))
    for name, found in times.items():
        fraction, goal = "", ""
        if name.startswith("collection"):
            share = ratios(slower, found) if "float32" in name else []
            fraction = spread([100 * each for each in share], ".0f") + " %" if share else ""
        if name == best:
            goals = verdict(statistics.median(ratios(plain, found)), least=LEAST, unit=" x")
            goal = f"{goals}; {verdict(100 * statistics.median(ratios(slower, found)), least=100 * SHARE, unit=' %')}"
        rate = spread([number / each for each in found], ".0f")
        lines.append(f"| {name} | {rate} | {spread(ratios(plain, found), '.2f')} | {fraction} | {goal} |")
    lines += ["", *cost_lines(result)]
    return "\n".join(lines)


def _decoding(result: dict[str, Any]) -> str:
    return f"decoding alone, {max(result['workers'])} workers"


def cost(pictures: float, rate: float, machines: int = 1) -> float:
    """Hours of so many pictures on machines that do ``rate`` pictures a second each."""
    return pictures / rate / machines / 3600


def cost_lines(result: dict[str, Any]) -> list[str]:
    """What :data:`COLLECTION` pictures cost, by the measured rates."""
    lines = ["| 100 million pictures | hours on one such machine | on 100 |", "|---|---|---|"]
    for name, found in result["times"].items():
        if name.startswith("collection"):
            rate = result["pictures"] / statistics.median(found)
            hours = [cost(COLLECTION, rate, machines) for machines in (1, 100)]
            lines.append(f"| {name.removeprefix('collection, ')} | {hours[0]:,.0f} | {hours[1]:,.1f} |")
    read, written = (result[key] * COLLECTION / 1e9 for key in ("bytes read", "bytes written"))
    return [*lines, "", f"{read:,.0f} GB of pictures are read and {written:,.0f} GB of Parquet written for them."]
