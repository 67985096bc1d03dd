"""An annotation as Label Studio's JSON export, with the labelling configuration that it fits."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ctran.data.output import Output, refuse_controls
from ctran.data.rows import Annotated


def write_export(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``export.json``, ``config.xml`` and the pictures; the options that read them.

    Present labels are ticks of the tag ``labels``; where some are absent and others unknown, absent ones are ticks of
    ``absent``, which has ``model_state="absent"`` as in the configuration of ``ctran serve``.
    """
    labels, rows = annotated.labels, list(annotated.known())
    refuse_controls(labels, "Label Studio's configuration, which is XML,")
    complete = all(len(known) == len(labels) for _, known in rows)
    tasks = []
    for number, (row, known) in enumerate(rows, start=1):
        ticks = {"labels": [name for name in labels if known.get(name)]}
        if not complete:
            ticks["absent"] = [name for name in labels if known.get(name) is False]
        result = [
            {"from_name": tag, "to_name": "image", "type": "choices", "value": {"choices": names}}
            for tag, names in ticks.items()
            if names
        ]
        address = f"/data/local-files/?d={quote(output.picture(row))}"
        annotation = {"id": number, "result": result, "was_cancelled": False, "ground_truth": False}
        tasks.append({"id": number, "data": {"image": address}, "annotations": [annotation], "predictions": []})
    output.write_json("export.json", tasks)
    config = _configuration(labels, ["labels"] if complete else ["labels", "absent"])
    output.write("config.xml", config)
    absent = "negative" if complete else annotated.rest
    return {"root": Path("export.json"), "config": Path("config.xml"), "images": Path("images"), "absent": absent}


def _configuration(labels: tuple[str, ...], tags: list[str]) -> bytes:
    """The code of the labeling interface."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    for tag in tags:
        about = {"name": tag, "toName": "image", "choice": "multiple"}
        about |= {"model_state": "absent"} if tag == "absent" else {}
        ElementTree.SubElement(view, "Header", value={"labels": "Present", "absent": "Absent"}[tag])
        choices = ElementTree.SubElement(view, "Choices", about)
        for name in labels:
            ElementTree.SubElement(choices, "Choice", value=name)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="utf-8", xml_declaration=True)
