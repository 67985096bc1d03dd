"""Flags of the commands that start a server, and how one is started. Imports nothing heavy before that."""

import argparse
import os
import sys
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ctran.cli._arguments import add
from ctran.errors import UserError

if TYPE_CHECKING:
    from socket import socket as Socket

    from fastapi import FastAPI

    from ctran.serving.settings import Settings


def add_network(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Flags about addresses, access and limits; returns the group of the limits."""
    network = parser.add_argument_group("network")
    add(network, "--host", default="127.0.0.1", shown="this machine alone")
    add(network, "--port", default=8000)
    add(network, "--token-file")
    add(network, "--allow-host", default=[])
    add(network, "--cors", default=[])
    add(network, "--open")
    limits = parser.add_argument_group("limits")
    add(limits, "--in-flight", default=64)
    add(limits, "--max-upload", default=32)
    return limits


def settings_of(options: argparse.Namespace, **more: Any) -> "Settings":
    """Settings of a server from its flags; refuses to be open to other machines by accident, and a machine without the
    libraries.

    Args:
        more: further settings.
    """
    try:
        import ctran.serving.server  # noqa: F401
        from ctran.serving.settings import MIB, Settings
    except ImportError as error:
        raise UserError(f'{error.name} is not installed: pip install "ctran[serve]"') from None
    token = token_of(options)
    refuse_open(options, token)
    return Settings(
        token=token,
        hosts=hosts_of(options),
        cors=tuple(options.cors),
        max_bytes=options.max_upload * MIB,
        in_flight=options.in_flight,
        **more,
    )


def serve(
    app: "FastAPI",
    options: argparse.Namespace,
    settings: "Settings",
    what: str,
    where: str,
    *,
    hang_up: Callable[[], None] | None = None,
) -> int:
    """Serve until interrupted.

    Args:
        what, where: what is served, and where its annotations go, for the message that has the address.
        hang_up: called at SIGHUP; None leaves that signal as it is, so that it ends the process.
    """
    from ctran.serving.server import Server

    server = Server(app, ends_process=options.whole_process, hang_up=hang_up)
    socket = listening(options.host, options.port)
    address = address_of(*socket.getsockname()[:2])
    if settings.token is None and not is_loopback(options.host):
        print(f"anybody who reaches {options.host} may ask and save: give --token-file to change that", file=sys.stderr)
    print(f"{what} at {address} (API: {address}/docs); {where}", file=sys.stderr)
    if options.open:
        import webbrowser

        webbrowser.open(f"{address}/#token={quote(settings.token, safe='')}" if settings.token else address)
    server.run(sockets=[socket])
    return 0


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
