"""``ctran data check``: what is doubtful in an annotation and its pictures, and splits without it."""

import argparse
import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ctran.cli._types import output_stem

if TYPE_CHECKING:
    from ctran.data.findings import Finding

SHOWN = 5
"""Findings of a kind that are printed; JSON and the page have all."""


def check(root: Path, options: argparse.Namespace) -> int:
    """Print findings as text or JSON; write the page and the splits where they are asked for."""
    from ctran.data import conversion
    from ctran.data.findings import Examination
    from ctran.files import write_text
    from ctran.labels import LabelSpace
    from ctran.training.recipe import read_recipe

    for path, flag in ((options.page, "--page"), (options.fix, "--fix")):
        if path is not None:
            output_stem(path, option=flag)
    name = options.source or "imagefolder"
    module = conversion.reader(name)
    recipe = read_recipe(None, ["--source", name, "--data.root", str(root), *options.keys])
    annotated = conversion.read(module, recipe.data, keep_missing=True)
    labels = recipe.labels.of(LabelSpace(annotated.labels))
    examined = Examination(annotated, labels, recipe.data)
    findings = examined.findings()
    if options.json:
        counts = Counter(split for place, split in enumerate(examined.splits) if place not in examined.broken)
        listed = [{"kind": f.kind, "message": f.message, "pictures": f.pictures, "labels": f.labels} for f in findings]
        about = {"pictures": len(annotated.rows), "labels": len(labels), "splits": counts}
        print(json.dumps(about | {"findings": listed}, ensure_ascii=False, indent=1))
    else:
        print_findings(findings, len(annotated.rows), len(labels))
    if options.page is not None:
        from ctran.plots.findings import findings_page

        findings_page(findings, {row.id: row.path for row in annotated.rows}, options.page, title=f"Check of {root}")
    if options.fix is not None:
        text, splits = io.StringIO(newline=""), examined.new_splits()
        csv.writer(text).writerows([("id", "split"), *splits.items()])
        write_text(options.fix, text.getvalue())
        if not options.json:
            counts = Counter(splits.values())
            print(f"{options.fix}: {', '.join(f'{counts[s]:,} of {s}' for s in ('train', 'val', 'test'))}")
            print(f"use it with: --data.splits {options.fix}")
    return 0


def print_findings(findings: "list[Finding]", pictures: int, labels: int) -> None:
    """The number of each kind, and the first of them."""
    from ctran.data.findings import KINDS

    print(f"{pictures:,} pictures, {labels:,} labels, {len(findings):,} findings")
    for kind, meaning in KINDS.items():
        some = [one for one in findings if one.kind == kind]
        if some:
            print(f"\n{kind}: {len(some):,} ({meaning})")
            for one in some[:SHOWN]:
                print(f"  {one.message}")
            if len(some) > SHOWN:
                print(f"  and {len(some) - SHOWN:,} more")
