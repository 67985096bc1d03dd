"""npm packages of a pinned version and content: fetched once with ``npm pack``, read without unpacking."""

import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ctran.errors import UserError


@dataclass(frozen=True)
class Package:
    """One version of an npm package.

    Args:
        name: as npm knows it.
        version: the pinned one.
        sha256: of the archive.
    """

    name: str
    version: str
    sha256: str

    @property
    def spec(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"

    @property
    def file(self) -> str:
        """Name of the archive that ``npm pack`` writes."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


class Archive:
    """The files of one package in memory, named relative to the package's top folder."""

    def __init__(self, package: Package, content: bytes) -> None:
        self.package = package
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
            self.files = {
                member.name.partition("/")[2]: stream.read()
                for member in tar
                if (stream := tar.extractfile(member)) is not None
            }

    def __getitem__(self, name: str) -> bytes:
        if name not in self.files:
            raise UserError(f"{self.package.file}: no file {name!r} in it; the set was made for {self.package.spec}")
        return self.files[name]

    def text(self, name: str) -> str:
        """A text file of it."""
        return self[name].decode()

    def stems(self, folder: str, ending: str) -> list[str]:
        """Names without ending of the files directly in a folder, sorted."""
        start = f"{folder}/" if folder else ""
        names = (name.removeprefix(start) for name in self.files if name.startswith(start) and name.endswith(ending))
        return sorted(name.removesuffix(ending) for name in names if "/" not in name)

    def licence(self) -> str:
        """Text of its licence file; where it has none, what its description states."""
        for name in sorted(self.files):
            if name.lower().partition(".")[0] in ("license", "licence"):
                return self.text(name)
        return f"{self.package.spec} has no licence file; its package.json:\n\n{self.text('package.json')}"


def open_all(packages: Iterable[Package], folder: Path) -> list[Archive]:
    """The packages, read from their archives in ``folder``; a missing one is fetched.

    Raises:
        UserError: an archive is missing and cannot be fetched, or has another content than the pinned one.
    """
    return [_open(package, folder) for package in packages]


def _open(package: Package, folder: Path) -> Archive:
    path = folder / package.file
    if not path.is_file():
        _fetch(package, folder)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != package.sha256:
        raise UserError(f"{path}: SHA-256 is {found}, expected {package.sha256} of {package.spec}; delete it and build again")
    return Archive(package, content)


def _fetch(package: Package, folder: Path) -> None:
    by_hand = f"put {package.file} (made by: npm pack {package.spec}) into {folder}"
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"package {package.spec} is not in {folder}, and there is no npm: install Node.js, or {by_hand}")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run([npm, "pack", package.spec, "--silent"], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or not (folder / package.file).is_file():
        reason = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"npm pack {package.spec} failed ({reason[-1] if reason else 'no reason given'}); or {by_hand}")
