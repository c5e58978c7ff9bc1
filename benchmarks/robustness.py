"""Random cells, far from their nominal ageing: whatever PyBaMM simulates must be simulated here.

Run with ``python -m benchmarks.robustness``. A draw is a model level, a set of mechanisms, a
protocol and a value for every ageing parameter of the mechanisms: over four decades around the
nominal value, or, where it is an exponent or a potential, over the range that the parameter set
gives. Some draws age so fast that the cell dies within its first cycles. Each is simulated for a
few cycles by `cellmodels.Simulator.simulate` and by PyBaMM's IDAKLU at two tolerances.

Compared are the charge and the time of every cycle that PyBaMM completes, until the cell's
collapse. They may differ by the larger of 1e-3, relative, and three times the difference between
PyBaMM's own two runs.

``--resume FILE`` appends each result to a file and leaves out what is in it already;
``--draws``, ``--seed`` choose how many and which.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pybamm

import cellmodels as cm
from benchmarks.pybamm_reference import Reference
from benchmarks.report import Target, parser, report
from cellmodels.simulator import Simulator
from cellmodels.solver.outcome import Reason

#: level: cycles of a draw and draws of one configuration. The DFN costs the most: fewer draws.
LEVELS = MappingProxyType({"SPM": (6, 18), "SPMe": (4, 15), "DFN": (4, 9)})
MECHANISMS: Mapping[str, tuple[cm.Mechanism, ...]] = MappingProxyType(
    {
        "usual": (cm.SEI(), cm.LithiumPlating(), cm.LossOfActiveMaterial()),
        "reactions": (
            cm.SEI(limit="reaction"),
            cm.LithiumPlating(kind="irreversible"),
            cm.LossOfActiveMaterial(driver="stress and reaction"),
            cm.ParticleCracking(),
        ),
        "dry": (
            cm.SEI(limit="electron migration", porosity_change=False),
            cm.LithiumPlating(kind="reversible", porosity_change=False),
            cm.ParticleCracking(electrodes=("negative", "positive")),
        ),
        "warm": (
            cm.SEI(limit="interstitial diffusion"),
            cm.LithiumPlating(),
            cm.LossOfActiveMaterial(driver="reaction"),
            cm.ParticleCracking(),
            cm.LumpedThermal(),
        ),
    }
)
PROTOCOLS = MappingProxyType(
    {
        "current": ("Discharge at 1C until 2.5 V", "Charge at C/2 until 4.2 V"),
        "hold": (
            "Discharge at 1C until 2.5 V",
            "Charge at C/2 until 4.2 V",
            "Hold at 4.2 V until C/50",
        ),
        "power": (
            "Discharge at 15 W until 2.5 V",
            "Charge at 8 W until 4.2 V",
            "Hold at 4.2 V until C/20",
        ),
        "rests": (
            "Discharge at C/2 until 2.5 V",
            "Rest for 1 hour",
            "Charge at C/3 until 4.1 V",
            "Hold at 4.1 V for 30 minutes",
            "Rest for 20 minutes",
        ),
        "truncated": (
            "Discharge at 1C for 40 minutes or until 2.5 V",
            "Rest for 5 minutes",
            "Charge at C/2 for 70 minutes or until 4.2 V",
        ),
        "fast": (
            "Discharge at 2C until 2.8 V",
            "Charge at 1.5C until 4.2 V",
            "Hold at 4.2 V until C/10",
        ),
    }
)
#: Ageing parameters that are no factor on a rate or a size: drawn from the parameter set's range.
SHAPES = (
    "exponential term",
    "transfer coefficient",
    "open-circuit potential",
    "activation energy",
    "Paris' law constant",
)
DECADES = (-2.0, 2.0)
#: One draw in so many loses active material, and lithium to dead lithium, this much faster.
DYING, FASTER = 6, 1e3
RATES = ("LAM constant proportional term", "reaction-driven LAM factor", "cracking rate")
#: A cell that gives less than this share of its nominal capacity has collapsed.
COLLAPSED = 0.1
TOLERANCES = (1e-6, 1e-8)
AGREE, SPREADS = 1e-3, 3.0
#: IDAKLU gives up when so many steps bring it no further [s]; it would go on for ever.
NO_PROGRESS = MappingProxyType({"num_steps_no_progress": 5000, "t_no_progress": 1.0})
#: Cycles that PyBaMM is given at once.
CHUNK = 2
#: A simulation that takes longer hangs, ours and PyBaMM's [s of CPU time].
PATIENCE, THEIR_PATIENCE = 60.0, 30.0

QUICK = (("SPM", "usual", "hold"), ("SPMe", "usual", "power"), ("DFN", "usual", "truncated"))


@dataclass(frozen=True)
class Draw:
    """One random cell; `number` counts within its configuration."""

    level: str
    mechanisms: str
    protocol: str
    number: int

    @property
    def name(self) -> str:
        """What identifies it in a file of results."""
        return f"{self.level}/{self.mechanisms}/{self.protocol}/{self.number}"

    @property
    def configuration(self) -> tuple[str, str, str]:
        """What is built once for several draws."""
        return self.level, self.mechanisms, self.protocol

    def values(self, cell: cm.Cell, seed: int) -> dict[str, float]:
        """A value for each ageing parameter, the same for the same draw and seed."""
        places = (LEVELS, MECHANISMS, PROTOCOLS)
        where = [list(p).index(k) for p, k in zip(places, self.configuration, strict=True)]
        random = np.random.default_rng([seed, *where, self.number])
        found = {}
        for name in cell.ageing_parameters:
            value, share = cell.value(name), random.random()
            if any(shape in name for shape in SHAPES):
                bounds = cell.parameters.parameters[name].range
                assert bounds is not None
                low, high = bounds
                found[name] = low + share * (high - low)
                continue
            found[name] = value * 10.0 ** (DECADES[0] + share * (DECADES[1] - DECADES[0]))
            if self.number % DYING == DYING - 1 and any(rate in name for rate in RATES):
                found[name] *= FASTER
        return found


class Hang(BaseException):
    """A simulation took too long; no handler of ordinary errors may catch it."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Raise `Hang` in what runs inside after so many seconds of CPU time."""

    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def apart(function: Callable[[], Any], seconds: float) -> Any:
    """The result of a function, or how it ended without one: "hang" or "crash".

    It hangs if it takes more CPU time than this, or ten times as much time on the clock. It
    runs in a copy of this process, which the system ends: compiled code, such as that of
    PyBaMM's solver, cannot be interrupted from Python.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limit = int(np.ceil(time.process_time() + seconds))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        theirs.send(function())

    child = context.Process(target=work)
    child.start()
    theirs.close()
    try:
        if ours.poll(10.0 * seconds):
            return ours.recv()
        child.kill()
    except EOFError:  # it ended without a result
        pass
    finally:
        child.join()
    return "hang" if child.exitcode in (-signal.SIGKILL, -signal.SIGXCPU) else "crash"


class Pair:
    """Both sides of one configuration, built once."""

    def __init__(self, level: str, mechanisms: str, protocol: str) -> None:
        self.steps = PROTOCOLS[protocol]
        self.cell = cm.Cell("lithium_ion", "nmc_graphite_siox", level, MECHANISMS[mechanisms])
        self.cycles = LEVELS[level][0]
        free = self.cell.ageing_parameters
        self.simulator = Simulator(self.cell, cm.Protocol(self.steps), free)
        self.references = [
            Reference(
                self.cell,
                self.steps,
                free=free,
                rtol=rtol,
                atol=0.01 * rtol,
                chunk=CHUNK,
                options=NO_PROGRESS,
            )
            for rtol in TOLERANCES
        ]
        for reference in self.references:
            reference.build(CHUNK, 1)  # once here, not in every copy of this process

    def compare(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Both sides of a draw, and what comes of comparing them."""
        start = time.process_time()
        ours = self._ours(values)
        our_time = time.process_time() - start
        theirs = [self._theirs(r, values) for r in self.references]
        collapse = COLLAPSED * self.cell.nominal_capacity
        result = {
            "verdict": verdict(ours, theirs, self.cycles, collapse),
            "outcome": ours["outcome"],
            "message": ours["message"],
            "cycles": len(ours["charge"]),
            "PyBaMM cycles": [len(t["charge"]) for t in theirs],
            "PyBaMM": [t["message"][:200] for t in theirs],
            "capacities": [float(f"{c:.5g}") for c in ours["charge"]],
            "PyBaMM capacities": [float(f"{c:.5g}") for c in longest(theirs)["charge"]],
            "work": ours.get("work", {}),
            "CPU s": our_time,
            "PyBaMM CPU s": sum(t["CPU s"] for t in theirs),
            "compared": min(counted(theirs, collapse), len(ours["charge"])),
        }
        return result | difference(ours["charge"], ours["time"], theirs, collapse)

    def _ours(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Our life: charge [A.h] and time [s] of each completed cycle, and how it ended."""
        none: dict[str, Any] = {"charge": np.empty(0), "time": np.empty(0)}
        try:
            with patience(PATIENCE):
                life = self.simulator.simulate(self.cycles, values)
        except Hang:
            return none | {"outcome": "hang", "message": f"after {PATIENCE:g} s"}
        except Exception as error:
            return none | {"outcome": "crash", "message": f"{type(error).__name__}: {error}"}
        table = life["cycles"].to_dataset()
        found = {"outcome": life.attrs["outcome"], "message": life.attrs["message"]}
        found["work"] = {k: v for k, v in life.attrs.items() if str(k).startswith("steps_")}
        if not life.attrs["completed_cycles"]:
            return none | found
        duration = np.diff(table["elapsed_time"].values, prepend=0.0)
        charge = table["discharge_capacity"].values
        every = [np.asarray(table[name]) for name in table.variables]
        bad = [name for name, v in zip(table.variables, every, strict=True) if np.isinf(v).any()]
        # an efficiency is not a number where nothing was charged
        bad += [
            name for name in ("discharge_capacity", "charge_capacity") if table[name].isnull().any()
        ]
        if bad or not np.all(np.isfinite(duration)):
            found |= {"outcome": "nan", "message": ", ".join(bad) or "time"}
        elif found["outcome"] not in set(Reason) or (
            found["outcome"] != Reason.COMPLETED and not found["message"]
        ):
            found |= {"outcome": "untyped", "message": str(found)}
        return found | {"charge": charge, "time": duration}

    def _theirs(self, reference: Reference, values: Mapping[str, float]) -> dict[str, Any]:
        """PyBaMM's life; whatever it raises is its reason to end."""

        def attempt() -> tuple[Mapping[str, Any], str]:
            try:
                return reference.attempt(self.cycles, values)
            except Exception as error:
                return {}, f"{type(error).__name__}: {error}"

        found = apart(attempt, THEIR_PATIENCE)
        life, message = ({}, found) if isinstance(found, str) else found
        none = np.empty(0)
        duration = np.diff(life.get("elapsed_time", none), prepend=0.0) if life else none
        return {
            "charge": life.get("discharge_capacity", none),
            "time": duration,
            "message": message,
            "CPU s": life.get("cpu_time", 0.0),
        }


def longest(theirs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run that got furthest; of equals the one at the tightest tolerance."""
    return max(reversed(theirs), key=lambda t: len(t["charge"]))


def counted(theirs: Sequence[dict[str, Any]], collapse: float) -> int:
    """How many of the cycles that PyBaMM completes precede the cell's collapse."""
    dead = np.flatnonzero(longest(theirs)["charge"] < collapse)
    return int(dead[0]) if len(dead) else len(longest(theirs)["charge"])


def difference(
    charge: np.ndarray, time: np.ndarray, theirs: Sequence[dict[str, Any]], collapse: float
) -> dict[str, Any]:
    """The largest difference over what is allowed, and where, among the cycles that count."""
    best, count = longest(theirs), min(counted(theirs, collapse), len(charge))
    worst: dict[str, Any] = {"difference": 0.0, "allowed": AGREE, "spread": 0.0}
    for k, (name, ours) in itertools.product(range(count), (("charge", charge), ("time", time))):
        both = [t[name][k] for t in theirs if len(t[name]) > k]
        spread = float(np.ptp(both) / best[name][k])
        found: dict[str, Any] = {
            "difference": abs(float(ours[k] / best[name][k]) - 1.0),
            "allowed": max(AGREE, SPREADS * spread),
            "spread": spread,
            "of": f"{name} of cycle {k + 1}",
        }
        if found["difference"] / found["allowed"] >= worst["difference"] / worst["allowed"]:
            worst = found
    return worst


def verdict(
    ours: dict[str, Any], theirs: Sequence[dict[str, Any]], cycles: int, collapse: float
) -> str:
    """One of the words of `VERDICTS`."""
    if ours["outcome"] in ("crash", "hang", "nan", "untyped"):
        return str(ours["outcome"])
    count, done = counted(theirs, collapse), len(ours["charge"])
    if done < count:
        return "missed"
    worst = difference(ours["charge"], ours["time"], theirs, collapse)
    if worst["difference"] > worst["allowed"]:
        return "differs"
    if count == cycles:
        return "agrees"
    if len(longest(theirs)["charge"]) > count:
        return "agrees until the collapse"
    return "agrees, PyBaMM ends earlier" if done > count else "agrees, both end early"


VERDICTS = (
    "agrees",
    "agrees until the collapse",
    "agrees, both end early",
    "agrees, PyBaMM ends earlier",
    "differs",
    "missed",
    "crash",
    "hang",
    "nan",
    "untyped",
)


def draws(count: int, seed: int) -> list[Draw]:
    """So many draws, those of one configuration together."""
    everything = list(itertools.product(LEVELS, MECHANISMS, PROTOCOLS))
    order = np.random.default_rng(seed).permutation(len(everything))
    found: list[Draw] = []
    for turn in itertools.count():
        for index in order:
            level, mechanisms, protocol = everything[index]
            size = LEVELS[level][1]
            numbers = range(turn * size, (turn + 1) * size)
            found += [Draw(level, mechanisms, protocol, k) for k in numbers]
            if len(found) >= count:
                return found[:count]
    raise AssertionError("unreachable")


def quick_draws() -> list[Draw]:
    """A few draws of each level, among them one that dies."""
    numbers = (0, 1, DYING - 1)
    return [Draw(*one, number) for one in QUICK for number in numbers]


def run(wanted: Iterable[Draw], seed: int, file: Path | None) -> Iterator[dict[str, Any]]:
    """Results of all draws, read from the file or simulated and appended to it."""
    known = {(r["draw"], r["seed"]): r for r in read(file)} if file else {}
    pair, configuration = None, None
    for draw in wanted:
        if (draw.name, seed) in known:
            yield known[draw.name, seed]
            continue
        if pair is None or draw.configuration != configuration:
            pair, configuration = Pair(*draw.configuration), draw.configuration
        found = {"draw": draw.name, "seed": seed, "level": draw.level, "protocol": draw.protocol}
        result = found | pair.compare(draw.values(pair.cell, seed))
        if file:
            with file.open("a", encoding="utf8") as lines:
                lines.write(json.dumps(result, default=float) + "\n")
        yield result


def read(file: Path) -> list[dict[str, Any]]:
    """Results in a file; a last line that was cut off does not count."""
    found = []
    for line in file.read_text(encoding="utf8").splitlines() if file.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def summary(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many draws of each level and protocol came to each verdict, and what they cost."""
    rows = []
    for level, protocol in itertools.product(LEVELS, (*PROTOCOLS, "all")):
        mine = [r for r in results if r["level"] == level and protocol in (r["protocol"], "all")]
        if not mine:
            continue
        count = Counter(r["verdict"] for r in mine)
        rows.append(
            {"model": level, "protocol": protocol, "draws": len(mine)}
            | {"with cycles to compare": sum(r["compared"] > 0 for r in mine)}
            | {v: count[v] for v in VERDICTS}
            | {
                "CPU s": sum(r["CPU s"] for r in mine),
                "PyBaMM CPU s, two runs": sum(r["PyBaMM CPU s"] for r in mine),
            }
        )
    return rows


def main() -> None:
    """Run the draws and report."""
    options = parser(__doc__ or "")
    options.add_argument("--draws", type=int, default=1000, help="how many")
    options.add_argument("--seed", type=int, default=0, help="which")
    options.add_argument("--resume", type=Path, help="file of results, made or continued")
    chosen = options.parse_args()
    wanted = quick_draws() if chosen.quick else draws(chosen.draws, chosen.seed)
    pybamm.set_logging_level("CRITICAL")
    results = []
    for k, result in enumerate(run(wanted, chosen.seed, chosen.resume), start=1):
        results.append(result)
        good = result["verdict"].startswith("agrees")
        told = "" if good else f" {result['message']} | {result['PyBaMM']}"
        print(f"{k}/{len(wanted)} {result['draw']}: {result['verdict']}{told}", flush=True)
    reasons = Counter(r["outcome"] for r in results)
    print("\nour outcomes:", dict(reasons.most_common()))
    work: Counter[str] = Counter()
    for r in results:
        work.update(r["work"])
    print("our work:", dict(work), end="\n\n")
    count = Counter(r["verdict"] for r in results)
    bad = [r for r in results if not r["verdict"].startswith("agrees")]
    for r in bad:
        print(json.dumps(r, default=float))
    targets = [
        Target(f"draws that PyBaMM completes and we do not, of {len(results)}", count["missed"], 0),
        Target("draws that differ by more than is allowed", count["differs"], 0),
        *(Target(f"{word}: draws", count[word], 0) for word in ("crash", "hang", "nan", "untyped")),
    ]
    rows = summary(results)
    report("robustness", rows, targets, chosen.quick)


if __name__ == "__main__":
    main()
