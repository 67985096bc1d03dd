"""Options of training and evaluation, two parts of a recipe that every experiment has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctran import losses
from ctran.bounds import check_bounds, within
from ctran.errors import UserError
from ctran.images.transforms import Augmentation
from ctran.losses._base import Reduction
from ctran.masking import EvalSetting, Reveal
from ctran.metrics import PRESETS

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false")
"""Lightning's strategies that are tested here."""
VAL_BATCH = 32
"""Least number of pictures that validation computes together."""
RENAMED = {"training.recompute": "training.activation_checkpointing"}
"""Former keys of a recipe -> today's, for the error message; beside those of a method (``Config.renamed``)."""


@dataclass(frozen=True)
class Training:
    """How the model is trained; the defaults are the paper's (Sec. 3.4, 3.5) where it gives them.

    Args:
        epochs: passes over the training pictures; 0 for methods that are fitted in one step.
        batch_size: pictures that a device computes at once.
        accumulate_grad_batches: batches whose gradients one step adds up, so that a large batch fits a small device: a step
            takes batch_size times this number of pictures from each device, with the gradients of one batch of that size.
            Batch norm that trains takes its statistics from batch_size pictures alone.
        optimizer: adam, adamw (decoupled weight decay), or sgd.
        momentum: of sgd; null is 0.9.
        nesterov: Nesterov momentum for sgd.
        learning_rate: of everything but the backbone, and parts for which the method's options set another.
        backbone_learning_rate: null is the same; 0 freezes the backbone (its batch-norm statistics too).
        weight_decay: on matrices; never on biases, norms and embeddings.
        schedule: constant; cosine to zero; steps, down by a factor after each milestone; or onecycle, up from 1/25 over 20 %
            of the steps and down to nearly zero, both along a cosine (stages of a method have their own).
        warmup: steps (1 or more), or the share of the steps (below 1), in which the learning rate rises linearly to its full
            value; null is 5 % for cosine and none for others.
        milestones: of schedule steps: epochs after which the learning rate falls.
        factor: of schedule steps: what the learning rate is multiplied by at each milestone; null is 0.1.
        clip_norm: largest norm of the gradient; 0 for no limit.
        loss: name of the loss, bce in the paper; its options are the part loss of a recipe. Where a recipe with data.absent
            unlisted names none it is assume_negative.
        reduction: mean over the entries that count, or their sum as in the released code (with Adam they differ little: by its
            epsilon, weight decay and clip_norm).
        exclusive: labels of exclusive groups are trained one by one (bce, the paper), or each group by softmax.
        mask_by: label mask training hides labels one by one (the paper), or groups as a whole.
        mask_over: all labels may be known in training, or only the extra ones (the released code on CUB): targets stay hidden.
        unknown_share: label mask training hides a uniform random share of the labels in this range; [1, 1] is training
            without label masks (all labels unknown), as always for a method that does not use known labels.
        all_unknown: share of the pictures without any known label, beyond the sampling above.
        hide_image: share of the pictures whose image is hidden. Beyond the paper.
        prior_bias: start the classifier's bias at the log-odds of each label's frequency.
        ema: decay of the moving average of the weights that is evaluated and saved, below 1; 0 is none.
        augmentation: random transform of the training pictures.
        feature_views: with a frozen backbone: compute features of this many views of each training picture once (the first
            is not augmented) and keep them on disk; 0 runs the backbone in every step.
        patience: stop after this many epochs without a better validation score; 0 never stops early.
        trainable: prefixes of the names of the parameters that train, such as backbone.network.layer4; all others are
            frozen, batch-norm statistics too. Empty trains all.
        precision: of computation: 32-true, bf16-mixed or 16-mixed.
        activation_checkpointing: compute the encoder's layers again in the backward pass instead of storing them: less memory,
            more time, same result. For many labels.
        devices: how many devices of each machine, one process each; a step takes as many pictures from each.
        nodes: how many machines, on which torchrun or SLURM starts the processes.
        strategy: auto, or one of Lightning's ddp: every device holds the whole model.
        sync_batchnorm: batch norm that trains takes its statistics from the pictures of all devices together.
        heartbeat: seconds without a sign of life from one of several processes, after which all end.
        accelerator: auto, cpu, gpu, ...
        workers: processes that load pictures.
        deterministic: use deterministic algorithms only, so that the same recipe and seed give the same weights on the same
            machine. On a CPU its cost is within the noise (docs/architecture.md).
        init_from: a model folder to start from; labels with the same name keep their weights.
    """

    epochs: int = within(100, 0)
    batch_size: int = within(16, 1)
    accumulate_grad_batches: int = within(1, 1)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    momentum: float | None = within(None, 0, 1, below=True)
    nesterov: bool = False
    learning_rate: float = within(1e-5, 0)
    backbone_learning_rate: float | None = within(None, 0)
    weight_decay: float = within(0.0, 0)
    schedule: Literal["constant", "cosine", "steps", "onecycle"] = "constant"
    warmup: float | None = within(None, 0)
    milestones: tuple[int, ...] = within((), 1)
    factor: float | None = within(None, 0, 1, above=True)
    clip_norm: float = within(0.0, 0)
    loss: str = losses.DEFAULT
    reduction: Reduction = "mean"
    exclusive: Literal["bce", "softmax"] = "bce"
    mask_by: Literal["labels", "groups"] = "labels"
    mask_over: Literal["all", "extra"] = "all"
    unknown_share: tuple[float, float] = within((0.25, 1.0), 0, 1)
    all_unknown: float = within(0.0, 0, 1)
    hide_image: float = within(0.0, 0, 1)
    prior_bias: bool = False
    ema: float = within(0.0, 0, 1, below=True)
    augmentation: Augmentation = "ctran576"
    feature_views: int = within(0, 0)
    patience: int = within(0, 0)
    trainable: tuple[str, ...] = ()
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    activation_checkpointing: bool = False
    devices: int = within(1, 1)
    nodes: int = within(1, 1)
    strategy: str = "auto"
    sync_batchnorm: bool = False
    heartbeat: float = within(45.0, 1)
    accelerator: str = "auto"
    workers: int = within(0, 0)
    deterministic: bool = True
    init_from: Path | None = None

    def __post_init__(self) -> None:
        check_bounds(self, "training")
        if not 0 <= self.unknown_share[0] <= self.unknown_share[1] <= 1:
            raise UserError(f"training.unknown_share must be two shares, 0 <= least <= most <= 1, got {self.unknown_share}")
        if self.unknown_share[1] == 0 and self.all_unknown == 0:
            raise UserError(
                "training.unknown_share [0, 0] hides no label, so nothing is trained: its second share must be above 0"
            )
        self._check_schedule()
        if self.feature_views and self.backbone_learning_rate != 0:
            raise UserError("training.feature_views needs a frozen backbone: set training.backbone_learning_rate 0")
        if self.strategy not in STRATEGIES:
            raise UserError(
                f"training.strategy must be {', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}, got {self.strategy!r}: "
                "every device holds the whole model. fsdp and deepspeed split its weights, which the moving average, learning "
                "rates of parts and saved models do not expect; others fork. If the model does not fit: "
                "training.batch_size with training.accumulate_grad_batches, activation_checkpointing, precision bf16-mixed"
            )
        if self.precision == "16-mixed" and self.accelerator == "cpu":
            raise UserError("training.precision 16-mixed needs a GPU: with training.accelerator cpu set bf16-mixed or 32-true")

    def _check_schedule(self) -> None:
        """Refuse keys that contradict each other; keys without effect are another matter (:mod:`ctran.training.unused`)."""
        if self.nesterov and self.momentum == 0:
            raise UserError("training.nesterov needs a training.momentum above 0")
        if self.schedule == "steps" and not self.milestones:
            raise UserError("training.schedule steps needs training.milestones: epochs after which the learning rate falls")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise UserError(f"training.milestones must rise, got {list(self.milestones)}")


