"""A folder that is labelled while a model of it is trained: what the pages of a studio share."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from ctran.errors import UserError
from ctran.folders.tagger import Tagger
from ctran.labelling.encoding import Encoder
from ctran.labelling.folder import LabelledFolder
from ctran.labelling.learning import RECIPES, Learner
from ctran.labelling.predictions import Predictions
from ctran.labelling.suggest import Order, next_picture
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe

REST = 2.0
"""Seconds without a change after which the folder's files are written."""
AFTER = 10
"""Annotated pictures after which a model is trained by itself, where that is wanted; and a fifth of those there are."""


class Studio:
    """Pictures of a folder, their labels, their image features, and the model that is learnt from them.

    Args:
        folder: of the pictures.
        run: where the model goes.
        recipe: name or file of the recipe that is trained; its backbone must be frozen.
        flags: further flags of ``ctran train``, as ``["--seed", "1"]``.
        absent: what it means that an earlier row does not list a label.
        device: for the image features.
        warm: keep a process ready for the next training, which begins sooner then and takes some memory.
    """

    def __init__(
        self,
        folder: Path,
        run: Path,
        *,
        recipe: str = "quick",
        flags: Sequence[str] = (),
        absent: Literal["unknown", "negative"] = "unknown",
        device: str = "auto",
        warm: bool = False,
    ) -> None:
        self.learner = Learner(folder, run, recipe, flags, self._learnt)
        keys = [*RECIPES.get(recipe, ()), *flags, "--root", str(folder), "--absent", "unknown"]
        self.folder = LabelledFolder(folder, absent)
        try:
            self.encoder = Encoder(read_recipe(find_recipe(recipe), keys), folder, self.folder.pictures, device)
        except BaseException:
            self.folder.close()
            raise
        self.predictions: Predictions | None = None
        self._warm = warm
        self.problem = ""
        """Why the folder's files could not be written; empty where they could."""
        self.by_itself = False
        """Whether a model is trained whenever enough was annotated since the last time."""
        self._at_last, self._stop, self._changed = 0, threading.Event(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin to encode the pictures; a model that the last studio left is used at once."""
        if (self.learner.run / "model" / "config.json").is_file():
            with suppress(UserError, OSError):  # of other software, or damaged: it is learnt again
                self._learnt()
        self.encoder.start()
        self._keeper.start()

    def close(self) -> None:
        """Stop what runs, and write the folder's files; once is enough, more do nothing."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._changed.set()
        self.learner.close()
        if self._keeper.is_alive():
            self._keeper.join()
        self.encoder.close()
        self.folder.close()

    def touched(self, names: Sequence[str] | None = None) -> None:
        """Labels of these pictures have changed, of all by default."""
        if self.predictions is not None:
            self.predictions.forget(self.folder.pictures if names is None else names)
        if self._warm:
            self.learner.warm()
        self._changed.set()

    @property
    def annotated(self) -> int:
        """Pictures with a known label."""
        return len(self.folder.all_known())

    def learn(self) -> bool:
        """Begin to train on what is known now; False where a training runs.

        Raises:
            UserError: too little is known to learn from.
        """
        known = self.folder.all_known()
        if len(known) < 3:
            raise UserError(f"label at least 3 pictures first; {len(known)} have labels")
        both = [{n for labels in known.values() for n, yes in labels.items() if yes is present} for present in (True, False)]
        if not both[0] & both[1]:
            raise UserError(
                "no label is known to be present in one picture and absent in another, so there is nothing to learn yet: cross "
                "labels out where they are absent, or confirm pictures whose other labels are absent"
            )
        self._at_last = len(known)
        self.folder.flush()
        return self.learner.start()

    def next(self, order: Order, *, without: Sequence[str] = ()) -> str | None:
        """The picture to label next: of those without any label, then of those with some unknown label.

        Args:
            without: names of pictures that were seen just now.
        """
        known, total, left = self.folder.all_known(), len(self.folder.labels.names), set(without) | self.encoder.broken.keys()
        names = [name for name in self.folder.pictures if name not in left]
        fresh = [name for name in names if name not in known]
        open_ = fresh or [name for name in names if len(known[name]) < total]
        if self.predictions is None:
            unsure = dict[str, float]()
        else:
            self.predictions.of_all({name: known.get(name, {}) for name in open_[:64]}, self._stop.is_set)
            unsure = self.predictions.uncertainty(open_)
        return next_picture(order, open_, list(known), self.encoder.vectors, unsure)

    def _learnt(self) -> None:
        tagger = Tagger.load(self.learner.run, self.encoder.device)
        self.predictions = Predictions(tagger, self.encoder.features)
        self._changed.set()

    def _keep(self) -> None:
        """Write the folder's files at rest, and predict what is not predicted yet."""
        while not self._stop.is_set():
            changed = self._changed.wait(REST)
            if changed:
                self._changed.clear()
                if self._stop.wait(REST):
                    return
                if self._changed.is_set():
                    continue  # not at rest yet
            try:
                self.folder.flush()
                self.problem = ""
            except (UserError, OSError) as error:
                self.problem = f"the folder's files could not be written: {error}; nothing is lost, it is tried again"
            if self.by_itself and self.annotated - self._at_last >= max(AFTER, self._at_last // 5):
                with suppress(UserError, OSError):  # it is tried again later
                    self.learn()
            if self.predictions is not None:
                known = self.folder.all_known()
                rest = {name: known.get(name, {}) for name in self.encoder.vectors}
                self.predictions.of_all(rest, lambda: self._stop.is_set() or self._changed.is_set())
