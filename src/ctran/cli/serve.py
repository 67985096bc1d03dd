"""Serve a model over HTTP, with a page to label pictures together with it.

  ctran serve runs/demo                              http://127.0.0.1:8000: the studio; /docs: the API
  ctran serve runs/mine --pictures photos            label a folder: annotations go to photos/metadata.jsonl
  ctran serve runs/mine --host 0.0.0.0 --token-file token.txt
  ctran serve runs/mine --label-studio http://localhost:8080     predict for Label Studio (key: LABEL_STUDIO_API_KEY)

Then: ctran train demo --source imagefolder --root photos --absent unknown
"""

import argparse
import hashlib
import json
import os
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ctran.cli._arguments import add, add_run
from ctran.cli._types import count, output_folder, port
from ctran.errors import UserError

if TYPE_CHECKING:
    from socket import socket as Socket

    from ctran.inference.predictor import Predictor
    from ctran.serving.annotations import Annotations
    from ctran.serving.gallery import Gallery

SHOWN = 48
"""Pictures of the run's test set that the page starts with."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    model = parser.add_argument_group("model")
    add_run(model, "run, model folder, or folder of ctran export")
    model.add_argument("--exact", action="store_true", help="compute in float32, not in bfloat16 where that is faster")
    pictures = parser.add_argument_group("pictures and annotations")
    add(pictures, "--pictures", metavar="FOLDER", more="label these; annotations go to FOLDER/metadata.jsonl")
    pictures.add_argument(
        "--save",
        type=Path,
        metavar="FOLDER",
        help="where annotations go without --pictures (default: RUN/annotations; of a model: RUN-annotations)",
    )
    pictures.add_argument("--label-studio", metavar="ADDRESS", help="fetch the pictures of its tasks there")
    pictures.add_argument("--pictures-from", nargs="+", default=[], metavar="ADDRESS", help="and may be fetched from these")
    network = parser.add_argument_group("network")
    network.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    network.add_argument("--port", type=port, default=8000, help="0 takes any free one (default: 8000)")
    network.add_argument("--token-file", type=Path, metavar="FILE", help="clients must send this token (or: CTRAN_TOKEN)")
    network.add_argument("--allow-host", nargs="+", default=[], metavar="NAME", help="further names the server is called by")
    network.add_argument("--cors", type=origin, nargs="+", default=[], metavar="ORIGIN", help="pages of these may use it")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--in-flight", type=count, default=64, metavar="N", help="requests at once; others get 503 (default: 64)"
    )
    limits.add_argument("--cache", type=count, default=512, metavar="MIB", help="memory for image tokens (default: 512)")
    limits.add_argument("--max-upload", type=count, default=32, metavar="MIB", help="size of a request (default: 32)")
    network.add_argument("--open", action="store_true", help="open the page in a browser")


def origin(text: str) -> str:
    """``https://example.org`` or ``http://localhost:3000``; or ``*``."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and text == f"{parts.scheme}://{parts.netloc}"
        _ = parts.port
    except ValueError:
        right = False
    if not right and text != "*":
        raise argparse.ArgumentTypeError(f"expected an origin such as https://example.org, without a path, got {text!r}")
    return text.lower()


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted; requests in flight are finished."""
    try:
        from ctran.serving.api import create_app
        from ctran.serving.server import Server
    except ImportError as error:
        raise UserError(f'{error.name} is not installed: pip install "ctran[serve]"') from None
    from ctran.folders.exported import load
    from ctran.serving.annotations import Annotations
    from ctran.serving.settings import MIB, Settings

    if options.save:
        output_folder(options.save, "--save")
    token = token_of(options)
    refuse_open(options, token)
    predictor = load(options.run, options.device)
    settings = Settings(
        token=token,
        hosts=hosts_of(options),
        cors=tuple(options.cors),
        max_bytes=options.max_upload * MIB,
        in_flight=options.in_flight,
        cache_bytes=options.cache * MIB,
        label_studio=options.label_studio,
        label_studio_key=os.environ.get("LABEL_STUDIO_API_KEY") or None,
        pictures_from=tuple(options.pictures_from),
    )
    annotations = Annotations(options.pictures or options.save or annotations_folder(options.run), predictor.labels.names)
    gallery = gallery_of(options, annotations)
    if gallery.notes:
        print(f"{options.pictures}: {'. '.join(gallery.notes)}", file=sys.stderr)
    app = create_app(
        predictor if options.exact else faster(predictor),
        settings,
        gallery=gallery,
        annotations=annotations,
        version=version_of(options.run),
    )
    server = Server(app, ends_process=options.whole_process)
    socket = listening(options.host, options.port)
    address = address_of(*socket.getsockname()[:2])
    if token is None and not is_loopback(options.host):
        print(f"anybody who reaches {options.host} may ask and save: give --token-file to change that", file=sys.stderr)
    print(f"serving {options.run} at {address} (API: {address}/docs); annotations go to {annotations.folder}", file=sys.stderr)
    if options.open:
        import webbrowser

        webbrowser.open(f"{address}/#token={quote(token, safe='')}" if token else address)
    server.run(sockets=[socket])
    return 0


def version_of(run: Path) -> str:
    """Name and digest of a model's files, stored with predictions elsewhere to identify the model."""
    from ctran.folders.exported import digests

    folder = run / "model" if (run / "model").is_dir() else run
    found = digests(folder, (path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".md"))
    name = run.resolve().name.encode("utf-8", "backslashreplace").decode()  # it is sent as JSON
    return f"{name}-{hashlib.sha256(json.dumps(found).encode()).hexdigest()[:8]}"


