import sys

from ctran.model import networks


def test_functions_of_the_compiler_are_its_own_when_they_are_called():
    import torch._dynamo
    import torch._dynamo.utils

    assert networks._is_compile_supported("cpu") == torch._dynamo.utils.is_compile_supported("cpu")
    assert "roi_align" in sys.modules["torchvision.ops.roi_align"].__name__

    @networks._disable
    def double(number: float) -> float:
        return 2 * number

    @networks._disable(recursive=False)
    def triple(number: float) -> float:
        return 3 * number

    assert (double(2.0), triple(2.0), double.__name__) == (4.0, 6.0, "double")
    compiled = torch.compile(lambda number: double(number) + 1, backend="eager")
    assert compiled(2.0) == 5.0


def test_the_compiler_is_not_replaced_where_it_is_imported_already():
    import torch._dynamo

    with networks.without_compiler():
        assert sys.modules["torch._dynamo"] is torch._dynamo and hasattr(torch._dynamo, "optimize")


def test_stand_ins_are_gone_after_the_import():
    assert "torch._dynamo" not in sys.modules or hasattr(sys.modules["torch._dynamo"], "optimize")
    assert networks.timm.is_model("resnet18")
