"""VOC's layout of one's own pictures, as LabelImg writes the files; one object is difficult."""

from pathlib import Path

from tests.data.miniatures import imagefolder

MISSING = ("JPEGImages/07.png",)


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    sets: dict[str, list[str]] = {}
    for name, (colours, split) in imagefolder.pictures(root / "JPEGImages").items():
        box = "<bndbox><xmin>1</xmin><ymin>8</ymin><xmax>12</xmax><ymax>24</ymax></bndbox>"
        start = "<pose>Unspecified</pose><truncated>0</truncated>"
        objects = [
            f"<object><name>{c}</name>{start}<difficult>{int(c == 'blue' and name == '04.png')}</difficult>{box}</object>"
            for c in colours
        ]
        size = "<size><width>48</width><height>32</height><depth>3</depth></size>"
        text = f"<annotation><folder>JPEGImages</folder><filename>{name}</filename><path>C:\\x\\{name}</path>{size}"
        (root / "Annotations" / f"{name[:-4]}.xml").write_text(f"{text}<segmented>0</segmented>{''.join(objects)}</annotation>")
        sets.setdefault(split, []).append(name[:-4])
    for split, names in sets.items():
        (root / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return {"absent": "negative"}


def break_record(root: Path) -> str:
    path = root / "Annotations/02.xml"
    path.write_text(path.read_text().replace("<name>red</name>", "<name></name>"))
    return r"Annotations/02.xml, object \d: no text in <name>"
