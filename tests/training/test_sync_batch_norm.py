"""Batch norm over two processes computes what one process computes on the pictures of both."""

import timm
import torch
from torch import distributed, nn

from ctran.training.sync_batch_norm import SyncBatchNorm
from tests.training.forked import in_processes


def network():
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=3).train()


def train(model, images, target, world=1):
    """Six steps; the gradients of the first, and all weights and statistics at the end."""
    optimizer, first = torch.optim.SGD(model.parameters(), lr=0.05), []
    for _ in range(6):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(images), target, reduction="sum") / 24
        (loss * world).backward()
        for parameter in model.parameters() if world > 1 else ():
            distributed.all_reduce(parameter.grad)
            parameter.grad /= world  # as DistributedDataParallel
        first = first or [parameter.grad.clone() for parameter in model.parameters()]
        optimizer.step()
    return first, list(model.state_dict().values())


def test_two_processes_train_a_network_as_one_with_their_pictures(tmp_path):
    generator = torch.Generator().manual_seed(1)
    images, target = torch.randn(8, 3, 64, 64, generator=generator), torch.rand(8, 3, generator=generator)

    def half(rank):
        place = f"file://{tmp_path / 'meet'}"
        distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=2)
        model = SyncBatchNorm().apply(network())
        found = train(model, images[rank::2], target[rank::2], world=2)
        if rank == 0:
            torch.save(found, tmp_path / "found.pt")
        distributed.barrier()

    statuses, printed = in_processes(2, tmp_path, half)
    assert statuses == [0, 0], printed
    two, one = torch.load(tmp_path / "found.pt", weights_only=True), train(network(), images, target)
    for ours, theirs in zip(two, one, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert torch.allclose(a, b, rtol=0, atol=1e-5)
