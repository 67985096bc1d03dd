"""Lists of what is present that nobody completed (``data.absent: unlisted``): which losses and methods learn from them."""

from ctran import losses, registry
from ctran.data.table import DataError, SampleTable
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.model import Method
from ctran.training.recipe import Recipe
from ctran.training.unused import has_effect


def able() -> list[str]:
    """Names of the losses that learn from labels that are not listed."""
    found = ((name, module) for name, module in registry.each(losses) if not isinstance(module, UserError))
    return [name for name, module in found if module.build(module.Config()).uses_unknown]


def check_unlisted(recipe: Recipe, model: Method, labels: LabelSpace, train: SampleTable) -> None:
    """Refuse a loss, or a method with one of its own, that leaves out the labels that are not listed.

    A method that is fitted in one step counts them as absent.

    Raises:
        DataError: it names the losses that can learn from them.
    """
    if not train.unlisted or not model.needs_epochs:
        return
    name, module = recipe.training.loss, registry.find(losses, recipe.training.loss)
    if has_effect(recipe, model, labels, "training.loss"):
        if not module.build(recipe.loss).uses_unknown:
            raise DataError(
                f"training.loss {name} leaves labels that are not listed out (--absent unlisted), so nothing would be known to "
                f"be absent; choose one that counts them as probably absent: --training.loss {' | '.join(able())}"
            )
        return
    _, negative, positive = train.truth.counts()[:, labels.targets]
    if not ((negative > 0) & (positive > 0)).any():
        raise DataError(
            f"{model.title} has a loss of its own, which leaves labels that are not listed out (--absent unlisted); if they "
            "are absent give --absent negative, otherwise choose another method"
        )
