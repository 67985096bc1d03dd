"""Multi-label metrics, in percent, over the entries that count; one file a concept.

``definition`` (variants of AP and precision), ``sheet`` (the checked input), ``ranking`` (AP and AUROC of one label),
``label_ranking`` (of each label), ``counting`` (precision, recall, F1, accuracy), ``table`` (all of them together),
``counted`` and ``columns`` (the same for any number of images, block by block, in a ``store``) and ``bootstrap`` (intervals).

By default AP is the step-wise area under precision and recall, tied scores being one threshold (scikit-learn's
``average_precision_score``); mAP, CP, CR are means over labels; CF1 is the harmonic mean of CP and CR, OF1 of OP and OR. A
label is predicted where its probability is at least ``threshold``; ``top3`` also requires that it is among the three most
probable counted labels of its image (ties at the third place all stay).

A label without a counted positive has no AP and no recall, one without a counted negative no AP (it would be 1 whatever the
scores) and no AUROC: each is left out of the mean. A label that is never predicted has precision 0. Macro AUROC is the mean
over labels. Published evaluators differ: each is a :class:`Definition` in ``PRESETS``.
"""

from ctran.metrics.bootstrap import Resampling, bootstrap
from ctran.metrics.columns import Columns, Ranked
from ctran.metrics.counted import Counted, count
from ctran.metrics.counting import group_accuracy, group_hits, top_k
from ctran.metrics.definition import PRESETS, Definition
from ctran.metrics.label_ranking import auroc, average_precision, per_label
from ctran.metrics.sheet import EntryThreshold
from ctran.metrics.store import Store
from ctran.metrics.table import Table, measure, measure_all

__all__ = [
    "PRESETS",
    "Columns",
    "Counted",
    "Definition",
    "EntryThreshold",
    "Ranked",
    "Resampling",
    "Store",
    "Table",
    "auroc",
    "average_precision",
    "bootstrap",
    "count",
    "group_accuracy",
    "group_hits",
    "measure",
    "measure_all",
    "per_label",
    "top_k",
]
