"""The training loop: resumable, mixed precision, one process a device."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from stereo_depth_ros.atomic_file import WriteError
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.networks import StereoNetwork
from stereo_depth_ros.training.averaging import update_average
from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.building import build_network
from stereo_depth_ros.training.freezing import freeze, set_training_mode
from stereo_depth_ros.training.half import keep_float32_parts
from stereo_depth_ros.training.memory import name_memory_errors
from stereo_depth_ros.training.objectives import Objective, objective_of
from stereo_depth_ros.training.recipe import Recipe
from stereo_depth_ros.training.run_checkpoint import read_checkpoint, write_checkpoint
from stereo_depth_ros.training.schedule import anneal
from stereo_depth_ros.training.source import draw_ahead
from stereo_depth_ros.training.sources import open_source
from stereo_depth_ros.training.validation import Validation, open_validation

_LOG_EVERY = 10  # steps


class _Training(nn.Module):
    """What is trained as a forward, since only that is wrapped for several processes."""

    def __init__(self, network: StereoNetwork, objective: Objective) -> None:
        super().__init__()
        self.network, self.objective = network, objective

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.objective.predict(self.network, *inputs)


class Trainer:
    """Trains a network by ``recipe`` in ``folder``, which holds checkpoint, log and pictures.

    Under `torchrun` every process trains on its own stream and gradients are averaged. If the
    folder holds a checkpoint, training resumes from it as if it had not been interrupted.

    Raises
    ------
    InputError
        For weights to begin from that are of another network, a crop that does not fit it, parts to
        freeze that it lacks, for a checkpoint that is damaged or of another run, and for minutes on
        several processes.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        self.rank = int(os.environ.get("RANK", "0"))
        cuda = torch.cuda.is_available()
        local = int(os.environ.get("LOCAL_RANK", "0"))
        self.device = torch.device("cuda", local) if cuda else torch.device("cpu")
        self.processes = int(os.environ.get("WORLD_SIZE", "1"))
        self._share, self._parallel = (self.rank, self.processes), self.processes > 1
        if self._parallel and recipe.minutes is not None:
            raise InputError("--minutes works with one process only; use --steps")
        if cuda:
            torch.cuda.set_device(self.device)
        if self._parallel:
            distributed.init_process_group("nccl" if cuda else "gloo")
        torch.manual_seed(recipe.seed)
        self.network = build_network(recipe).to(self.device)
        self.objective = objective_of(self.network)
        # Without AVX-512, bfloat16 takes a CPU many times as long as float32.
        self._half = cuda or (
            self.objective.half_on_cpu and torch.backends.cpu.get_cpu_capability() == "AVX512"
        )
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        if recipe.iterations is not None:
            self.network.iterations = recipe.iterations
        freeze(self.network, recipe.freeze)
        keep_float32_parts(self.network, self.device)
        self.optimiser = torch.optim.AdamW(
            (p for p in self.network.parameters() if p.requires_grad),
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
        )
        self.step = 0
        self._seconds = 0.0  # trained before the clock began
        self._began: float | None = None
        self._source_state: dict[str, Any] | None = None  # after what was learned from
        self._resume()

    @property
    def checkpoint(self) -> Path:
        """Where the run is kept."""
        return self.folder / "checkpoint.pt"

    def run(self) -> dict[str, float]:
        """Train up to the recipe's end.

        Returns
        -------
        dict[str, float]
            The last validation's figures, see `Validation.figures`; empty for a run that had come
            to its end before, and on all but the first of several processes.

        Raises
        ------
        InputError
            For data that cannot be read, a crop that does not fit into the scenes, or a step that
            the GPU's memory does not hold.
        WriteError
            When checkpoint or log cannot be written.
        """
        self._began = monotonic()
        recipe = self.recipe
        source = open_source(recipe, self.objective.prior_span, self._share, self.device)
        if self._source_state is not None:
            source.set_state(self._source_state)
        model: nn.Module = _Training(self.network, self.objective)
        set_training_mode(self.network, recipe.freeze_norm)
        if self._parallel:
            model = DistributedDataParallel(model)
        is_first = self.rank == 0
        log = SummaryWriter(str(self.folder)) if is_first else None
        validation = self.make_validation() if is_first else None
        figures: dict[str, float] = {}
        bar = tqdm(
            total=None if recipe.minutes else recipe.steps,
            initial=self.step,
            disable=not is_first,
            unit="step",
            dynamic_ncols=True,
        )
        batches = draw_ahead(source)
        is_over = self._is_over()
        while not is_over:
            with name_memory_errors():
                losses = self._train_step(model, batches)
            is_over = self._is_over()
            bar.update()
            is_saved = self.step % recipe.validate_every == 0 or is_over
            states = self._gather_states() if is_saved else []
            if log is None or validation is None:
                continue
            # Reading a number makes the GPU wait.
            if self.step % _LOG_EVERY == 0:
                terms = {name: float(term) for name, term in losses.items()}
                total = sum(terms.values())
                bar.set_postfix(loss=f"{total:.3f}", **{k: f"{v:.3f}" for k, v in figures.items()})
                with self._log_errors():
                    log.add_scalars("loss", terms, self.step)
            if is_saved:
                figures = validation.figures(self.average)
                self._save(states)
                with self._log_errors():
                    for name, value in figures.items():
                        log.add_scalar(f"validation/{name}", value, self.step)
                    log.add_image("pair", validation.picture(self.average), self.step)
        batches.close()
        bar.close()
        if log is not None:
            with self._log_errors():
                log.close()
        if self._parallel:
            distributed.destroy_process_group()
        return figures

    @contextmanager
    def _log_errors(self) -> Iterator[None]:
        """Name what TensorBoard could not write."""
        try:
            yield
        except OSError as error:
            raise WriteError(
                f"the log in {self.folder} was not written: {error.strerror or error}; the run "
                "goes on from its last checkpoint when it is started again"
            ) from error

    def _train_step(
        self, model: nn.Module, batches: Iterator[tuple[Batch, dict[str, Any]]]
    ) -> dict[str, torch.Tensor]:
        """Learn from as many ``batches`` as the recipe says; return their mean loss terms."""
        rate = self.recipe.learning_rate * anneal(*self._progress())
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, torch.Tensor] = {}
        for _ in range(self.recipe.accumulate):
            batch, self._source_state = next(batches)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
                prediction = model(*batch.inputs_of(self.network))
            terms = self.objective.loss(prediction, batch)
            (torch.stack(list(terms.values())).sum() / self.recipe.accumulate).backward()
            for name, term in terms.items():
                sums[name] = sums.get(name, 0) + term.detach()
        nn.utils.clip_grad_norm_(model.parameters(), self.recipe.clip)
        self.optimiser.step()
        self.step += 1
        update_average(self.average, self.network, self.step)
        return {name: term / self.recipe.accumulate for name, term in sums.items()}

    def make_validation(self) -> Validation:
        """Return what measures the networks of this run."""
        return open_validation(self.recipe, self.objective.prior_span, self.device)

    def _progress(self) -> tuple[float, float]:
        """Return how much is done, and of how much, in steps or in seconds."""
        if self.recipe.minutes is None:
            return self.step, self.recipe.steps
        return self._count_seconds(), 60 * self.recipe.minutes

    def _count_seconds(self) -> float:
        return self._seconds + (0.0 if self._began is None else monotonic() - self._began)

    def _is_over(self) -> bool:
        done, total = self._progress()
        return done >= total

    def _gather_states(self) -> list[dict[str, Any]]:
        """Return what every process goes on from: its source and its random numbers."""
        random = [torch.get_rng_state()]
        if self.device.type == "cuda":
            random.append(torch.cuda.get_rng_state(self.device))
        states: list[dict[str, Any]] = [{"source": self._source_state, "random": random}]
        if self._parallel:
            states *= self.processes
            distributed.all_gather_object(states, states[0])
        return states

    def _save(self, states: list[dict[str, Any]]) -> None:
        write_checkpoint(
            self.checkpoint,
            {
                "step": self.step,
                "seconds": self._count_seconds(),
                "processes": self.processes,
                "states": states,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "recipe": asdict(self.recipe),
            },
        )

    def _resume(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.checkpoint.is_file():
            return
        state = read_checkpoint(self.checkpoint)
        self.step = state["step"]
        self._seconds = state["seconds"]
        self._check_is_the_same_run(state)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self._is_over():
            # Nothing is left to train: the run is what it was.
            self.processes = state["processes"]
            return
        own = state["states"][self.rank]
        self._source_state = own["source"]
        torch.set_rng_state(own["random"][0])
        if len(own["random"]) > 1:
            torch.cuda.set_rng_state(own["random"][1], self.device)

    def _check_is_the_same_run(self, state: dict[str, Any]) -> None:
        asked = asdict(self.recipe)
        changed = [
            name.replace("_", " ")
            for name, value in state["recipe"].items()
            if name != "validate_every" and value != asked[name]
        ]
        # A finished run is exported by one process, however many trained it.
        if not self._is_over() and state["processes"] != self.processes:
            changed.append("number of processes")
        if changed:
            raise InputError(
                f"{self.checkpoint} is of a run with another {', '.join(changed)}; repeat its "
                "options, or give another folder"
            )