@dataclass(frozen=True)
class Evaluation:
    """How the model is evaluated, in training on ``val`` and afterwards on ``test``.

    Args:
        known_share: shares of the labels that are known, one row each.
        known_groups: numbers of groups of extra labels that are known, one row each; if given, known_share is not used.
        reveal: which labels become known first: random ones, positives alone, or positives in the order of the model's
            confidence. For positives, shares are of a picture's positives, rounded down: of three positives 25 % is none.
        seed: of the choice of known labels.
        draws: how often known labels are drawn; mean and standard deviation are reported.
        presets: published definitions of the metrics to report as well: ctran, mlgcn, voc.
    """

    known_share: tuple[float, ...] = within((0.0, 0.25, 0.5, 0.75), 0, 1)
    known_groups: tuple[int, ...] = within((), 0)
    reveal: Reveal = "random"
    seed: int = within(0, 0)
    draws: int = within(1, 1)
    presets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.known_share or not all(0 <= share <= 1 for share in self.known_share):
            raise UserError(f"evaluation.known_share must be shares between 0 and 1, got {list(self.known_share)}")
        check_bounds(self, "evaluation")
        for name in ("known_share", "known_groups"):
            values = getattr(self, name)
            if twice := [v for i, v in enumerate(values) if v in values[:i]]:
                raise UserError(f"evaluation.{name} has {twice[0]:g} twice; to draw it several times: evaluation.draws")
        if unknown := [p for p in self.presets if p not in PRESETS]:
            raise UserError(f"evaluation.presets: unknown preset {unknown[0]!r} (there are: {', '.join(PRESETS)})")
        self.settings()

    def settings(self) -> list[EvalSetting]:
        """One setting per known share, or per number of known groups."""
        if self.known_groups:
            return [EvalSetting(groups=n, reveal=self.reveal) for n in self.known_groups]
        return [EvalSetting(share, reveal=self.reveal) for share in self.known_share]
