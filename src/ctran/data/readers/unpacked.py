"""Pictures inside a file of samples (Parquet, tar) as files of their own, in the cache folder."""

from pathlib import Path

from ctran.data.cache_folder import default_root, key_of
from ctran.files import write_bytes


class Unpacked:
    """The pictures of one file of samples; unpacked once, as long as the file does not change.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        stat = path.stat()
        key = key_of({"path": str(path.resolve()), "size": stat.st_size, "time": stat.st_mtime_ns})
        self.folder = default_root() / "unpacked" / key
        self.folder.mkdir(parents=True, exist_ok=True)

    def picture(self, number: int, ending: str, content: bytes) -> Path:
        """The file of a picture, written if it is not there yet.

        Args:
            number: of the sample, distinct.
            ending: of the file, with the dot.
            content: of the file.
        """
        path = self.folder / f"{number:08}{ending}"
        if not path.exists() or path.stat().st_size != len(content):
            write_bytes(path, content)
        return path
