import errno
import os
import resource

import pytest
import torch

from ctcd.lineage.state import StateStore


def state(step: int) -> dict:
    return {"step": step, "weights": {"a": torch.arange(step)}, "rows": [[1, "teacher", 0.5]]}


@pytest.fixture
def store(tmp_path) -> StateStore:
    return StateStore(tmp_path / "state", "ctcd")


def test_the_newest_state_comes_back_as_it_was(store) -> None:
    for step in (3, 20, 100):
        store.save(state(step), step, keep=5)
    latest = store.latest()
    assert latest["step"] == 100
    assert torch.equal(latest["weights"]["a"], torch.arange(100))
    assert latest["rows"] == [[1, "teacher", 0.5]]


def test_only_the_last_ones_are_kept(store) -> None:
    for step in range(5):
        store.save(state(step), step, keep=2)
    assert sorted(path.name[:14] for path in store.folder.iterdir()) == ["step-000000003", "step-000000004"]


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_state_is_recognised_and_the_one_before_it_used(store, damage: str, caplog) -> None:
    for step in (1, 2):
        store.save(state(step), step, keep=2)
    newest = max(store.folder.iterdir())
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content if damage == "altered" else content[:-10])
    assert store.latest()["step"] == 1
    assert "damaged" in caplog.text
    assert not newest.exists()


def test_a_damaged_state_takes_no_place_of_those_that_are_kept(store) -> None:
    store.save(state(100), 100, keep=1)
    next(store.folder.iterdir()).write_bytes(b"half of it")
    assert store.latest() is None
    store.save(state(10), 10, keep=1)
    assert store.latest()["step"] == 10


def test_a_full_disk_leaves_the_state_before_and_no_half_one(store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(state(1), 1, keep=2)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.save(state(2), 2, keep=2)
    assert store.latest()["step"] == 1
    assert len(list(store.folder.iterdir())) == 1


def test_a_write_that_fails_half_way_says_why_and_leaves_the_state_before(store) -> None:
    store.save(state(1), 1, keep=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.save(state(1_000_000), 2, keep=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.latest()["step"] == 1
    assert len(list(store.folder.iterdir())) == 1


def test_two_runs_that_save_at_once_do_not_spoil_each_other(store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one saves while the first one is flushing."""
    sync, waiting = os.fsync, [StateStore(store.folder, "ctcd")]

    def interrupted(handle: int) -> None:
        while waiting:
            waiting.pop().save(state(5), 5, keep=2)
        sync(handle)

    monkeypatch.setattr(os, "fsync", interrupted)
    store.save(state(4), 4, keep=2)
    assert store.latest()["step"] == 5
    assert len(list(store.folder.iterdir())) == 2


def test_a_half_written_state_is_never_seen(store) -> None:
    store.save(state(1), 1, keep=2)
    (store.folder / "step-000000002-abc.partial").write_bytes(b"half")
    assert store.latest()["step"] == 1


def test_nothing_saved_is_none_and_clear_forgets(store) -> None:
    assert store.latest() is None
    store.save(state(1), 1, keep=2)
    store.clear()
    assert store.latest() is None
