"""Definitions of metrics: the choices in which published evaluators differ, and theirs by name."""

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from ctran.errors import UserError


@dataclass(frozen=True)
class Definition:
    """What the columns of a table mean. The defaults are the library's own; see ``PRESETS`` for published ones.

    Args:
        ap: ``sklearn``: the step-wise area, tied scores being one threshold. ``rank``: the mean of the precision at the rank
            of each positive. ``voc_interp``: the area below the highest precision at this recall or a higher one (VOC from
            2010 on). ``voc11``: the mean of that highest precision at recall 0, 0.1, ..., 1 (VOC2007; recall is compared in
            whole numbers, without rounding). All but ``sklearn`` take tied scores in the order in which images are stored.
        absent: what becomes of a label without a counted positive. ``skip``: it is left out of mAP, CP and CR. ``zero``: its
            AP and recall are 0 and count. ``nan``: mAP, CR and CF1 are NaN. CP averages over it unless it is skipped.
        absent_with_known: the same, of mAP only, where some entries were known to the model; ``same``: as ``absent``.
        never_absent: what becomes of a label without a counted negative, whose AP is 1 whatever its scores. ``skip``: it is
            left out of mAP. ``count``: it counts, as in published evaluators.
        never_predicted: what becomes of a label that is never predicted. ``zero``: its precision is 0. ``skip``: it is left
            out of CP, and without any prediction OP is NaN instead of 0. ``mlgcn``: its precision is 0, and it adds one false
            prediction to the denominator of OP.
        cf1: ``harmonic`` mean of CP and CR, or the ``mean_of_f1`` over labels (0 for one that is never predicted).
        topk: the predictions of the ``top3`` columns. ``ctran``: at least the threshold and at least the third highest
            probability of the image, so ties at the third place all stay. ``exact``: at least the threshold and one of the
            three most probable; of tied ones the first labels. ``exact_no_threshold``: the three most probable, always.
        entries: what all but AP and AUROC count. ``hidden``: the entries of AP, annotated and unknown to the model.
            ``known``: all annotated ones. ``all``: also those not annotated (VOC's difficult ones), as negatives.
    """

    ap: Literal["sklearn", "rank", "voc_interp", "voc11"] = "sklearn"
    absent: Literal["skip", "zero", "nan"] = "skip"
    absent_with_known: Literal["same", "skip", "zero", "nan"] = "same"
    never_absent: Literal["skip", "count"] = "skip"
    never_predicted: Literal["zero", "skip", "mlgcn"] = "zero"
    cf1: Literal["harmonic", "mean_of_f1"] = "harmonic"
    topk: Literal["ctran", "exact", "exact_no_threshold"] = "ctran"
    entries: Literal["hidden", "known", "all"] = "hidden"

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(Definition).items():
            if (value := getattr(self, name)) not in get_args(hint):
                raise UserError(f"{name} of a definition of metrics is one of {', '.join(get_args(hint))}, got {value!r}")


PRESETS: dict[str, Definition] = {
    "default": Definition(),
    "ctran": Definition(absent="zero", absent_with_known="skip", never_absent="count", entries="known"),
    "mlgcn": Definition(ap="rank", absent="nan", never_absent="count", never_predicted="mlgcn", topk="exact", entries="all"),
    "voc": Definition(ap="voc_interp", never_absent="count"),
}
"""Definitions by name. Published evaluators use neither exclusive groups nor implications: in an evaluation the presets but
``default`` score a sigmoid a label, and count every entry that was unknown to the model.

``ctran``: ``utils/evaluate.py`` of QData/C-Tran. AP is scikit-learn's over the unknown entries; the rest counts known ones too.
Without known labels an absent label has AP 0, as in scikit-learn from 1.1 on (under the version that the authors pinned,
0.24.1, mAP is then NaN); with known labels it is left out of mAP.

``mlgcn``: ``AveragePrecisionMeter`` of Megvii-Nanjing/ML-GCN. Difficult entries (those outside ``mask``) are left out of AP and
negatives elsewhere. Its sort breaks ties arbitrarily: here they keep their order. It stops with a ZeroDivisionError at a label
without positives: here mAP is NaN, as its CR is.

``voc``: interpolated AP, as SSGRL, KGGR, HCP-MLR-PL and Query2Label report; the rest as by default.
"""
