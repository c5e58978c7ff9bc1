"""The chains of a running sampler on disk: arrays alone, replaced in one step.

With the state of the random numbers in it, a sampler that was killed goes on as if it had not
been.
"""

from __future__ import annotations

import os
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cellmodels.errors import InputError
from cellmodels.writing import replacing

__all__ = ["ChainFile"]

_SCHEMA = "cellmodels-chains/1"
_SECONDS = 20.0
_ARRAYS = ("chain", "log_prob", "likelihood", "prior", "accepted", "keys", "position")


@dataclass(eq=False)
class ChainFile:
    """A file of chains.

    Parameters
    ----------
    path : path
    mark : str
        Identifies the problem and the settings.

    Raises
    ------
    InputError
        When its folder does not exist.
    """

    path: str | os.PathLike[str]
    mark: str
    _written: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        folder = Path(self.path).absolute().parent
        if not folder.is_dir():
            raise InputError(f"The folder of the checkpoint {folder} does not exist.")

    def write(self, backend: Any, now: bool = False) -> None:
        """Write emcee's backend, if the last time was some while ago, or `now`."""
        if not now and time.monotonic() - self._written < _SECONDS:
            return
        blobs, state = backend.get_blobs(), backend.random_state
        arrays = {
            "chain": backend.get_chain(),
            "log_prob": backend.get_log_prob(),
            "likelihood": blobs["likelihood"],
            "prior": blobs["prior"],
            "accepted": backend.accepted,
            "keys": state[1],
            "position": np.array([state[2], state[3], state[4]], dtype=float),
        }
        with replacing(Path(self.path).absolute()) as temporary, temporary.open("wb") as file:
            np.savez(file, schema=_SCHEMA, mark=self.mark, **arrays)
        self._written = time.monotonic()

    def read(self, backend: Any, parts: Any) -> bool:
        """Put what the file holds into an empty backend; whether there is a file.

        Raises
        ------
        InputError
            When it is no file of chains, or one of another problem or other settings.
        """
        if not Path(self.path).exists():
            return False
        try:
            with np.load(self.path, allow_pickle=False) as file:
                same = str(file["schema"]) == _SCHEMA and str(file["mark"]) == self.mark
                found = {name: file[name] for name in _ARRAYS}
            steps, walkers, count = found["chain"].shape
            blobs = np.empty((steps, walkers), dtype=parts)
            blobs["likelihood"], blobs["prior"] = found["likelihood"], found["prior"]
            position = found["position"]
            state = ("MT19937", found["keys"], int(position[0]), int(position[1]), position[2])
            np.random.RandomState().set_state(state)
        except (
            OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile
        ) as error:  # fmt: skip
            raise InputError(f"{self.path} is not a checkpoint of samples ({error!r}).") from error
        if not same:
            raise InputError(
                f"The checkpoint {self.path} belongs to another fit or other settings."
            )
        backend.reset(walkers, count)
        backend.grow(steps, blobs[0])
        backend.chain[:], backend.log_prob[:] = found["chain"], found["log_prob"]
        backend.blobs[:] = blobs
        backend.accepted, backend.iteration = found["accepted"], steps
        backend.random_state = state
        return True
