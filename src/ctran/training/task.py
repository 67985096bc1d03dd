"""Label mask training as a Lightning module."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from ctran.data.loading import Batch, seed_of
from ctran.evaluation import Report, features_of, report, states_for
from ctran.labels import LabelSpace
from ctran.losses import bce
from ctran.masking import label_mask_training
from ctran.model import Method
from ctran.training.recipe import Recipe


class LabelTask(L.LightningModule):
    """Trains any method of ``ctran.methods``; validates at every known share of the recipe.

    All randomness comes from the recipe's seed, the epoch and the device's rank, and is set anew at the start of each
    epoch, so that a run that was resumed after an epoch equals one that was not interrupted.

    Args:
        model: any :class:`ctran.model.Method`.
        labels: the label space of the model.
        recipe: what to do.
        val_ids: ids of the validation pictures, for the choice of known labels.
    """

    def __init__(self, model: Method, labels: LabelSpace, recipe: Recipe, val_ids: list[str]) -> None:
        super().__init__()
        self.model, self.labels, self.recipe, self.val_ids = model, labels, recipe, val_ids
        self.average = copy.deepcopy(model).requires_grad_(False).eval() if recipe.training.ema else None
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.report: Report | None = None
        self._gathered: list[tuple[Tensor, ...]] = []
        self._losses: list[Tensor] = []
        self.train_loss = float("nan")
        if recipe.training.backbone_learning_rate == 0:
            model.backbone.requires_grad_(False)

    @property
    def evaluated(self) -> Method:
        """The weights that are evaluated and saved: the moving average where the recipe asks for one."""
        return self.model if self.average is None else self.average

    # ---------------------------------------------------------------- training

    def on_train_epoch_start(self) -> None:
        seed = seed_of(self.recipe.seed, 1, self.current_epoch, self.global_rank)
        torch.manual_seed(seed)  # dropout
        self.generator = torch.Generator().manual_seed(seed_of(seed, 2))  # masks
        if self.recipe.training.backbone_learning_rate == 0:
            self.model.backbone.eval()  # batch-norm statistics too

    def training_step(self, batch: Batch, _: int) -> Tensor:
        options = self.recipe.training
        states = label_mask_training(
            batch.truth,
            unknown_share=options.unknown_share,
            all_unknown=options.all_unknown,
            generator=self.generator,
        )
        share = 1.0 if self.current_epoch < options.label_epochs else options.hide_image
        hide = None
        if share:
            hide = (torch.rand(len(states), generator=self.generator) < share).to(states.device)
        logits = self.model.predict_labels(features_of(self.model, batch), states, hide_image=hide)
        loss = bce(logits, batch.truth, states, label_smoothing=options.label_smoothing)
        self.log("train_loss", loss, prog_bar=True, batch_size=len(states))
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.average is None:
            return
        self.updates += 1
        n = int(self.updates)
        decay = min(self.recipe.training.ema, (1 + n) / (10 + n))  # young averages forget faster
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
            for mean, now in zip(self.average.buffers(), self.model.buffers(), strict=True):
                mean.copy_(now)

    # -------------------------------------------------------------- validation

    def validation_step(self, batch: Batch, _: int) -> None:
        settings = self.recipe.evaluation
        model = self.evaluated
        features = features_of(model, batch)
        ids = [self.val_ids[i] for i in batch.index.tolist()]
        rows: list[Tensor] = [batch.index, batch.truth]
        for share in settings.known_share:
            states = states_for(batch.truth, ids, share, settings.seed)
            rows += [states, model.predict_labels(features, states).float()]
        self._gathered.append(tuple(rows))

    def on_validation_epoch_end(self) -> None:
        if self._losses:
            self.train_loss = float(torch.stack(self._losses).mean())
            self._losses.clear()
        columns = [torch.cat(c) for c in zip(*self._gathered, strict=True)]
        self._gathered.clear()
        if self.trainer.world_size > 1:
            columns = [torch.as_tensor(self.all_gather(c)).flatten(0, 1) for c in columns]
        first = torch.unique(columns[0], return_inverse=False)
        place = torch.stack([(columns[0] == i).nonzero()[0, 0] for i in first])  # pictures that were given twice count once
        _, truth, *rest = (c[place] for c in columns)
        self.report = report(truth, rest[0::2], rest[1::2], self.recipe.evaluation.known_share, self.labels)
        self.log("val_score", self.report.score, prog_bar=True)
        for s in self.report.settings:
            self.log(f"val_mAP_{100 * s.known_share:g}", s.hidden.mAP)

    # --------------------------------------------------------------- optimiser

    def _groups(self) -> Iterator[dict[str, Any]]:
        """Parameters by learning rate and weight decay; norms, biases and embeddings are not decayed."""
        options = self.recipe.training
        bare = {id(p) for m in self.model.modules() if isinstance(m, nn.Embedding | nn.LayerNorm) for p in m.parameters()}
        rates = {
            "backbone": options.backbone_learning_rate,
            "residual": options.residual_learning_rate,
        }
        sorted_in: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, p in self.model.named_parameters():
            if not p.requires_grad:
                continue
            rate = rates.get(name.split(".")[0])
            rate = options.learning_rate if rate is None else rate
            decay = options.weight_decay if p.ndim > 1 and id(p) not in bare and "known_state" not in name else 0.0
            sorted_in.setdefault((rate, decay), []).append(p)
        for (rate, decay), parameters in sorted_in.items():
            yield {"params": parameters, "lr": rate, "weight_decay": decay}

    def configure_optimizers(self) -> Any:
        options = self.recipe.training
        kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(list(self._groups()), betas=(0.9, 0.999))
        if options.schedule == "constant":
            return optimizer
        total = int(self.trainer.estimated_stepping_batches)
        warm = max(1, round(0.05 * total))

        def factor(step: int) -> float:
            return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
