"""Image features that the processes of a training compute together: each of its own part."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from filelock import FileLock

from ctran.data.feature_cache import CHUNK, FeatureCache
from ctran.data.feature_cache_parts import Make, build_blocks, finish, missing_blocks
from ctran.errors import UserError
from ctran.training.group import Group


def computed_together(
    folder: Path,
    given: tuple[Any, ...],
    group: Group,
    computing: Callable[[int], AbstractContextManager[tuple[Make, Callable[[int], None]]]],
) -> FeatureCache:
    """The cache of several processes, of which each computes its share of the missing blocks.

    Args:
        given: arguments of :class:`~ctran.data.feature_cache.FeatureCache`.
        computing: number of rows -> context with what computes features, and what shows that rows are done.

    Raises:
        UserError: the processes do not have the same cache folder, or would compute other features.
    """
    with ExitStack() as stack:
        if not group.rank:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / "lock"))
            FeatureCache(*given)
        group.barrier("feature cache is created")
        seen = group.gather("feature cache", f"{folder.name} {(folder / 'key.json').exists()}")
        if len({each.split()[0] for each in seen}) > 1:
            raise UserError("training.feature_views: the devices compute image features differently: use devices of one kind")
        if apart := [rank for rank, each in enumerate(seen) if not each.endswith("True")]:
            raise UserError(
                f"training.feature_views: process {apart[0]} does not see the cache folder of process 0, {folder}: with "
                "several nodes CTRAN_CACHE must name a folder that all machines share"
            )
        cache = FeatureCache(*given)
        missing = missing_blocks(cache)
        group.barrier("feature blocks are shared out")  # all have read the records before one is written
        mine = missing[group.rank :: group.world]
        with computing(min(len(mine) * CHUNK, math.prod(cache.rows))) as (compute, advance):
            build_blocks(cache, mine, group.rank, compute, advance)
        group.barrier("features are computed")
        if not group.rank and missing:
            finish(cache)
        group.barrier("features are checked")
    return FeatureCache(*given)
