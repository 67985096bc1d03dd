"""What the endpoints of a folder share."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from fastapi import HTTPException

from ctran.data.cache_folder import default_root
from ctran.files import write_bytes
from ctran.images.reading import BrokenImageError
from ctran.labelling.encoding import Encoder
from ctran.labelling.studio import Studio
from ctran.serving import response_bodies
from ctran.serving.budget import Budget
from ctran.serving.gallery import small_jpeg
from ctran.serving.metrics import Metrics
from ctran.serving.settings import Settings
from ctran.serving.store import Store

SMALL = 400
"""Longest side up to which pictures are kept on disk."""


class FolderState:
    """A studio behind HTTP.

    Args:
        studio: the folder, its features and its model.
    """

    def __init__(self, studio: Studio, settings: Settings) -> None:
        self.studio, self.settings = studio, settings
        self.decoding = Budget(settings.max_pixels)
        self.metrics = Metrics(Store(0))
        self._counted: tuple[int, tuple[dict[bool, Counter[str]], int]] = (-1, ({}, 0))
        self._numbers = {name: number for number, name in enumerate(studio.folder.pictures)}

    @property
    def encoder(self) -> Encoder:
        """The studio's encoder."""
        return self.studio.encoder

    def name(self, number: int) -> str:
        """Name of a picture."""
        names = self.studio.folder.pictures
        if not 0 <= number < len(names):
            raise HTTPException(404, f"the folder has {len(names)} pictures, there is no number {number}")
        return names[number]

    def number(self, name: str) -> int:
        """Number of a picture."""
        return self._numbers[name]

    def counts(self) -> tuple[dict[bool, Counter[str]], int]:
        """In how many pictures each label is present, and absent; and the number of annotated pictures."""
        if self._counted[0] != self.studio.folder.revision:
            revision, known = self.studio.folder.revision, self.studio.folder.all_known()
            pairs = Counter(pair for each in known.values() for pair in each.items())
            counts = {
                yes: Counter({name: n for (name, present), n in pairs.items() if present is yes}) for yes in (True, False)
            }
            self._counted = revision, (counts, len(known))
        return self._counted[1]

    def changed(self, names: Sequence[str] | None) -> response_bodies.Revision:
        """Labels of these pictures have changed; of all where None."""
        self.studio.touched(names)
        return response_bodies.Revision(revision=self.studio.folder.revision)

    def listed(self, number: int, name: str) -> response_bodies.FolderPicture:
        """A picture in the list of all."""
        known = self.studio.folder.known(name)
        return response_bodies.FolderPicture(
            number=number,
            name=name,
            known=len(known),
            present=sum(known.values()),
            broken=name in self.encoder.broken,
        )

    def predicted(self, number: int, name: str) -> response_bodies.FolderPrediction:
        """A picture with its labels."""
        known, predictions = self.studio.folder.known(name), self.studio.predictions
        found = None if predictions is None else predictions.predict(name, known)
        present = [label for label, yes in known.items() if yes]
        return response_bodies.FolderPrediction(
            number=number,
            name=name,
            known=known,
            probabilities={} if found is None else {n: p for n, p in found.probabilities.items() if n not in known},
            labels=present if found is None else list(dict.fromkeys([*present, *found.labels])),
            broken=self.encoder.broken.get(name, ""),
        )

    def grid(self, label: str) -> list[response_bodies.GridPicture]:
        """All pictures, the most probable for a label first."""
        known, predictions = self.studio.folder.all_known(), self.studio.predictions
        chances = {} if predictions is None else predictions.probabilities(label)
        found = [
            response_bodies.GridPicture(
                number=number, name=name, known=known.get(name, {}).get(label), probability=chances.get(name)
            )
            for number, name in enumerate(self.studio.folder.pictures)
        ]

        def place(each: response_bodies.GridPicture) -> float:
            return -(each.probability or 0.0) if each.known is None else -float(each.known)

        return sorted(found, key=place)

    def jpeg(self, name: str, side: int) -> bytes:
        """A picture as JPEG.

        Raises:
            BrokenImageError: the picture cannot be read.
        """
        path = self.studio.folder.folder / name
        try:
            stat = path.stat()
            stamp = f"{path.resolve()}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ino} {side}"
            kept = default_root() / "thumbnails" / f"{hashlib.sha256(stamp.encode()).hexdigest()[:32]}.jpg"
            if side <= SMALL and kept.is_file():
                return kept.read_bytes()
            content = path.read_bytes()
        except OSError as error:
            raise BrokenImageError(f"{name} cannot be read ({error.strerror})") from None
        small = small_jpeg(content, name, self.decoding, side)
        if side <= SMALL:
            try:
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(kept, small)
            except OSError:  # it is made again the next time
                pass
        return small
