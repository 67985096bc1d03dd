"""``python -m tests.documents PAGE FOLDER``: do what the blocks of a page say, in order, in an empty folder.

A process for each page: exports load other runtimes, after which starting a program from the same process has crashed.
"""

import os
import sys
import time
from pathlib import Path

import httpx
import torch

from tests.documents.blocks import ROOT, blocks_of
from tests.documents.reader import Reader, shipped_run
from tests.documents.stages import stage_of


def annotate_all(address: str) -> None:
    """A person who labels every picture of the folder: two labels, by turns there and absent."""
    with httpx.Client(base_url=address, timeout=60) as client:
        assert client.get("/").status_code == 200
        if client.get("/v1/folder").status_code == 200:
            label_and_learn(client)
            return
        names = client.get("/v1/model").json()
        for number in range(names["gallery"]):
            opened = client.post(f"/v1/gallery/{number}").json()
            known = {name: (number + place) % 2 == 0 for place, name in enumerate(names["labels"][:4])}
            if names["saves"]:
                assert client.post(f"/v1/images/{opened['id']}/save", json={"known": known}).status_code == 200


def label_and_learn(client: httpx.Client) -> None:
    """A person who labels every picture of a folder without a model, and learns one."""
    total = client.get("/v1/folder").json()["pictures"]
    edits = [{"picture": n, "change": {"red": n % 2 == 0, "blue": n % 3 == 0}} for n in range(total)]
    assert client.post("/v1/folder/annotate", json={"window": "reader", "edits": edits}).status_code == 200
    assert client.post("/v1/folder/learn").status_code == 202
    while (learning := client.get("/v1/folder").json()["learning"])["state"] == "running":
        time.sleep(0.2)
    assert learning["state"] == "done", learning["text"]


def read(page: str, folder: Path) -> None:
    """All blocks of ``page``; what of the checkout it names is in ``folder`` then."""
    (folder / "docs").symlink_to(ROOT / "docs")
    os.chdir(folder)
    shipped_run("models/openclipart")
    reader = Reader(annotate_all, stage_of(page)())
    blocks = [block for block in blocks_of(page) if block.language != "text"]
    for block in blocks:
        print(f"--- {block.where}", flush=True)
        reader.do(block)
    assert reader.ran == [block.where for block in blocks]


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    read(sys.argv[1], Path(sys.argv[2]))
