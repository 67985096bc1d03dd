"""A project's export of CVAT for images 1.1: tags, a box, subsets, and the labels of the project."""

from pathlib import Path

from tests.data.miniatures import imagefolder

MISSING = ("annotations.xml", "images/Train/07.png")
SUBSETS = {"train": "Train", "val": "Validation", "test": "Test"}


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    labels = "".join(
        f"<label><name>{c}</name><color>#ff0000</color><type>any</type><attributes></attributes></label>"
        for c in imagefolder.COLOURS
    )
    meta = f"<meta><project><id>1</id><name>colours</name><labels>{labels}</labels></project></meta>"
    images = []
    for number, (name, (colours, split)) in enumerate(imagefolder.pictures(root).items()):
        folder = root / "images" / SUBSETS[split]
        folder.mkdir(parents=True, exist_ok=True)
        (root / name).rename(folder / name)
        tags = "".join(f'<tag label="{c}" source="manual"></tag>' for c in colours[:1])
        box = 'occluded="0" xtl="1.0" ytl="8.0" xbr="12.0" ybr="24.0" z_order="0"'
        tags += "".join(f'<box label="{c}" source="manual" {box}></box>' for c in colours[1:])
        images.append(
            f'<image id="{number}" name="{name}" subset="{SUBSETS[split]}" task_id="1" width="48" height="32">{tags}</image>\n'
        )
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{"".join(images)}</annotations>'
    (root / "annotations.xml").write_text(text)
    return {"absent": "negative"}


def break_record(root: Path) -> str:
    path = root / "annotations.xml"
    path.write_text(path.read_text().replace('name="02.png"', 'name=""'))
    return r"annotations.xml, image 2: it has no name"
