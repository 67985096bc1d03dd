"""Label mask training as a Lightning module."""

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any, NoReturn, cast

import lightning as L
import torch
from jaxtyping import Int
from torch import Tensor, nn

from ctran import losses, registry
from ctran.constraints.implications import propagate_implications
from ctran.data.loading import Batch, seed_of
from ctran.data.truth import SparseTruth
from ctran.evaluation.evaluate import SettingLogits, ask, features_of, report
from ctran.evaluation.report import Report
from ctran.labels import LabelSpace
from ctran.losses._base import LabelLoss
from ctran.masking import label_mask_training
from ctran.model import Features, Method, Stage, TrainingStep
from ctran.training import schedules
from ctran.training.accumulation import Accumulation
from ctran.training.average import moving_average, restart
from ctran.training.divergence import DivergedError, Losses, explain
from ctran.training.frozen import freeze_others, frozen_parts_to_eval
from ctran.training.gathered import first_places
from ctran.training.optimizer import optimizer_of
from ctran.training.recipe import Recipe


class LabelTask(L.LightningModule):
    """Trains any method of ``ctran.methods``; validates at every known share of the recipe.

    All randomness depends on the recipe's seed, the epoch and the process's rank, and is seeded again at the start of each
    epoch, so that a run resumed after an epoch equals one that was not interrupted.

    Args:
        model: any :class:`ctran.model.Method`.
        labels: the label space of the model.
        recipe: options of training and evaluation.
        val_ids: ids of the validation pictures, for the choice of known labels.
        train_ids: ids of the training pictures, for errors.
        left_out: reason -> labels left out of all means, as they are never positive, or never negative, in training.
        val_assumed: truth of the validation pictures that metrics count, where it is more than labels may be known of.
    """

    def __init__(
        self,
        model: Method,
        labels: LabelSpace,
        recipe: Recipe,
        val_ids: list[str],
        train_ids: Sequence[str] = (),
        left_out: Mapping[str, Collection[str]] | None = None,
        val_assumed: SparseTruth | None = None,
    ) -> None:
        super().__init__()
        self.val_assumed = val_assumed
        self.left_out = left_out or {}
        self.model, self.labels, self.recipe, self.val_ids = model, labels, recipe, val_ids
        self.average = moving_average(model, recipe.training.ema) if recipe.training.ema else None
        self.report: Report | None = None
        self._gathered: list[tuple[Tensor, ...]] = []
        self.criterion = LabelLoss(
            registry.find(losses, recipe.training.loss).build(recipe.loss),
            groups=labels.exclusive if recipe.training.exclusive == "softmax" else (),
            reduction=recipe.training.reduction,
            across_processes=True,
        )
        self.accumulation = Accumulation(
            recipe.training.accumulate_grad_batches, self.criterion, recipe.training.batch_size * len(labels)
        )
        self.losses = Losses(train_ids, recipe.training.accumulate_grad_batches, recipe.training.reduction)
        self.train_loss = float("nan")
        if recipe.training.backbone_learning_rate == 0:
            model.backbone.requires_grad_(False)
        freeze_others(model, recipe.training.trainable)
        if recipe.training.activation_checkpointing:
            model.checkpoint_activations()
        self.stages = [stage for stage in recipe.model.stages(recipe.training.epochs) if stage.epochs]
        self.helper = recipe.model.helper(model)

    @property
    def evaluated(self) -> Method:
        """The weights that are evaluated and saved: the moving average if the recipe has one."""
        return self.model if self.average is None else cast(Method, self.average.module)

    # ---------------------------------------------------------------- training

    @property
    def stage(self) -> Stage:
        """Stage of the current epoch."""
        ends = list(accumulate(stage.epochs for stage in self.stages))
        return self.stages[min(bisect_right(ends, self.current_epoch), len(ends) - 1)]

    def on_train_epoch_start(self) -> None:
        seed = seed_of(self.recipe.seed, 1, self.current_epoch, self.global_rank)
        self.generator = torch.Generator().manual_seed(seed_of(seed, 2))  # masks
        self.model.train()  # Lightning does not change the mode of a module, and taggers are in evaluation mode
        frozen_parts_to_eval(self.model)
        for part, rate in self.stage.learning_rates.items():
            frozen = getattr(self.model, part) if part and rate == 0 else None
            if isinstance(frozen, nn.Module):  # not a parameter
                frozen.eval()  # a part that the stage freezes keeps its batch-norm statistics
        if self.current_epoch in accumulate(stage.epochs for stage in self.stages):
            self._start_stage()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:  # not earlier: loaders draw from the same generator, in another order if resumed
            torch.manual_seed(seed_of(self.recipe.seed, 1, self.current_epoch, self.global_rank))  # dropout

    def _start_stage(self) -> None:
        """Continue from the averaged weights with a fresh optimizer."""
        if self.average is not None:
            self.model.load_state_dict(self.average.module.state_dict())
            restart(self.average)
        for optimizer in self.trainer.optimizers:
            optimizer.state.clear()

    def training_step(self, batch: Batch, _: int) -> Tensor:
        options = self.recipe.training
        states = self._known(batch.truth)
        features = features_of(self.model, batch)
        self._impute(batch, features)
        hide = None
        if options.hide_image and self.stage.hide_images:
            hide = (torch.rand(len(states), generator=self.generator) < options.hide_image).to(states.device)
        step = TrainingStep(features, batch.truth, states, batch.index, hide, self.current_epoch, self.stage.name, self.helper)
        loss, *others = self.model.loss(step, self.criterion).values()
        self.log("train_loss", loss, prog_bar=True, batch_size=len(states))
        total = sum(others, loss)
        weight = self.accumulation.weight(step.truth, step.states)
        self.losses.add(loss, total, batch.index, weight)
        if self.losses.due(self._world) and not self._all_finite():
            self._stop_diverged()
        return self.accumulation.before_backward(total, weight)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.accumulation.before_step(p for group in optimizer.param_groups for p in group["params"])

    @torch.no_grad()
    def _impute(self, batch: Batch, features: Features) -> None:
        """Give a loss that asks for it what the averaged weights predict of the batch from all its known labels."""
        if not self.criterion.entries.imputes or self.average is None:
            return
        known = propagate_implications(batch.truth, self.labels.implied)
        self.criterion.entries.impute(batch.index, self.evaluated.predict_labels(features, known).float().sigmoid())

    def _known(self, truth: Int[Tensor, "B L"]) -> Int[Tensor, "B L"]:
        """States of a training step; all unknown for a method that does not train with them: its loss has every label."""
        if not (self.model.uses_states and self.model.trains_with_known):
            return torch.zeros_like(truth)
        options = self.recipe.training
        states = label_mask_training(
            truth,
            unknown_share=options.unknown_share,
            all_unknown=options.all_unknown,
            units=self.labels.units if options.mask_by == "groups" else None,
            maskable=~self.labels.targets if options.mask_over == "extra" else None,
            generator=self.generator,
        )
        return propagate_implications(states, self.labels.implied)

    @property
    def _world(self) -> int:
        """Number of training processes."""
        return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1

    def _all_finite(self) -> bool:
        """Whether the losses of all processes are finite; every process must call it."""
        finite = self.losses.finite
        return finite if self._world == 1 else self.trainer.strategy.reduce_boolean_decision(finite, all=True)

    def _stop_diverged(self) -> NoReturn:
        rates = {group["part"] or "rest": group["lr"] for group in self.trainer.optimizers[0].param_groups}
        raise DivergedError(explain(self.losses.first_bad(self.current_epoch + 1), rates, self.recipe.training))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        one = self.accumulation.batches == 1
        if self.average is not None and (one or self.accumulation.ends_step(batch_idx, int(self.trainer.num_training_batches))):
            self.average.update_parameters(self.model)

    def on_validation_start(self) -> None:
        """Check in every process that all losses of the epoch are finite, before anything is evaluated or saved."""
        if not len(self.losses):
            return
        if not self._all_finite():
            self._stop_diverged()
        mean = self.losses.mean()
        self.train_loss = float(mean if self._world == 1 else self.trainer.strategy.reduce(mean, reduce_op="mean"))
        self.losses.clear()

    # -------------------------------------------------------------- validation

    def validation_step(self, batch: Batch, _: int) -> None:
        options = self.recipe.evaluation
        model = self.evaluated
        ids = [self.val_ids[i] for i in batch.index.tolist()]
        features = features_of(model, batch)
        counted = batch.truth if self.val_assumed is None else self.val_assumed.rows(batch.index.cpu()).to(batch.truth)
        rows: list[Tensor] = [batch.index, counted]
        for output in ask(model, features, batch.truth, ids, self.labels, options.settings(), seed=options.seed):
            rows += [output.states, output.logits]
            if output.chosen is not None:
                rows.append(output.chosen.to(torch.uint8))
        self._gathered.append(tuple(rows))

    def on_validation_epoch_end(self) -> None:
        columns = [torch.cat(c) for c in zip(*self._gathered, strict=True)]
        self._gathered.clear()
        if self.trainer.world_size > 1:
            columns = [torch.as_tensor(self.all_gather(c)).flatten(0, 1) for c in columns]
        place = first_places(columns[0])  # pictures that occur twice count once
        _, truth, *rest = (c[place] for c in columns)
        settings = self.recipe.evaluation.settings()
        outputs, width = [], len(rest) // len(settings)  # states, logits, and label sets where the method chose them
        for number, setting in enumerate(settings):
            states, logits, *chosen = rest[number * width : (number + 1) * width]
            outputs.append(SettingLogits(setting, states, logits, chosen=chosen[0].bool() if chosen else None))
        if self.trainer.training and not all(bool(torch.isfinite(output.logits).all()) for output in outputs):
            self._stop_diverged()  # diverged in the last step of the epoch, whose loss was finite
        self.report = report(truth, outputs, self.labels, left_out=self.left_out)
        self.log("val_score", self.report.score, prog_bar=True)
        for name, value in self.report.scores.items():
            self.log(name, value)

    # --------------------------------------------------------------- optimiser

    def _groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the model and of its helper module."""
        groups = self.model.parameter_groups(self.recipe.training)
        if self.helper is not None:
            part = str(self.helper.part)
            decay = self.model.weight_decays.get(part, self.recipe.training.weight_decay)
            for parameter in self.helper.parameters():
                own = {"params": [parameter], "weight_decay": decay if parameter.ndim > 1 else 0.0}
                groups.append({"part": part, "lr": self.recipe.training.learning_rate, **own})
        return groups

    def _schedules(self, groups: Sequence[Mapping[str, Any]], steps_per_epoch: int) -> list[schedules.Stage]:
        """Steps and learning rates of each stage."""
        found = []
        for stage in self.stages:
            own = [stage.learning_rates.get(group["part"]) for group in groups]
            rates = [group["lr"] if rate is None else rate for group, rate in zip(groups, own, strict=True)]
            found.append(schedules.Stage(stage.epochs * steps_per_epoch, rates))
        return found

    def configure_optimizers(self) -> Any:
        options = self.recipe.training
        groups = self._groups()
        steps = math.ceil(int(self.trainer.estimated_stepping_batches) / options.epochs)
        optimizer = optimizer_of(options, groups)
        schedule = schedules.StagedSchedule(optimizer, options, self._schedules(groups, steps), steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
