"""Methods that use inner maps, take gradients while they predict, or work on the grid: through training, server and export."""

import pytest
import torch

import ctran
from ctran.cli.main import main
from ctran.errors import UserError
from ctran.training.fit import fit
from ctran.training.pipeline import build_tagger, prepare
from tests.conftest import stirred
from tests.methods.test_statistics import recipe_of

pytestmark = pytest.mark.usefixtures("toys")


def test_inner_maps_cannot_be_cached_and_the_message_says_what_to_set(folder):
    frozen = ["--training.backbone_learning_rate", "0", "--training.feature_views", "1"]
    with pytest.raises(UserError, match=r"feature_views keeps image tokens alone; method inner_map .*: set it to 0"):
        prepare(recipe_of("inner_map", folder, *frozen))


def test_a_method_with_gradients_trains_validates_predicts_and_is_not_exported(folder, tmp_path, capsys):
    fit(recipe_of("feedback", folder, "--training.epochs", "1"), tmp_path / "run")
    tagger = stirred(ctran.load(tmp_path / "run", device="cpu"))
    session = tagger.look(folder / "00.png")
    before, after = session.predict().probabilities, session.tell({"red": True}).predict().probabilities
    assert any(abs(after[name] - before[name]) > 1e-6 for name in after)
    assert after == pytest.approx(tagger.predict(folder / "00.png", {"red": True}).probabilities, abs=1e-5)
    assert not any(p.grad is not None for p in tagger.model.parameters())
    capsys.readouterr()
    command = [
        "export",
        str(tmp_path / "run"),
        "--output",
        str(tmp_path / "out"),
        "--format",
        "torch",
        "--pictures",
        str(folder),
    ]
    assert main(command) == 1
    assert "feedback on test_resnet cannot be exported: it computes gradients while it predicts" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@torch.no_grad()
def test_steps_explain_the_known_labels_of_each_picture_by_itself(labels, folder, images):
    model = stirred(build_tagger(recipe_of("feedback", folder), labels)).model
    states = torch.tensor([[2, 0, 0, 0, 0, 0, 0], [0] * 7, [0, 1, 0, 0, 0, 0, 0]])
    plain, told = model(images, torch.zeros_like(states)), model(images, states)
    assert told[0, 0] > plain[0, 0] and told[2, 1] < plain[2, 1] and torch.equal(told[1], plain[1])
