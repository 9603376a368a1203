import numpy as np
import pytest

from ctcd.lineage.array_store import ArrayStore


def test_what_is_saved_loads_again_and_other_keys_are_absent(tmp_path):
    store = ArrayStore(tmp_path / "new")
    arrays = {"a": np.arange(5), "b/c": np.array([[0.5, 1.5]], np.float32)[:, ::-1]}
    assert store.load("key") is None
    store.save("key", arrays)
    loaded = store.load("key")
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype
    assert store.load("other") is None


def test_a_damaged_file_counts_as_absent(tmp_path, caplog):
    store = ArrayStore(tmp_path)
    store.save("key", {"a": np.arange(100)})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-8])
    assert store.load("key") is None
    assert "damaged" in caplog.text


def test_a_failed_save_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        ArrayStore(tmp_path).save("key", {"a": np.arange(3)})
    assert list(tmp_path.iterdir()) == []
