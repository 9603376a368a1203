"""Other libraries' training loops on the same data.

A library's loop runs in a thread of its own and waits at a gate before each step, so that it can be measured in blocks
like everything else.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from ladder import NOT_PREDICTED, Rung, plain_model
from torch import Tensor
from workload import DISTINCT_STEPS, PREDICTED_SHARE, Shape, all_token_ids

from engine import LEARNING_RATE, MAXIMUM_NORM, WEIGHT_DECAY, joint_weights, make_tokenizer, masked_batch

ENDLESS = 1_000_000_000


class Gate:
    """Lets a loop through some steps at a time."""

    def __init__(self) -> None:
        """Closed."""
        self._allowed = threading.Semaphore(0)
        self._arrived = threading.Semaphore(0)
        self._error: BaseException | None = None

    def start(self, loop: Callable[[], Any]) -> None:
        """Run a loop in a thread, up to its first step."""
        threading.Thread(target=self._run, args=(loop, torch.get_num_threads()), daemon=True).start()
        self._await_arrival()

    def wait(self) -> None:
        """Called by the loop before each step."""
        self._arrived.release()
        self._allowed.acquire()

    def let_through(self, steps: int) -> None:
        """Have the loop make some steps, and return when the last is done."""
        for _ in range(steps):
            self._allowed.release()
            self._await_arrival()

    def _run(self, loop: Callable[[], Any], threads: int) -> None:
        torch.set_num_threads(threads)
        try:
            loop()
        except BaseException as error:
            self._error = error
        self._arrived.release()

    def _await_arrival(self) -> None:
        self._arrived.acquire()
        if self._error:
            raise self._error


class Prepared(NamedTuple):
    """A library's loop, and what ends what the library has started."""

    loop: Callable[[], Any]
    end: Callable[[], Any]


class PeerTraining:
    """A library's loop behind a gate."""

    def __init__(self, prepare: Callable[[Gate, Path], Prepared]) -> None:
        """Prepare the loop, with a folder for what the library insists on writing, and start it."""
        self._folder = TemporaryDirectory()
        self._gate = Gate()
        loop, self._end = prepare(self._gate, Path(self._folder.name))
        self._gate.start(loop)

    def advance(self, steps: int) -> None:
        """Train for some steps."""
        self._gate.let_through(steps)

    def close(self) -> None:
        """Remove what is on disk; the thread ends with the process."""
        self._end()
        self._folder.cleanup()


def start_trainer(shape: Shape, device: str, bfloat16: bool) -> PeerTraining:
    """Hugging Face's `Trainer` on the teacher alone, as `run_mlm.py` uses it."""
    from transformers import DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments

    class StopBeforeSteps(TrainerCallback):
        def __init__(self, gate: Gate) -> None:
            self._gate = gate

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self._gate.wait()

    def prepare(gate: Gate, folder: Path) -> Prepared:
        arguments = TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=shape.batch_size,
            max_steps=ENDLESS,
            learning_rate=LEARNING_RATE,
            weight_decay=WEIGHT_DECAY,
            max_grad_norm=MAXIMUM_NORM,
            lr_scheduler_type="constant",
            bf16=bfloat16,
            use_cpu=device == "cpu",
            dataloader_pin_memory=device != "cpu",
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        rows = all_token_ids(shape).flatten(0, 1)
        trainer = Trainer(
            model=plain_model(shape, "teacher", Rung().dropout),
            args=arguments,
            train_dataset=[{"input_ids": row} for row in rows],
            data_collator=DataCollatorForLanguageModeling(
                make_tokenizer(shape.vocabulary), mlm_probability=PREDICTED_SHARE
            ),
            callbacks=[StopBeforeSteps(gate)],
        )
        return Prepared(trainer.train, end=lambda: None)

    return PeerTraining(prepare)


def start_textbrewer(shape: Shape, device: str) -> PeerTraining:
    """TextBrewer's `GeneralDistiller`: the student learns from a frozen teacher, with ctcd's weights of the losses."""
    from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig

    def prepare(gate: Gate, folder: Path) -> Prepared:
        teacher, student = (plain_model(shape, role, Rung().dropout).to(device) for role in ("teacher", "student"))
        weights = joint_weights()
        distiller = GeneralDistiller(
            # Without ckpt_steps a number of steps ends in an exception.
            TrainingConfig(output_dir=str(folder), log_dir=str(folder), device=device, ckpt_steps=ENDLESS),
            DistillationConfig(
                temperature=1, hard_label_weight=weights.student_hard, kd_loss_weight=weights.student_soft
            ),
            teacher,
            student,
            _predictions,
            _predictions,
        )
        optimiser = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

        def loop() -> None:
            with distiller:
                distiller.train(
                    optimiser,
                    _GatedBatches(gate, shape, device),
                    max_grad_norm=MAXIMUM_NORM,
                    num_steps=ENDLESS,
                )

        return Prepared(loop, end=distiller.tb_writer.close)

    return PeerTraining(prepare)


class _GatedBatches:
    """Masked batches as keyword arguments of a Hugging Face model, each behind the gate."""

    def __init__(self, gate: Gate, shape: Shape, device: str) -> None:
        self._gate, self._shape, self._device = gate, shape, device

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for step in range(DISTINCT_STEPS):
            self._gate.wait()
            batch = masked_batch(self._shape, step, self._device)
            labels = torch.full_like(batch.input_ids, NOT_PREDICTED).flatten()
            labels[batch.positions] = batch.labels
            yield {"input_ids": batch.input_ids, "labels": labels.view_as(batch.input_ids)}


def _predictions(batch: dict[str, Tensor], outputs: Any) -> dict[str, tuple[Tensor, ...]]:
    """What TextBrewer is told of a model's outputs: the loss, and the logits with the positions that count."""
    return {
        "logits": (outputs.logits,),
        "logits_mask": (batch["labels"] != NOT_PREDICTED,),
        "losses": (outputs.loss,),
    }
