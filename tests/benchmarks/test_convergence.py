def test_recipes_are_compared_with_the_unigram_entropy(run_benchmark):
    few = "--tokens 4096 --packages python --device cpu".split()
    printed, report = run_benchmark("convergence.py", *few, "--only", "AdamW 1e-2", "pre-norm")
    assert report["corpus"]["unigram_entropy"] > 0
    assert "unigram entropy" in printed
    assert {recipe["name"] for recipe in report["recipes"]} == {"AdamW 1e-2", "pre-norm BERT"}
    assert all(recipe["tokens"] == 4096 for recipe in report["recipes"])
    assert all(recipe["heldout_loss"][role] > 0 for recipe in report["recipes"] for role in ("teacher", "student"))
