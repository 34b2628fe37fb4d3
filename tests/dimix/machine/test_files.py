"""Files are the old ones or the new ones, never half of one."""

import pytest

from dimix.machine.files import make_writable_folder, written_whole


def test_file_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with written_whole(path, previous=tmp_path / "b") as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert (tmp_path / "b").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_goes_wrong_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(error), written_whole(path, previous=tmp_path / "b") as file:
        file.write(b"ne")
        raise error
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_folder_in_place_of_a_file(tmp_path):
    make_writable_folder(tmp_path / "a/b")
    assert not any((tmp_path / "a/b").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        make_writable_folder(tmp_path / "file/b")
