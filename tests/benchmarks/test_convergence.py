def test_recipes_are_compared_with_the_unigram_entropy(run_benchmark):
    few = "--tokens 4096 --packages python --device cpu".split()
    printed, report = run_benchmark("convergence.py", *few, "--only", "AdamW 1e-2", "pre-norm")
    assert report["corpus"]["unigram_entropy"] > 0
    assert "unigram entropy" in printed
    assert {recipe["name"] for recipe in report["recipes"]} == {"AdamW 1e-2", "pre-norm BERT"}
    assert all(recipe["tokens"] == 4096 for recipe in report["recipes"])
    assert all(recipe["heldout_loss"][role] > 0 for recipe in report["recipes"] for role in ("teacher", "student"))


def test_a_recipe_of_another_environment_is_scaled_down_and_its_curve_shown(run_benchmark, text_folder):
    small = f"--env budget --width 64 --tokens 81920 --documents {text_folder} --device cpu".split()
    printed, report = run_benchmark("convergence.py", *small, "--only", "warm-up 1 %")
    (recipe,) = report["recipes"]
    assert "on the way" in printed
    assert [list(curve) for curve in recipe["curve"].values()] == [[str(tenth) for tenth in range(1, 11)]] * 2
    assert recipe["curve"]["teacher"]["10"] == recipe["heldout_loss"]["teacher"]
    assert report["scale"]["environment"] == "budget"


def test_recipes_of_several_lengths_are_judged_on_the_shortest_sequences_too(run_benchmark, text_folder):
    small = f"--env budget --width 64 --batch-size 4 --tokens 8192 --documents {text_folder} --device cpu".split()
    printed, report = run_benchmark("convergence.py", *small, "--only", "half the length", "warm-up 1 %")
    short, usual = sorted(report["recipes"], key=lambda recipe: recipe["length_factor"])
    assert report["corpus"]["sequence_length"] == 32
    assert short["tokens"] == usual["tokens"] == 8192
    assert "at 32" in printed
    for role, loss in short["loss_at_shortest"].items():
        assert abs(loss - short["heldout_loss"][role]) < 1e-6
        assert abs(usual["loss_at_shortest"][role] - usual["heldout_loss"][role]) > 1e-6
