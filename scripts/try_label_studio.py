"""Try docs/label-studio.md against a Label Studio and a `ctran serve models/openclipart` that run: every step, and what comes of it.

    LABEL_STUDIO_API_KEY=... .venv/bin/python scripts/try_label_studio.py --label-studio http://localhost:8080 \\
        --server http://localhost:8000 [--token TOKEN] [--picture docs/images/label-studio.png --login me@example.com:PASSWORD]

A project is made, and deleted again at the end.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import httpx

from ctran.data.sources import openclipart
from ctran.data.table import SampleTable
from ctran.serving.task_pictures import Account

CONFIG = """<View>
  <Image name="image" value="$image" maxWidth="380px"/>
  <Header value="In the picture"/>
  <Choices name="tags" toName="image" choice="multiple" layout="inline">
    <Choice value="flag"/> <Choice value="africa"/> <Choice value="map"/> <Choice value="Stars" predicted_values="star"/>
    <Choice value="sign"/> <Choice value="animal"/>
  </Choices>
  <Header value="Surely not"/>
  <Choices name="not" toName="image" choice="multiple" layout="inline" model_state="absent">
    <Choice value="flag"/> <Choice value="africa"/> <Choice value="map"/> <Choice value="Stars" predicted_values="star"/>
    <Choice value="sign"/> <Choice value="animal"/>
  </Choices>
</View>"""
FOREIGN = '<View><Image name="i" value="$i"/><Choices name="c" toName="i"><Choice value="of no model"/></Choices></View>'
FLAG = Path(__file__).parents[1] / "docs" / "images" / "flag.png"


class LabelStudio:
    """The calls of its API that are needed."""

    def __init__(self, address: str, key: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=60, auth=Account(key, httpx.URL(f"{address}/api/token/refresh/")))

    def call(self, method: str, path: str, expected: int = 200, **content: Any) -> Any:
        answer = self.http.request(method, path, **content)
        assert answer.status_code == expected, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def project(self, config: str) -> int:
        return self.call("POST", "/api/projects", 201, json={"title": "ctran", "label_config": config})["id"]

    def act(self, action: str, project: int) -> None:
        self.call(
            "POST", f"/api/dm/actions?id={action}&project={project}", json={"selectedItems": {"all": True, "excluded": []}}
        )

    def predictions(self, project: int) -> dict[int, dict[str, Any]]:
        found = self.call("GET", "/api/predictions", params={"project": project})
        return {each["task"]: each for each in found}


def ticks(answer: dict[str, Any]) -> dict[str, list[str]]:
    return {result["from_name"]: result["value"]["choices"] for result in answer["result"]}


def said(name: str, *choices: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": list(choices)}}


def try_out(studio: LabelStudio, project: int, server: str, token: str | None, table: SampleTable) -> int:
    """All steps; number of the task that has a prediction given ticks."""
    files = {"flag.png": FLAG.read_bytes(), **{f"{table.ids[n]}.png": table.content(n) for n in range(4)}}
    for name, content in files.items():
        studio.call("POST", f"/api/projects/{project}/import", 201, files={name: (name, content)})
    model: dict[str, Any] = {"url": server, "project": project, "title": "ctran", "is_interactive": True}
    if token:
        wrong = {"auth_method": "BASIC_AUTH", "basic_auth_user": "ctran", "basic_auth_pass": "wrong"}
        refused = studio.call("POST", "/api/ml", 400, json=model | wrong)
        print("a wrong token:", str(refused["validation_errors"])[:100])
        model |= {"auth_method": "BASIC_AUTH", "basic_auth_user": "ctran", "basic_auth_pass": token}
    connected = studio.call("POST", "/api/ml", 201, json=model)
    assert connected["readable_state"] == "Connected", connected
    print("connected to", connected["model_version"])
    tasks = [each["id"] for each in studio.call("GET", "/api/tasks", params={"project": project})["tasks"]]

    studio.act("retrieve_tasks_predictions", project)
    before = studio.predictions(project)
    assert sorted(before) == sorted(tasks) and all(0 <= each["score"] <= 1 for each in before.values())
    task = min(tasks)
    print("told nothing:", ticks(before[task]), f"score {before[task]['score']:.3f}")
    assert "flag" in ticks(before[task])["tags"]

    told = [said("tags", "flag", "Stars"), said("not", "africa")]
    studio.call("POST", f"/api/tasks/{task}/annotations/", 201, json={"result": told})
    studio.act("delete_tasks_predictions", project)
    studio.act("retrieve_tasks_predictions", project)
    after = studio.predictions(project)
    print("told that it has stars and is not of africa:", ticks(after[task]), f"score {after[task]['score']:.3f}")
    assert ticks(after[task])["not"] == ["africa"] and {"flag", "Stars"} <= set(ticks(after[task])["tags"])
    assert "africa" not in ticks(after[task])["tags"] and after[task]["score"] > before[task]["score"]
    others = [(before[t]["result"], after[t]["result"]) for t in tasks if t != task]
    assert all(one == two for one, two in others), "a picture of which nothing was said is answered as before"

    body = {"task": max(tasks), "context": {"result": told}}
    now = studio.call("POST", f"/api/ml/{connected['id']}/interactive-annotating", json=body)
    assert ticks(now["data"])["not"] == ["africa"], now
    print("ticks that are not saved yet:", ticks(now["data"]))

    other = studio.project(FOREIGN)
    refused = studio.call("POST", "/api/ml", 400, json=model | {"project": other})
    print("a project of other labels:", str(refused["validation_errors"])[:120])
    studio.call("DELETE", f"/api/projects/{other}", 204)
    return task


def photograph(address: str, login: str, project: int, task: int, path: Path) -> None:
    """The labelling page with the model's prediction."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 760})
        page.goto(f"{address}/user/login/")
        user, _, password = login.partition(":")
        page.fill("input[name=email]", user)
        page.fill("input[name=password]", password)
        page.click("button[type=submit]")
        page.wait_for_function("!location.pathname.includes('login')")
        page.goto(f"{address}/projects/{project}/data?task={task}")
        page.get_by_text("openclip", exact=False).first.click()
        page.get_by_text("In the picture").wait_for()
        page.mouse.move(800, 640)  # off the tab, which explains itself
        page.wait_for_timeout(1000)
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--label-studio", default="http://localhost:8080")
    parser.add_argument("--server", default="http://localhost:8000")
    parser.add_argument("--token", help="of the server")
    parser.add_argument("--picture", type=Path, help="where a picture of the labelling page goes")
    parser.add_argument("--login", help="EMAIL:PASSWORD, for the picture")
    options = parser.parse_args()
    studio = LabelStudio(options.label_studio, os.environ["LABEL_STUDIO_API_KEY"])
    project = studio.project(CONFIG)
    try:
        task = try_out(studio, project, options.server, options.token, openclipart.build(openclipart.Config())["test"])
        if options.picture:
            photograph(options.label_studio, options.login, project, task, options.picture)
    finally:
        studio.call("DELETE", f"/api/projects/{project}", 204)
    print("all as docs/label-studio.md says")


if __name__ == "__main__":
    main()
