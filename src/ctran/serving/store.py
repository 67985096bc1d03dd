"""Encoded pictures: a bounded cache of their features."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ctran.inference.predictor import Predictor
from ctran.inference.session import Session


class ForgottenError(KeyError):
    """No picture of this id: never sent, or dropped from the cache."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class CachedPicture:
    """One encoded picture.

    Args:
        session: about it, without known labels; None after the model was replaced, until the picture is used again.
        content: the file as it was sent.
        name: given by its sender.
        file_name: in the folder of annotations; None for a picture that is not from there.
        base: its annotation when this client opened or last saved it, to which the changes are relative; None for none.
    """

    session: Session | None
    content: bytes
    name: str
    file_name: str | None = None
    base: Mapping[str, bool] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory."""
        encoded = 0 if self.session is None else self.session.features.nbytes + self.session.square.nbytes
        return encoded + len(self.content)


class Store:
    """Encoded pictures by id; beyond the budget the least recently used are dropped. Thread-safe.

    Args:
        budget: bytes; the latest picture stays whatever its size.
    """

    def __init__(self, budget: int) -> None:
        self.budget, self.nbytes = budget, 0
        self._pictures: OrderedDict[str, CachedPicture] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, cached: CachedPicture) -> str:
        """Keep an encoded picture; returns an id that cannot be guessed (128 random bits)."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._put(name, cached)
        return name

    def set_session(self, name: str, session: Session) -> None:
        """Features of another model for a picture; no effect where the picture was dropped meanwhile."""
        with self._lock:
            if name in self._pictures:
                self._put(name, replace(self._pictures[name], session=session))

    def drop_sessions(self, of: Predictor | None = None) -> None:
        """Keep the files of pictures alone, without features: of those that this model has encoded, or of all."""
        with self._lock:
            for name, cached in self._pictures.items():
                if cached.session is not None and (of is None or cached.session.predictor is of):
                    self._pictures[name] = replace(cached, session=None)
            self.nbytes = sum(cached.nbytes for cached in self._pictures.values())

    def _put(self, name: str, cached: CachedPicture) -> None:
        """Keep a picture as the one used last, and drop those used least recently beyond the budget."""
        old = self._pictures.pop(name, None)
        self._pictures[name] = cached
        self.nbytes += cached.nbytes - (0 if old is None else old.nbytes)
        while self.nbytes > self.budget and len(self._pictures) > 1:
            _, dropped = self._pictures.popitem(last=False)
            self.nbytes -= dropped.nbytes

    def rebase(self, name: str, base: Mapping[str, bool]) -> None:
        """Make this client's later changes relative to ``base``; no effect where the picture was dropped meanwhile."""
        with self._lock:
            if name in self._pictures:
                self._pictures[name] = replace(self._pictures[name], base=base)

    def __getitem__(self, name: str) -> CachedPicture:
        """The picture of this id; it is now the one used last.

        Raises:
            ForgottenError: there is none.
        """
        with self._lock:
            if name not in self._pictures:
                raise ForgottenError(f"no picture {name!r}: never sent, or removed from the cache; send it again")
            self._pictures.move_to_end(name)
            return self._pictures[name]
