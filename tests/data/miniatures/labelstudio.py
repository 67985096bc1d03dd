"""An export of Label Studio in its JSON format, beside the folder of its ten pictures."""

import json
from pathlib import Path

from tests.data.miniatures import imagefolder

MISSING = ("export.json", "pictures/07.png")


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    (root / "pictures").mkdir()
    tasks = []
    for number, (name, (colours, _)) in enumerate(imagefolder.pictures(root / "pictures").items()):
        result = {"from_name": "tags", "to_name": "image", "type": "choices", "value": {"choices": colours}}
        annotation = {"result": [result], "was_cancelled": False}
        tasks.append({"id": number, "data": {"image": f"/data/upload/1/0123abcd-{name}"}, "annotations": [annotation]})
    (root / "export.json").write_text(json.dumps(tasks))
    return {"root": root / "export.json", "images": root / "pictures", "absent": "negative"}


def break_record(root: Path) -> str:
    path = root / "export.json"
    tasks = json.loads(path.read_text())
    tasks[2]["data"]["image"] = 7
    path.write_text(json.dumps(tasks))
    return r"export.json, task 2: data\['image'\] is 7, expected the address of a picture"
