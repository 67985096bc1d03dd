"""A fault in the last of 100,000 rows: the error names file and row."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctran.data import conversion
from ctran.errors import UserError
from tests.conftest import draw

ROWS = 100_000


def names():
    return [f"{n}.png" for n in range(ROWS)]


def csv(root):
    rows = [f"{name},1,0" for name in names()]
    (root / "labels.csv").write_text("\n".join(["file_name,red,green", *rows[:-1], f"{ROWS - 1}.png,1,perhaps"]))
    return "csv", {"root": root / "labels.csv"}, r"labels.csv, row 100000, column 'green'.*'perhaps'"


def longcsv(root):
    rows = [f"{name},red" for name in names()]
    (root / "labels.csv").write_text("\n".join(["image,tag", *rows[:-1], f"{ROWS - 1}.png,red,green"]))
    columns = {"image_column": "image", "label_column": "tag", "absent": "negative"}
    return "longcsv", {"root": root / "labels.csv"} | columns, r"labels.csv, row 100000: 3 cells"


def metadata_csv(root):
    rows = [f"{name},red" for name in names()]
    (root / "metadata.csv").write_text("\n".join(["file_name,labels", *rows[:-1], ",red"]))
    return "imagefolder", {"root": root, "absent": "negative"}, r"metadata.csv, row 100000: file_name is empty"


def metadata_jsonl(root):
    rows = [json.dumps({"file_name": name, "labels": ["red"]}) for name in names()]
    (root / "metadata.jsonl").write_text("\n".join([*rows[:-1], rows[-1][:-3]]))
    return "imagefolder", {"root": root, "absent": "negative"}, r"metadata.jsonl, row 100000: no JSON"


def metadata_parquet(root):
    table = pa.table({"file_name": names(), "labels": [*[["red"]] * (ROWS - 1), ["red", None]]})
    pq.write_table(table, root / "metadata.parquet")
    return "imagefolder", {"root": root, "absent": "negative"}, r"metadata.parquet, row 100000: labels must be a list of names"


def coco(root):
    images = [{"id": n, "file_name": name} for n, name in enumerate(names())]
    entries = [{"id": n, "image_id": n, "category_id": 1 + (n == ROWS - 1)} for n in range(ROWS)]
    content = {"images": images, "annotations": entries, "categories": [{"id": 1, "name": "red"}]}
    (root / "train").mkdir()
    draw(root / "train/0.png", ["red"])
    (root / "train/_annotations.coco.json").write_text(json.dumps(content))
    return "coco", {"root": root, "absent": "negative"}, r"_annotations.coco.json, annotations\[99999\]: category_id is 2"


def labelstudio(root):
    result = [{"from_name": "tags", "to_name": "image", "type": "choices", "value": {"choices": ["red"]}}]
    tasks = [
        {"id": n, "data": {"image": f"/data/{name}"}, "annotations": [{"result": result}]} for n, name in enumerate(names())
    ]
    tasks[-1]["data"] = {"image": 7}
    (root / "export.json").write_text(json.dumps(tasks))
    (root / "pictures").mkdir()
    return (
        "labelstudio",
        {"root": root / "export.json", "images": root / "pictures", "absent": "negative"},
        r"export.json, task 99999",
    )


@pytest.mark.parametrize("make", [csv, longcsv, metadata_csv, metadata_jsonl, metadata_parquet, coco, labelstudio])
def test_a_fault_in_the_last_of_many_rows_is_named_with_its_row(make, tmp_path):
    name, options, pattern = make(tmp_path)
    module = conversion.formats()[name]
    with pytest.raises(UserError) as error:
        conversion.read(module, module.Config(**options))
    assert re.search(pattern, str(error.value)), str(error.value)[:300]
