"""The studio without a model: labels of a folder's pictures are made up on the way, and a model is learnt from them.

Every change names its window and what it was before; one that another window contradicts is a 409 that shows both.
"""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse

from ctran.labelling.folder import Edit
from ctran.labelling.studio import Studio
from ctran.serving import folder_bodies, response_bodies
from ctran.serving.api import application
from ctran.serving.folder_state import FolderState
from ctran.serving.settings import Settings
from ctran.serving.state import PICTURE
from ctran.serving.studio import SECURITY, STATIC
from ctran.version import __version__

router = APIRouter(prefix="/v1/folder", tags=["v1"])
page = APIRouter()
CONFLICT = {409: {"model": response_bodies.Conflicts, "description": "contradicts what another window has saved since"}}
NO_NUMBER = response_bodies.problems(_404="the folder has no picture of this number")


def create_folder_app(studio: Studio, settings: Settings | None = None) -> FastAPI:
    """The application of a folder; it starts the studio and closes it."""
    state = FolderState(studio, settings or Settings())
    routers = (router, page)
    app = application(state.settings, state.metrics, routers, start=studio.start, close=studio.close, description=__doc__ or "")
    app.state.folder = state
    return app


def _state(request: Request) -> FolderState:
    return request.app.state.folder


StateOf = Annotated[FolderState, Depends(_state)]


@page.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
def index() -> FileResponse:
    """The studio page."""
    return FileResponse(STATIC / "folder.html", headers={"Content-Security-Policy": SECURITY, "Cache-Control": "no-cache"})


@router.get("")
def about(state: StateOf, window: Annotated[str, Query(max_length=64)] = "") -> response_bodies.FolderAbout:
    """Labels and their rules, settings, and how far encoding and learning are."""
    studio, labels = state.studio, state.studio.folder.labels
    counts, annotated = state.counts()
    progress, predictions, encoder = studio.learner.progress, studio.predictions, state.encoder
    problems = [text for text in (studio.problem, encoder.problem) if text]
    return response_bodies.FolderAbout(
        ctran=__version__,
        folder=studio.folder.folder.resolve().name,
        revision=studio.folder.revision,
        labels=[response_bodies.LabelCount(name=n, present=counts[True][n], absent=counts[False][n]) for n in labels.names],
        groups={name: list(members) for name, members in labels.groups.items()},
        implications={child: list(parents) for child, parents in labels.implications.items()},
        others_absent=labels.others_absent,
        by_itself=studio.by_itself,
        pictures=len(studio.folder.pictures),
        annotated=annotated,
        encoded=encoder.done,
        model=None if predictions is None else list(predictions.labels.names),
        thresholds={} if predictions is None else predictions.thresholds,
        learning=response_bodies.Learning(
            state=progress.state,
            text=progress.text,
            seconds=progress.seconds,
            command=studio.learner.text,
            run=str(studio.learner.run),
        ),
        unsaved=studio.folder.unsaved,
        undo=studio.folder.last(window),
        notes=[*problems, *studio.folder.notes],
    )


