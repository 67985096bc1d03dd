"""Make ``models/openclipart``, the model that comes with the repository, of a run of the demo's recipe.

    make demo && .venv/bin/python scripts/ship_openclipart.py runs/demo

Weights go to float16, temperatures and thresholds are fitted on ``val``, and mAP on ``test`` is compared with float32: a model
that is too large, or says something else, is not shipped.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch

from ctran.analysis.calibrate import fit_calibration, predict_shares, qualities
from ctran.evaluation.evaluate import report
from ctran.folders.tagger import Tagger
from ctran.training.pipeline import build_tables
from ctran.training.recipe import read_run
from ctran.training.run_folder import write_json

HOME = Path(__file__).parents[1] / "models" / "openclipart"
SHARES = (0.0, 0.25, 0.5, 0.75)
LARGEST = 12 * 2**20
"""Bytes of the folder."""
APART = 0.05
"""Points of mAP that float16 may cost at any share of known labels."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="finished run of the recipe demo")
    run = parser.parse_args().run
    tagger, recipe = Tagger.load(run), read_run(run)
    tables = build_tables(recipe)
    calibration = fit_calibration(*predict_shares(tagger, tables["val"], SHARES, 0, "val"), tagger.labels).calibration
    tagger.calibration = calibration
    part = HOME.with_name(HOME.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tagger.save(part / "model", dtype=torch.float16)
    shipped = Tagger.load(part)
    scores, fitted = dict[str, list[float]](), list[dict[str, float]]()
    for name, model in (("float32", tagger), ("float16", shipped)):
        truth, found = predict_shares(model, tables["test"], SHARES, recipe.evaluation.seed, "test")
        measured = report(truth, found, model.labels)
        scores[name] = [setting.hidden.mAP for setting in measured.settings]
        if name == "float16":
            (part / "metrics.md").write_text(measured.markdown() + "\n", encoding="utf-8")
            fitted = [vars(row) for row in qualities(truth, found, model.labels, calibration)]
    apart = max(abs(a - b) for a, b in zip(*scores.values(), strict=True))
    size = sum(path.stat().st_size for path in part.rglob("*") if path.is_file())
    shutil.copy(run / "recipe.yaml", part)
    known = {"known_share": SHARES, "mAP": scores, "largest_change": apart, "calibration": fitted, "bytes": size}
    write_json(part / "metrics.json", known)
    print(json.dumps(known, indent=1))
    if apart > APART or size > LARGEST:
        sys.exit(f"not shipped: mAP changes by {apart:.3f} (at most {APART}), {size:,} bytes (at most {LARGEST:,})")
    shutil.rmtree(HOME, ignore_errors=True)
    part.rename(HOME)
    print(f"shipped: {HOME}")


if __name__ == "__main__":
    main()
