"""COCO 2014's captions in small, with a WordNet of a few entries and stop words where NLTK's downloader puts them."""

import json
import random
from pathlib import Path

from tests.data.miniatures import coco80

MISSING = ("annotations/captions_train2014.json", "annotations/captions_val2014.json", "train2014", "val2014")
SIZES = {"train2014": 14, "val2014": 12}
THINGS = {
    "dogs": "dog",
    "Dog": "dog",
    "bus": "bus",
    "buses": "bus",
    "man": "man",
    "men": "men",
    "children": "child",
    "knives": "knife",
    "wolves": "wolf",
    "boxes": "box",
    "cities": "city",
    "benches": "bench",
    "brushes": "brush",
    "women": "woman",
    "glasses": "glass",
}
"""Nouns as they stand in captions, and the shortest WordNet noun that each is a form of ("men" is one itself)."""
OTHERS = {
    "A": "a",
    "the": "the",
    "is": "is",
    "has": "ha",
    "was": "wa",
    "running": "running",
    "red": "red",
    "two": "two",
    "near": "near",
}
"""Other words; "has" and "was" have nouns as lemmas that they are no form of, which the published vocabulary has too."""
STOP_WORDS = ["a", "the", "is", "was", "has", "near"]
NOUNS = sorted({*THINGS.values(), "ha", "wa", "red", "two", "running"})
IRREGULAR = {"children": "child", "men": "man", "knives": "knife", "wolves": "wolf"}


def plan(half: str) -> dict[int, list[list[str]]]:
    """Picture number -> five captions as lists of words and marks. A caption may have two sentences."""
    chance = random.Random(half + "captions")

    def sentence() -> list[str]:
        words = [*chance.sample([*OTHERS], 3), *chance.choices([*THINGS], weights=range(len(THINGS), 0, -1), k=2)]
        chance.shuffle(words)
        return [*words, chance.choice(".!")]

    numbers = chance.sample(range(1, 580_000), SIZES[half])
    return {n: [sentence() + (sentence() if chance.random() < 0.3 else []) for _ in range(5)] for n in numbers}


def lemma(word: str) -> str:
    return THINGS.get(word) or OTHERS.get(word) or word


def text(words: list[str]) -> str:
    """A caption as people write it: no white space before a mark."""
    return " ".join(words).replace(" .", ".").replace(" !", "!")


def write_wordnet(folder: Path) -> None:
    """All files that NLTK's own reader of WordNet opens at the start, in the format of WordNet 3.0."""
    folder.mkdir(parents=True)
    licence = "  1 This stand-in has the format of WordNet 3.0 Copyright 2006 by Princeton University.  \n"
    kinds = {"noun": ("n", NOUNS), "verb": ("v", ["run", "dogs"]), "adj": ("a", ["red", "boxes"]), "adv": ("r", ["near"])}
    for kind, (letter, words) in kinds.items():
        entries = [f"{word} {letter} 1 1 @ 1 0 {1000 + n:08}  \n" for n, word in enumerate(words)]
        (folder / f"index.{kind}").write_text(licence + "".join(entries))
        irregular = IRREGULAR if kind == "noun" else {}
        (folder / f"{kind}.exc").write_text("".join(f"{form} {base}\n" for form, base in irregular.items()))
    (folder / "data.adj").write_text(licence + "00001000 00 a 01 red 0 000 | of the colour of blood  \n")
    (folder / "lexnames").write_text("00\tadj.all\t3\n01\tadj.pert\t3\n")


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    for half in SIZES:
        (root / half).mkdir(parents=True)
        images, annotations = [], []
        for number, captions in plan(half).items():
            coco80.draw(root / half / coco80.file_name(half, number), [number % 90, 40], [10, 14])
            images.append(coco80.picture_entry(half, number))
            for words in captions:
                annotations.append({"image_id": number, "id": len(annotations) + 1, "caption": text(words)})
        random.Random(0).shuffle(annotations)
        content = {"info": {"year": 2014}, "images": images, "licenses": [], "annotations": annotations}
        path = root / "annotations" / f"captions_{half}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    corpora = root / "nltk_data" / "corpora"
    write_wordnet(corpora / "wordnet")
    (corpora / "stopwords").mkdir()
    stop_words = corpora / "stopwords" / "english"
    stop_words.write_text("\n".join(STOP_WORDS) + "\n")
    sizes = {"words": 12, "val": 4, "test": 5}
    return {"check_counts": False, "wordnet": corpora / "wordnet", "stopwords": stop_words, **sizes}


def break_record(root: Path) -> str:
    path = root / "annotations" / "captions_train2014.json"
    content = json.loads(path.read_text())
    del content["annotations"][3]["caption"]
    path.write_text(json.dumps(content))
    return r"captions_train2014.json.*missing required field `caption` - at `\$.annotations\[3\]`"