@router.get("/pictures")
def pictures(
    state: StateOf, offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> list[response_bodies.FolderPicture]:
    """Pictures by number."""
    names = state.studio.folder.pictures[offset : offset + limit]
    return [state.listed(number, name) for number, name in enumerate(names, start=offset)]


@router.get("/pictures/{number}", responses=NO_NUMBER)
def picture(number: int, state: StateOf) -> response_bodies.FolderPrediction:
    """Known labels of a picture, and what the model predicts given them."""
    return state.predicted(number, state.name(number))


@router.get(
    "/pictures/{number}/file",
    response_class=Response,
    responses=PICTURE | NO_NUMBER | response_bodies.problems(_415="not a picture of a format that can be read"),
)
def file(number: int, state: StateOf, side: Annotated[int, Query(ge=16, le=4096)] = 1400) -> Response:
    """The picture as JPEG, its longer side at most ``side``; of small sides kept on disk."""
    content = state.jpeg(state.name(number), side)
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.post("/pictures/{number}/ask", responses=NO_NUMBER)
def ask(number: int, body: folder_bodies.QuestionBody, state: StateOf) -> list[response_bodies.AskedQuestion]:
    """The labels whose verification is expected to tell most; empty without a model, or before the picture is encoded."""
    name, predictions = state.name(number), state.studio.predictions
    found = [] if predictions is None else predictions.ask(name, state.studio.folder.known(name), body.k)
    return [response_bodies.AskedQuestion(name=q.name, labels=list(q.labels), score=q.score, cost=q.cost) for q in found]


@router.get("/grid")
def grid(
    state: StateOf,
    label: Annotated[str, Query(max_length=1000)],
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> list[response_bodies.GridPicture]:
    """All pictures by the probability of one label, the greatest first; known ones by what is known, in the same order."""
    return state.grid(label)[offset : offset + limit]


@router.post("/annotate", responses=CONFLICT | NO_NUMBER)
def annotate(body: folder_bodies.AnnotateBody, state: StateOf) -> response_bodies.Revision:
    """Change labels of pictures; new labels are added. Where another window contradicts one, nothing is changed: 409."""
    found = [Edit(state.name(edit.picture), edit.change, edit.base) for edit in body.edits]
    state.studio.folder.annotate(body.window, found)
    return state.changed([edit.picture for edit in found])


@router.post("/confirm", responses=NO_NUMBER)
def confirm(body: folder_bodies.ConfirmBody, state: StateOf) -> response_bodies.Revision:
    """All unknown labels of these pictures are absent."""
    names = [state.name(number) for number in body.pictures]
    state.studio.folder.confirm(body.window, names)
    return state.changed(names)


@router.post("/undo")
def undo(body: folder_bodies.Windowed, state: StateOf) -> response_bodies.Undone:
    """Take the last step of this window back; what others have changed since stays."""
    found = state.studio.folder.undo(body.window)
    state.changed(None)
    return response_bodies.Undone(title=found and found.title, kept=0 if found is None else found.kept)


@router.post("/labels/add")
def add_label(body: folder_bodies.LabelBody, state: StateOf) -> response_bodies.Revision:
    """A label that no picture has yet."""
    state.studio.folder.add_label(body.window, body.name)
    return state.changed([])


@router.post("/labels/rename")
def rename(body: folder_bodies.RenameBody, state: StateOf) -> response_bodies.Revision:
    """Another name for a label, in all pictures."""
    state.studio.folder.rename(body.window, body.name, body.to)
    return state.changed(None)


@router.post("/labels/merge")
def merge(body: folder_bodies.MergeBody, state: StateOf) -> response_bodies.Revision:
    """Two labels as one, in all pictures: present where one of them is."""
    state.studio.folder.merge(body.window, body.name, body.into)
    return state.changed(None)


@router.post("/labels/delete")
def delete(body: folder_bodies.LabelBody, state: StateOf) -> response_bodies.Revision:
    """Without a label, in all pictures."""
    state.studio.folder.delete(body.window, body.name)
    return state.changed(None)


@router.post("/rules")
def rules(body: folder_bodies.RulesBody, state: StateOf) -> response_bodies.Revision:
    """Other exclusive groups and implications."""
    folder = state.studio.folder
    groups = {name: tuple(labels) for name, labels in body.groups.items()}
    implied = {child: tuple(parents) for child, parents in body.implications.items() if parents}
    folder.set_rules(body.window, replace(folder.labels, groups=groups, implications=implied))
    return state.changed(None)


@router.post("/settings")
def settings(body: folder_bodies.SettingsBody, state: StateOf) -> response_bodies.Revision:
    """Whether a confirmed picture lacks all labels that are not ticked, and whether a model is learnt by itself."""
    folder = state.studio.folder
    if body.others_absent is not None:
        folder.set_rules(body.window, replace(folder.labels, others_absent=body.others_absent))
    if body.by_itself is not None:
        state.studio.by_itself = body.by_itself
    return state.changed([])


@router.post("/learn", status_code=202, responses=response_bodies.problems(_409="a model is being learnt already"))
def learn(state: StateOf) -> response_bodies.Revision:
    """Begin to learn a model from what is known now; ``GET /v1/folder`` shows how far it is."""
    if not state.studio.learn():
        raise HTTPException(409, "a model is being learnt already; wait until it is done")
    return response_bodies.Revision(revision=state.studio.folder.revision)


@router.post("/next", responses=NO_NUMBER)
def next_picture(body: folder_bodies.NextBody, state: StateOf) -> response_bodies.NextPicture:
    """The picture to label next."""
    name = state.studio.next(body.order, without=[state.name(number) for number in body.without])
    return response_bodies.NextPicture(number=None if name is None else state.number(name))
