import hashlib

import pytest

from stereo_depth_ros.file_hash import sha256_of


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1], ids=str)
def test_hash_is_that_of_the_whole_file(size, tmp_path):
    content = bytes(i % 251 for i in range(size))
    (tmp_path / "file").write_bytes(content)

    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()
