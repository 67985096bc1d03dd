"""Which parameters train."""

from collections.abc import Sequence

from torch import nn

from ctran.errors import UserError, nearest


def freeze_others(model: nn.Module, prefixes: Sequence[str]) -> None:
    """Freeze all parameters but those whose name is, or starts with, one of ``prefixes``; without prefixes none is frozen.

    Prefixes match whole parts of a name: ``layer4`` does not match ``layer40.weight``.

    Raises:
        UserError: no parameter has the prefix, or all that have it are frozen already, so that it has no effect.
    """
    if not prefixes:
        return
    names = [name for name, _ in model.named_parameters()]
    for prefix in prefixes:
        if not any(_under(name, prefix) for name in names):
            parts = {name.rsplit(".", count)[0] for name in names for count in range(name.count(".") + 1)}
            raise UserError(f"training.trainable: no parameter's name starts with {prefix!r}{nearest(prefix, sorted(parts))}")
        if not any(parameter.requires_grad for name, parameter in model.named_parameters() if _under(name, prefix)):
            raise UserError(
                f"training.trainable: {prefix!r} has no effect, as all of it is frozen (by the method, or by "
                "training.backbone_learning_rate 0): leave it out"
            )
    for name, parameter in model.named_parameters():
        if not any(_under(name, prefix) for prefix in prefixes):
            parameter.requires_grad_(False)


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def frozen_parts_to_eval(module: nn.Module) -> None:
    """Put each module whose parameters are all frozen into evaluation mode: batch-norm statistics stay fixed too."""
    parameters = list(module.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        module.eval()
        return
    for child in module.children():
        frozen_parts_to_eval(child)
