"""Who does the job: ctcd, and Hugging Face's `Trainer` in its two usual ways."""

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from configuration import execution_parameters
from finetuning_jobs import LENGTH, Work
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    default_data_collator,
)
from transformers.utils import logging as transformers_logging

from ctcd.engine.hardware import usable_cores
from ctcd.finetuning.encoding import TokenizedSplit, TokenizedTask
from ctcd.finetuning.finetune import TaskSettings
from ctcd.finetuning.jobs import Failed, Job, run_jobs
from ctcd.tasks.metrics import score

Scores = dict[str, list[float]]  # task -> main value of each seed


def ours(work: Work) -> Scores:
    """As `kedro run --pipeline=evaluation` fine-tunes: on all cores, or several jobs at once on a GPU."""
    execution = execution_parameters()
    jobs = [
        Job(work.model, task, settings, seed, execution, task.task.validation_splits)
        for task, settings in zip(work.tasks, work.settings, strict=True)
        for seed in range(work.seeds)
    ]
    scores: dict[str, dict[int, float]] = {task.task.name: {} for task in work.tasks}
    for job, outcome in run_jobs(jobs, execution.workers):
        if isinstance(outcome, Failed):
            raise RuntimeError(outcome.reason)
        values = {split: predictions.values for split, predictions in outcome.items()}
        scores[job.tokenized.task.name][job.seed] = _main_value(job.tokenized, values)
    return {name: [by_seed[seed] for seed in sorted(by_seed)] for name, by_seed in scores.items()}


def trainer_padded(work: Work) -> Scores:
    """As `run_glue` does it: every example padded to 128 tokens, one fine-tuning after the other on all cores."""
    return _with_trainer(work, grouped=False)


def trainer_grouped(work: Work) -> Scores:
    """Batches padded to their longest example, of examples of similar length."""
    return _with_trainer(work, grouped=True)


CONTENDERS: Mapping[str, Callable[[Work], Scores]] = {
    "ctcd": ours,
    "Trainer, padded to 128": trainer_padded,
    "Trainer, grouped by length": trainer_grouped,
}


def _with_trainer(work: Work, grouped: bool) -> Scores:
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    threads = torch.get_num_threads()
    torch.set_num_threads(usable_cores())
    try:
        return {
            task.task.name: [_one(work, task, settings, seed, grouped) for seed in range(work.seeds)]
            for task, settings in zip(work.tasks, work.settings, strict=True)
        }
    finally:
        torch.set_num_threads(threads)


def _one(work: Work, task: TokenizedTask, settings: TaskSettings, seed: int, grouped: bool) -> float:
    steps = settings.epochs * -(-len(task.splits["train"]) // settings.batch_size)
    tokenizer = work.model.tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            warmup_steps=round(steps * settings.warmup_share),
            train_sampling_strategy="group_by_length" if grouped else "random",
            seed=seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            use_cpu=not torch.cuda.is_available(),
            bf16=torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(),
        )
        torch.manual_seed(seed)
        configuration = AutoConfig.from_pretrained(work.model.folder, num_labels=task.outputs)
        trainer = Trainer(
            model=AutoModelForSequenceClassification.from_pretrained(work.model.folder, config=configuration),
            args=arguments,
            train_dataset=_examples(task.splits["train"], task.padding_id, grouped),
            data_collator=DataCollatorWithPadding(tokenizer) if grouped else default_data_collator,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        values = {}
        for split in task.task.validation_splits:
            logits = trainer.predict(_examples(task.splits[split], task.padding_id, grouped)).predictions
            values[split] = logits[:, 0] if task.task.regression else logits.argmax(-1)
    return _main_value(task, values)


def _examples(split: TokenizedSplit, padding_id: int, grouped: bool) -> list[dict[str, Any]]:
    """Rows as `run_glue` has them after tokenization."""
    rows = []
    for start, end, label in zip(split.starts[:-1], split.starts[1:], split.labels, strict=True):
        ids = split.token_ids[start:end].tolist()
        types = [0] * len(ids) if split.token_types is None else split.token_types[start:end].tolist()
        padding = 0 if grouped else LENGTH - len(ids)
        rows.append(
            {
                "input_ids": ids + padding * [padding_id],
                "token_type_ids": types + padding * [0],
                "attention_mask": [1] * len(ids) + padding * [0],
                "labels": label.item(),
            }
        )
    return rows


def _main_value(task: TokenizedTask, values: Mapping[str, np.ndarray]) -> float:
    per_split = [
        np.mean(list(score(task.task, task.splits[split].labels, values[split]).values()))
        for split in task.task.validation_splits
    ]
    return float(np.mean(per_split))
