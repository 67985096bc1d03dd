"""What the endpoints share: one model, the encoded pictures, and how responses are written."""

import io
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from ctran.errors import UserError
from ctran.images.reading import open_image, open_pixels, pixels_in
from ctran.inference.prediction import Prediction
from ctran.inference.predictor import Predictor
from ctran.serving.annotations import Annotations
from ctran.serving.batching import BatchedPredictor
from ctran.serving.budget import Budget
from ctran.serving.gallery import Gallery
from ctran.serving.metrics import Metrics
from ctran.serving.people import People
from ctran.serving.settings import Settings
from ctran.serving.store import CachedPicture, Store
from ctran.serving.task_pictures import TaskPictures

LOCAL = {"Cache-Control": "no-store"}


class State:
    """What the endpoints share.

    Args:
        predictor: the model.
        gallery: pictures to start with.
        annotations: where annotations are saved; None saves none.
        version: of the model.
    """

    def __init__(
        self,
        predictor: Predictor,
        settings: Settings,
        gallery: Gallery,
        annotations: Annotations | None = None,
        version: str = "ctran",
    ) -> None:
        self.settings, self.gallery, self.annotations, self.version = settings, gallery, annotations, version
        self.pictures = TaskPictures(
            settings.label_studio, settings.label_studio_key, settings.pictures_from, max_bytes=settings.max_bytes
        )
        self.decoding = Budget(settings.max_pixels)
        self.store = Store(settings.cache_bytes)
        self.metrics = Metrics(self.store)
        self.people = People()
        self.predictor = BatchedPredictor(predictor, lambda kind, calls: self.metrics.batches.labels(kind).observe(calls))

    def close(self) -> None:
        """Finish the calls that wait, then refuse."""
        self.pictures.close()
        self.predictor.close()

    def keep(self, content: bytes, name: str, file_name: str | None = None) -> tuple[str, CachedPicture]:
        """Encode a picture and cache its features; ``file_name`` where the picture is in the folder of annotations."""
        session = self.predictor.session_of(self.square(content, name), picture=partial(self.pixels, content, name))
        cached = CachedPicture(session, content, name, file_name)
        cached = replace(cached, base=self.annotated(cached))
        return self.store.add(cached), cached

    def annotated(self, cached: CachedPicture) -> Mapping[str, bool] | None:
        """The annotation of a picture as saved now; None where there is none."""
        if self.annotations is None or not (saved := self.annotations.saved()):
            return None
        name = cached.file_name or self.annotations.name_of(cached.name, cached.content)
        return self.annotations.known(name) if name in saved else None

    def contradicts(self, known: Mapping[str, bool]) -> bool:
        """Whether these labels contradict each other."""
        try:
            self.predictor.labels.states(known)
        except UserError:
            return True
        return False

    def square(self, content: bytes, name: str) -> Tensor:
        """The model's input from a picture; those decoded at once have no more pixels together than one may have."""
        with self.decoding.take(pixels_in(content)):
            return self.predictor.square(content, name=name, max_pixels=self.settings.max_pixels)

    def pixels(self, content: bytes, name: str) -> UInt8[Tensor, "H W 3"]:
        """All pixels of a picture, with the same bound on those that are decoded at once."""
        with self.decoding.take(pixels_in(content)):
            return open_pixels(content, name=name, max_pixels=self.settings.max_pixels)

    def original(self, content: bytes, name: str, side: int) -> Image.Image:
        """A picture itself, its longer side at most ``side``."""
        with self.decoding.take(pixels_in(content)):
            picture = open_image(content, name=name)
            return picture if max(picture.size) <= side else ImageOps.contain(picture, (side, side))


def state_of(request: Request) -> State:
    """The state of the application."""
    return request.app.state.ctran


StateOf = Annotated[State, Depends(state_of)]


def cached_picture(image: str, state: StateOf) -> CachedPicture:
    """The encoded picture of the id in the path."""
    return state.store[image]


Cached = Annotated[CachedPicture, Depends(cached_picture)]


def prediction_json(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON."""
    return {"labels": prediction.labels, "probabilities": prediction.probabilities, "known": prediction.known}


def annotation_json(saved: Mapping[str, bool] | None) -> dict[str, Any]:
    """The annotation of a picture, as JSON."""
    return {"saved": saved is not None, "annotation": dict(saved or {})}


PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}, "image/png": {}}}}


def png(image: Image.Image) -> Response:
    """A picture as a PNG response."""
    return _file(image, "PNG", compress_level=3)


def jpeg(image: Image.Image) -> Response:
    """A picture as a JPEG response."""
    return _file(image, "JPEG", quality=90)


def _file(image: Image.Image, form: str, **options: int) -> Response:
    file = io.BytesIO()
    image.save(file, form, **options)
    return Response(file.getvalue(), media_type=f"image/{form.lower()}", headers=LOCAL)
