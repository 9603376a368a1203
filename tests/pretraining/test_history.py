import torch

from ctcd.pretraining.history import COLUMNS, History


def test_rows_hold_the_means_since_the_row_before() -> None:
    history = History()
    for value in (1.0, 3.0):
        history.collect(
            {
                ("teacher", "hard_loss"): torch.tensor(value),
                ("student", "soft_loss"): torch.tensor(value * 4),
                ("student", "gradient_norm"): torch.tensor(value * 6),
            }
        )
    means = history.flush(step=2, tokens=64, learning_rate=0.5, tokens_per_second=10.0)
    assert means == {"teacher_hard_loss": 2.0, "student_soft_loss": 8.0, "student_gradient_norm": 12.0}
    table = history.table()
    assert list(table.columns) == COLUMNS
    assert table.query("role == 'student' and metric == 'soft_loss'")["value"].tolist() == [8.0]
    assert table.query("metric == 'learning_rate'")["value"].tolist() == [0.5]
    assert not history.waiting