def listening(host: str, port: int) -> "Socket":
    """A socket that accepts connections from now on, so that its address can be printed.

    It names its protocol, as uvicorn's own sockets do not: asyncio sets TCP_NODELAY only where it knows that a socket is TCP,
    and each small response would take 40 ms otherwise.
    """
    import socket

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError) as error:
        raise UserError(f"--host {host} --port {port}: cannot listen there ({error}); --port 0 takes any free one") from None
    listener.listen(2048)
    return listener


def token_of(options: argparse.Namespace) -> str | None:
    """The token that clients must send."""
    if options.token_file is None:
        return os.environ.get("CTRAN_TOKEN") or None
    try:
        token = options.token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--token-file {options.token_file}: cannot be read ({error})") from None
    if not token:
        raise UserError(f"--token-file {options.token_file} is empty")
    return token


def annotations_folder(run: Path) -> Path:
    """Where annotations go by default: into a run folder; beside a model folder, which holds a model and nothing else.

    Annotations that lie in a model folder already are continued where they are.
    """
    if (run / "annotations" / "metadata.jsonl").is_file() or (run / "model").is_dir():
        return run / "annotations"
    folder = run.resolve()
    if folder.name == "model" and (folder.parent / "recipe.yaml").is_file():
        return folder.parent / "annotations"
    return folder.with_name(f"{folder.name}-annotations")


def is_loopback(host: str) -> bool:
    """Whether this machine alone reaches an address that the server listens on."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def refuse_open(options: argparse.Namespace, token: str | None) -> None:
    """Refuse to be open to other machines by accident: a page in a browser of theirs could use the server under any name."""
    if is_loopback(options.host) or token is not None or options.allow_host:
        if "*" in options.cors and token is None:
            raise UserError("--cors '*' lets pages of anybody save and upload: give --token-file as well, or name origins")
        return
    raise UserError(
        f"--host {options.host} is open to other machines: give --token-file FILE (or CTRAN_TOKEN), or name what the server is "
        "called there: --allow-host NAME ('*' for any)"
    )


def hosts_of(options: argparse.Namespace) -> tuple[str, ...]:
    """Allowed ``Host`` names: the server's own and those given; any name where a token is required instead."""
    from ctran.serving.guard import bracketed, host_of
    from ctran.serving.settings import Settings

    if not is_loopback(options.host) and not options.allow_host:
        return ("*",)
    return (*Settings().hosts, *(host_of(bracketed(name)) for name in (options.host, *options.allow_host)))


def address_of(host: str, port: int) -> str:
    """What a browser on this machine opens."""
    from ctran.serving.guard import bracketed

    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{bracketed(reachable)}:{port}"


def faster(predictor: "Predictor") -> "Predictor":
    """In bfloat16 where its device has that, else as it is."""
    from ctran.devices import fast_in_bfloat16

    return predictor.fast() if fast_in_bfloat16(predictor.device) else predictor


def gallery_of(options: argparse.Namespace, annotations: "Annotations") -> "Gallery":
    """The folder's pictures, else the first of the run's test set where that can be read."""
    from ctran.data.checked import without_decoding
    from ctran.serving.gallery import Gallery
    from ctran.training.pipeline import tables_of_run

    if options.pictures:
        if not options.pictures.is_dir():
            raise UserError(f"--pictures {options.pictures}: there is no such folder")
        return Gallery.of_folder(annotations)
    if not (options.run / "recipe.yaml").is_file():
        return Gallery([])
    try:
        with without_decoding():  # a broken picture is reported when it is opened
            return Gallery.of_table(tables_of_run(options.run)["test"], SHOWN)
    except (ValueError, OSError) as error:
        print(f"no pictures to start with: {error}", file=sys.stderr)
        return Gallery([])
