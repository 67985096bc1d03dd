import io
import tarfile

import pytest

from ctran.data.readers.tar_samples import samples


@pytest.mark.parametrize("name", ["a.png", "a.mp4"])
def test_a_member_of_impossible_size_ends_the_reading_at_once(name):
    header = tarfile.TarInfo(name)
    header.size = 2**60
    content = io.BytesIO(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with tarfile.open(fileobj=content, mode="r|*") as tar, pytest.raises(tarfile.TarError, match="by its header"):
        list(samples(tar))
