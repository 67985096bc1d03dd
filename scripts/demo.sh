#!/bin/sh
# Train on the clip-art library, evaluate, predict. About 8 minutes on two cores, and before that 3 to 6
# for image features. A finished run is kept, an interrupted one resumed.
set -eu
RUN=${RUN:-runs/demo}
ctran() { "$PYTHON" -m ctran "$@"; }

if [ ! -e "$RUN/recipe.yaml" ]; then
    ctran train auto --source openclipart --output "$RUN"
elif [ ! -e "$RUN/finished.json" ] || [ ! -e "$RUN/predictions.png" ]; then
    ctran train --resume "$RUN"
fi
echo
echo "mAP and the other figures on test, when 0, 25, 50 and 75 % of the labels are known:"
ctran evaluate "$RUN" --known-share 0 25 50 75
echo
echo "one picture, first alone, then when we say what we know:"
ctran predict "$RUN" docs/images/flag.png
ctran predict "$RUN" docs/images/flag.png --known "africa=yes"
echo
echo "run folder: $RUN (curves.png, predictions.png, metrics.md, model/)"
