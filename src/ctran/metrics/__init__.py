"""Multi-label metrics, in percent, over the entries that count; one file a concept.

``definition`` (variants of AP and precision), ``ranking`` (AP and AUROC of one label), ``counting`` (precision, recall, F1,
accuracy), ``table`` (all of them together) and ``bootstrap`` (intervals).

By default AP is the step-wise area under precision and recall, tied scores being one threshold (scikit-learn's
``average_precision_score``); mAP, CP, CR are means over labels; CF1 is the harmonic mean of CP and CR, OF1 of OP and OR. A
label is predicted where its probability is at least ``threshold``; ``top3`` also requires that it is among the three most
probable counted labels of its image (ties at the third place all stay).

A label without a counted positive has no AP and no recall, one without a counted negative no AP (it would be 1 whatever the
scores) and no AUROC: each is left out of the mean. A label that is never predicted has precision 0. Macro AUROC is the mean
over labels. Published evaluators differ: each is a :class:`Definition` in ``PRESETS``.
"""

from ctran.metrics.bootstrap import Resampling, bootstrap
from ctran.metrics.counting import top_k
from ctran.metrics.definition import PRESETS, Definition
from ctran.metrics.table import EntryThreshold, Table, auroc, average_precision, group_accuracy, measure, measure_all, per_label

__all__ = [
    "PRESETS",
    "Definition",
    "EntryThreshold",
    "Resampling",
    "Table",
    "auroc",
    "average_precision",
    "bootstrap",
    "group_accuracy",
    "measure",
    "measure_all",
    "per_label",
    "top_k",
]
