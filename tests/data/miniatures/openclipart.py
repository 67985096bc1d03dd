"""Three Parquet files of drawn clip art; its ids lie in the folders from which planted worlds take their objects."""

import io
from collections.abc import Mapping
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as PILImage

KINDS = {
    "flag": "signs_and_symbols/flags/europe",
    "card": "recreation/games/cards/simple",
    "semaphore": "signs_and_symbols/flags/semaphore",
}
"""Name of each label -> folder of its drawings."""
MISSING = ("train.parquet", "val.parquet", "test.parquet")
SIZES = {"train": 9, "val": 4, "test": 4}


def rows(split: str, kinds: Mapping[str, str] = KINDS) -> list[dict[str, object]]:
    """Of one split, with each kind; each picture has one label, the first has two."""
    found = []
    for number in range(max(SIZES[split], len(kinds))):
        kind, out = number % len(kinds), io.BytesIO()
        picture = PILImage.effect_noise((48, 32), 40 + number).convert("RGB")
        picture.paste(("red", "green", "blue")[kind % 3], (8, 8, 24, 24))
        picture.save(out, "JPEG")
        positives = [0, 2] if number == 0 else [kind]
        found.append(
            {
                "image": {"bytes": out.getvalue(), "path": None},
                "id": f"{list(kinds.values())[kind]}/{split}_{number}",
                "positives": positives,
                "negatives": [],
            }
        )
    return found


def write(root: Path, split: str, found: list[dict[str, object]], kinds: Mapping[str, str] = KINDS) -> None:
    label = List(ClassLabel(names=list(kinds)))
    columns = Features(image=Image(decode=False), id=Value("string"), positives=label, negatives=label)
    Dataset.from_list(found, features=columns).to_parquet(root / f"{split}.parquet")


def make(root: Path, kinds: Mapping[str, str] = KINDS) -> dict[str, object]:
    """Write it; the options that make it usable."""
    for split in SIZES:
        write(root, split, rows(split, kinds), kinds)
    return {}


def break_record(root: Path, kinds: Mapping[str, str] = KINDS) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(root / "train.parquet")
    lists = table.column("positives").to_pylist()
    lists[2] = [99]
    place = table.schema.get_field_index("positives")
    changed = table.set_column(place, table.schema.field(place), pa.array(lists, table.schema.field(place).type))
    pq.write_table(changed, root / "train.parquet")
    folder, last = list(kinds.values())[2], len(kinds) - 1
    return rf"train.parquet: picture '{folder}/train_2' lists label number 99, the label space has numbers 0 to {last}"


def break_pictures(root: Path, contents: list[bytes]) -> None:
    """Replace the files of the first training pictures."""
    found = rows("train")
    for row, content in zip(found, contents, strict=False):
        row["image"] = {"bytes": content, "path": None}
    write(root, "train", found)
