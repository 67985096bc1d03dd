"""What the endpoints share: the model, the encoded pictures, and how responses are written."""

import io
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request, Response
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from ctran.images.reading import open_image, open_pixels, pixels_in
from ctran.inference.prediction import Prediction
from ctran.inference.predictor import Predictor
from ctran.inference.session import Session
from ctran.serving.annotations import Annotations
from ctran.serving.budget import Budget
from ctran.serving.gallery import Gallery
from ctran.serving.metrics import Metrics
from ctran.serving.models import Models, ServedModel, pinned
from ctran.serving.people import People
from ctran.serving.settings import Settings
from ctran.serving.store import CachedPicture, Store
from ctran.serving.task_pictures import TaskPictures

LOCAL = {"Cache-Control": "no-store"}


class Opened(NamedTuple):
    """A cached picture as a request uses it.

    Args:
        session: of the request's model, without known labels.
        content, name, file_name: as of :class:`CachedPicture`.
        base: labels of the model that were saved when this client opened or last saved the picture; None for none.
    """

    session: Session
    content: bytes
    name: str
    file_name: str | None
    base: Mapping[str, bool] | None


def _annotated(model: ServedModel, content: bytes, name: str, file_name: str | None) -> Mapping[str, bool] | None:
    """The annotation of a picture as saved now; None where there is none."""
    if model.annotations is None or not (saved := model.annotations.saved()):
        return None
    found = file_name or model.annotations.name_of(name, content)
    return model.annotations.known(found) if found in saved else None


class State:
    """What the endpoints share.

    Args:
        predictor: the model at the start.
        gallery: pictures to start with.
        annotations: where annotations are saved; None saves none.
        version: of that model.
    """

    def __init__(
        self,
        predictor: Predictor,
        settings: Settings,
        gallery: Gallery,
        annotations: Annotations | None = None,
        version: str = "ctran",
    ) -> None:
        self.settings, self.gallery = settings, gallery
        self.pictures = TaskPictures(
            settings.label_studio, settings.label_studio_key, settings.pictures_from, max_bytes=settings.max_bytes
        )
        self.decoding = Budget(settings.max_pixels)
        self.store = Store(settings.cache_bytes)
        self.metrics = Metrics(self.store)
        self.people = People()

        def observe(kind: str, calls: int) -> None:
            self.metrics.batches.labels(kind).observe(calls)

        self.models = Models(predictor, annotations, version, observe)

    def close(self) -> None:
        """Finish the calls that wait, then refuse."""
        self.pictures.close()
        self.models.close()

    def replace(self, predictor: Predictor, version: str) -> ServedModel:
        """Make this the model of later requests; pictures in memory keep their ids, and are encoded again when they are used.

        Returns:
            The model before.
        """
        old = self.models.replace(predictor, version)
        self.store.drop_sessions()
        return old

    def keep(self, model: ServedModel, content: bytes, name: str, file_name: str | None = None) -> tuple[str, Opened]:
        """Encode a picture and cache its features; ``file_name`` where the picture is in the folder of annotations."""
        session, base = self._session(model, content, name), _annotated(model, content, name, file_name)
        image = self.store.add(CachedPicture(session, content, name, file_name, base))
        self._drop_if_replaced(model)
        return image, Opened(session, content, name, file_name, base)

    def opened(self, model: ServedModel, image: str) -> Opened:
        """A cached picture for this model: encoded again where it was encoded by another one.

        Raises:
            ForgottenError: it is not in memory.
        """
        cached = self.store[image]
        session, base = cached.session, cached.base
        if session is None or session.predictor is not model.predictor:
            session = self._session(model, cached.content, cached.name)
            if model is self.models.current:
                self.store.set_session(image, session)
                self._drop_if_replaced(model)
        if base is not None:  # labels that another model had are not this one's to change
            base = {name: present for name, present in base.items() if name in model.predictor.labels.index_of}
        return Opened(session, cached.content, cached.name, cached.file_name, base)

    def _session(self, model: ServedModel, content: bytes, name: str) -> Session:
        return model.predictor.session_of(self.square(model, content, name), picture=partial(self.pixels, content, name))

    def _drop_if_replaced(self, model: ServedModel) -> None:
        """Keep no replaced model in memory because of a picture that was added while it was replaced."""
        if model is not self.models.current:
            self.store.drop_sessions(model.predictor)

    def square(self, model: ServedModel, content: bytes, name: str) -> Tensor:
        """The model's input from a picture; those decoded at once have no more pixels together than one may have."""
        with self.decoding.take(pixels_in(content)):
            return model.predictor.square(content, name=name, max_pixels=self.settings.max_pixels)

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


def model_of(request: Request) -> ServedModel:
    """The model of this request."""
    return pinned(request.scope)


ModelOf = Annotated[ServedModel, Depends(model_of)]


def opened_picture(image: str, state: StateOf, model: ModelOf) -> Opened:
    """The encoded picture of the id in the path."""
    return state.opened(model, image)


Cached = Annotated[Opened, Depends(opened_picture)]


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
