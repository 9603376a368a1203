import pytest

TINY = "--shape tiny --device cpu --threads 1 --rounds 1 --block-seconds 0 --check-steps 2".split()


def test_a_rung_is_measured_and_its_losses_are_the_plain_ones(run_benchmark):
    printed, report = run_benchmark("pretraining.py", *TINY, "--only", "own step")
    rows = {row["name"]: row for row in report["contenders"]}
    assert all(name in printed for name in rows)
    assert rows["plain"]["ratio"] == 1
    rung = rows["ctcd's own step"]
    assert rung["tokens_per_second"] > 0
    assert rung["memory_rise"] > 0
    assert 0 < rung["peak_share"] < 1
    assert rung["executed_operations"] < rows["plain"]["executed_operations"]
    assert rung["difference"] <= rung["tolerance"]
    assert 0 < report["packing"]["padded_paragraphs"] < report["packing"]["packed"] < 1


@pytest.mark.slow
def test_every_contender_is_measured_or_named_with_a_reason(run_benchmark):
    _, report = run_benchmark("pretraining.py", *TINY, "--at-once", "4")
    assert all(row["tokens_per_second"] or row["unavailable"] for row in report["contenders"])
    assert all(row["agrees"] for row in report["contenders"])
    assert report["cost_of_codistillation"] > 0
