"""Image features of a frozen backbone on disk (``training.feature_views``): computed once, or found."""

import dataclasses
import hashlib
import inspect
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock
from jaxtyping import Float
from torch import Tensor, nn

from ctran.data.cache_folder import default_root, key_of
from ctran.data.checked import digests
from ctran.data.feature_cache import LAYOUT, FeatureCache, is_finished
from ctran.data.feature_cache_parts import Make
from ctran.data.loading import PictureSet
from ctran.data.picture_features import PictureFeatures, path_of
from ctran.data.table import SampleTable
from ctran.devices import fast_in_bfloat16
from ctran.images.transforms import Augmentation, Preprocessing
from ctran.model import Features, Method
from ctran.progress import bar
from ctran.training.group import ALONE, Group
from ctran.training.shared_features import computed_together

WORTH_COMPILING = 20_000
"""Images from which compiling the backbone saves time: EfficientNet-lite0 at 224 px on two cores takes 37 s to compile and is
1.6 times as fast (10.6 -> 6.7 ms an image; five interleaved batches of 64)."""

Lookup = Callable[[list[int]], Features | None]
"""Numbers of pictures to their features, where those of all are there."""


def compiler() -> str | None:
    """Path of a C++ compiler, which ``torch.compile`` needs on CPU; None where there is none."""
    return next((path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))), None)


def cached_features(
    model: Method,
    data: PictureSet,
    views: int,
    name: str,
    key: dict[str, object],
    device: torch.device,
    group: Group = ALONE,
) -> FeatureCache:
    """Image features of ``views`` views of each picture, from disk or computed now. View 0 is the test transform; it is taken
    from :mod:`ctran.data.picture_features` where it is there.

    From :data:`WORTH_COMPILING` pictures on, where there is a C++ compiler, the backbone is compiled first. It computes in
    bfloat16 if that is faster on the device: without AVX-512, a processor takes twelve times as long as in float32.

    Args:
        key: what the tokens depend on beside the pictures and their views.
        device: where the tokens are computed; the model is moved back afterwards.
        group: processes that share the work; all must call it.
    """
    plain = data.without_augmentation()
    total = views * len(data)
    worth = total >= WORTH_COMPILING and compiler() is not None
    network = torch.compile(model.backbone) if worth else model.backbone

    def make(view: int, numbers: list[int], encoded_before: Lookup) -> Features:
        if not view and (found := encoded_before(numbers)) is not None:
            return found
        source = data if view else plain
        return encoded(model, torch.stack([source.image(i, view) for i in numbers]), device, network)

    with on_device(model.backbone, device), torch.inference_mode():
        probe = model.stored(model.encode_images(plain.image(0, 0)[None].to(device)))
    own = key_of_pictures(model, data.preprocessing, probe, device, compiled=worth)
    key = key | {"data": data.table.fingerprint, "views": views, "split": name, "precision": own["precision"], "layout": LAYOUT}
    if views > 1:  # the others are augmented
        key["seed"] = data.seed
    arrays = shapes_of(probe)
    key |= {"arrays": arrays, "grid": probe.grid}
    folder = default_root() / "features" / key_of(key)
    given = (folder, (views, len(data)), arrays, probe.grid, key)
    if (
        group.gather(f"{name} features are there", f"{folder.name} {is_finished(folder, total)}")
        == [f"{folder.name} True"] * group.world
    ):  # also in a shared folder that this user may not write
        return FeatureCache(*given)

    @contextmanager
    def computing(rows: int) -> Iterator[tuple[Make, Callable[[int], None]]]:
        shown = bar(f"image features of {name} ({views} x {len(data)})", rows)
        before = encoded_pictures(path_of(own), probe, data.table)
        with on_device(model.backbone, device), shown as advance, before as lookup:
            yield (lambda view, numbers: make(view, numbers, lookup)), advance

    if group.world > 1:
        return computed_together(folder, given, group, computing)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        cache = FeatureCache(*given)
        if cache.done < total:
            with computing(total) as (compute, advance):
                cache.build(compute, advance)
    return cache


@contextmanager
def encoded_pictures(path: Path, probe: Features, table: SampleTable) -> Iterator[Lookup]:
    """Features of pictures of a table that were encoded one by one (:mod:`ctran.data.picture_features`), by row number."""
    if not path.exists() or not table.plainly_read:
        yield lambda numbers: None
        return
    found, names = PictureFeatures(path, shapes_of(probe), probe.grid), digests(table)
    try:
        yield lambda numbers: found.read([names[i] for i in numbers])
    finally:
        found.close()


@torch.inference_mode()
def encoded(
    model: Method, images: Float[Tensor, "B 3 H W"], device: torch.device, network: Callable[..., Features]
) -> Features:
    """What a cache keeps of images (:meth:`ctran.model.Method.stored`), computed in bfloat16 if that is faster.

    Args:
        network: the model's backbone, or a compiled one.
    """
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast_in_bfloat16(device)):
        features = network(images.to(device).contiguous(memory_format=torch.channels_last))
    return model.stored(features.each(Tensor.float))


def shapes_of(features: Features) -> dict[str, tuple[int, ...]]:
    """Shape of one picture's entry in each array."""
    return {name: tuple(tensor.shape[1:]) for name, tensor in features.arrays.items()}


def key_of_pictures(
    model: Method, prepared: Preprocessing, probe: Features, device: torch.device, *, compiled: bool = False
) -> dict[str, object]:
    """What the features of a picture depend on beside its file.

    Args:
        probe: features of any picture, for the shapes.
    """
    key = key_of_features(model, prepared, "none")
    del key["augmentation"]
    precision = f"{device.type} {'bf16' if fast_in_bfloat16(device) else 'float32'}{' compiled' if compiled else ''}"
    return key | {"precision": precision, "layout": LAYOUT, "arrays": shapes_of(probe), "grid": probe.grid}


@contextmanager
def on_device(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Context in which the module is on ``device``; it is moved back afterwards."""
    before = next(module.parameters()).device
    try:
        module.to(device)
        yield
    finally:
        module.to(before)


def source_digest(function: Callable[..., object]) -> str:
    """Name of a function, and digest of the file that defines it: two methods may keep different things under one name."""
    text = Path(inspect.getsourcefile(function) or "").read_bytes()
    return f"{function.__module__}.{function.__qualname__} {hashlib.sha256(text).hexdigest()}"


def weights_digest(module: nn.Module) -> str:
    """Digest of a module's tensors."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def key_of_features(model: Method, prepared: Preprocessing, augmentation: Augmentation) -> dict[str, object]:
    """What image features depend on beside the pictures and their views."""
    key: dict[str, object] = {
        "backbone": model.backbone.name,  # networks that compute different things can have the same tensors
        "weights": weights_digest(model.backbone),
        "transform": dataclasses.asdict(prepared),
        "augmentation": augmentation,
    }
    if type(model).stored is not Method.stored:
        key["stored"] = source_digest(type(model).stored)
    return key
