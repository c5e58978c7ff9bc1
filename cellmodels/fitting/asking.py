"""What a fit can be asked about its uncertainty; the answers are in `uncertainty/`.

Answers are datasets. A fit carries those that it is given (`with_uncertainty`) in groups of its
tree: ``/profile``, ``/bootstrap``, ``/samples``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import xarray as xr

from cellmodels.cell import Cell
from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting import fit_tree
from cellmodels.fitting.inflation import Inflation
from cellmodels.fitting.least_squares import FitError
from cellmodels.fitting.problem import Evaluation, Predictor, Problem
from cellmodels.fitting.uncertainty.arviz_tree import arviz_tree
from cellmodels.fitting.uncertainty.bootstrap import parametric_bootstrap
from cellmodels.fitting.uncertainty.multistart import comparable
from cellmodels.fitting.uncertainty.profile import profile_likelihood
from cellmodels.fitting.uncertainty.sampling import sample_posterior
from cellmodels.fitting.uncertainty.sloppy import directions, in_words
from cellmodels.fitting.uncertainty.workers import Given, Source
from cellmodels.uncertainty_figures import plot_pairs, plot_profiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Asking"]

#: Groups of answers, and a variable that tells each.
_ANSWERS = {"profile": "closed_low", "bootstrap": "spread", "samples": "r_hat"}


class Asking:
    """The part of a fit that asks its problem again.

    Attributes
    ----------
    cell : Cell
        The cell with the fitted values.
    tree : xarray.DataTree
    """

    cell: Cell
    tree: xr.DataTree

    def problem(self, predict: Predictor | None = None) -> Problem:
        """What was fitted to what, to be asked again: profiles, samples and restarts start here.

        Parameters
        ----------
        predict : Predictor, optional
            In place of the simulator.

        Returns
        -------
        Problem
        """
        problem = Problem(
            predict or _nothing,
            fit_tree.observations(self.tree),
            fit_tree.scaling(self.tree),
            fit_tree.loss(self.tree),
            fit_tree.prior(self.tree),
            self.tree.attrs.get("solver_tolerance"),
        )
        return problem if predict is not None else self._simulated(problem).build()

    # Questions ----------------------------------------------------------------------------

    @property
    def sloppy(self) -> list[str]:
        """What the data determine where they do not determine every parameter, in words."""
        return in_words(*Inflation.of_tree(self.tree).told)

    @property
    def directions(self) -> xr.Dataset:
        """Eigenvectors of the information of the scaled parameters, the stiffest first."""
        return directions(*Inflation.of_tree(self.tree).told)

    def profile(
        self,
        names: Sequence[str] | None = None,
        *,
        level: float = 0.95,
        executor: Executor | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        predict: Predictor | None = None,
        progress: bool = True,
    ) -> xr.Dataset:
        """Intervals by profile likelihood, open where the data do not bound a parameter.

        The deviance is divided by what the covariance of the fit has been widened by, because
        residuals are larger than the noise or alike (scaled likelihood ratio: R. E. Chandler and
        S. Bate, Biometrika 94 (2007) 167, doi:10.1093/biomet/asm015). Of a fit from many starts
        every optimum is profiled that explains the data about as well; an interval then may
        consist of several pieces.

        Parameters
        ----------
        names : sequence of str, optional
            Parameters to profile; all by default.
        level : float
            Of the intervals.
        executor : concurrent.futures.Executor, optional
            Each of its workers builds the simulator once, and follows one parameter from one
            optimum at a time.
        checkpoint : path, optional
            File of the profiles that are done; continued where it exists.
        predict : Predictor, optional
            In place of the simulator; an executor is sent it.
        progress : bool
            Show a progress bar.

        Returns
        -------
        xarray.Dataset
            See :func:`~cellmodels.fitting.uncertainty.profile.profile_likelihood`.

        Raises
        ------
        InputError
            On an unknown name, a level that is none, or a checkpoint of something else.
        FitError
            When the simulation fails at the fitted values.
        """
        problem = self.problem(predict)
        return profile_likelihood(
            problem,
            self._optimum(problem),
            names,
            level=level,
            variance=Inflation.of_tree(self.tree).by_name,
            freedom=max(int(self.tree.attrs["degrees_of_freedom"]), 1),
            others=self._other_optima(problem),
            source=self._source(problem, predict),
            executor=executor,
            checkpoint=checkpoint,
            progress=progress,
        )

    def bootstrap(
        self,
        samples: int = 100,
        *,
        seed: int = 0,
        noise: str = "as residuals",
        level: float = 0.95,
        executor: Executor | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        predict: Predictor | None = None,
        progress: bool = True,
    ) -> xr.Dataset:
        """Refits to new noise around the best model.

        Parameters
        ----------
        samples : int
            Number of refits.
        seed : int
            The same seed gives the same numbers, with any executor.
        noise : {"as residuals", "white"}
            Whether noise is alike from point to point where residuals are.
        level : float
            Of the intervals.
        executor : concurrent.futures.Executor, optional
            Each of its workers builds the simulator once.
        checkpoint : path, optional
            File of the refits that are done; continued where it exists.
        predict : Predictor, optional
            In place of the simulator; an executor is sent it.
        progress : bool
            Show a progress bar.

        Returns
        -------
        xarray.Dataset
            See :func:`~cellmodels.fitting.uncertainty.bootstrap.parametric_bootstrap`.

        Raises
        ------
        InputError
            On a wrong number, or a checkpoint of something else.
        FitError
            When the simulation fails at the fitted values.
        """
        problem = self.problem(predict)
        return parametric_bootstrap(
            problem,
            self._optimum(problem),
            samples=samples,
            seed=seed,
            noise=noise,
            level=level,
            source=self._source(problem, predict),
            executor=executor,
            checkpoint=checkpoint,
            progress=progress,
        )

    def sample(
        self,
        steps: int = 2000,
        *,
        walkers: int | None = None,
        seed: int = 0,
        level: float = 0.95,
        executor: Executor | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        predict: Predictor | None = None,
        progress: bool = True,
    ) -> xr.Dataset:
        """Samples of the posterior by Markov chain Monte Carlo (needs ``cellmodels[mcmc]``).

        Each step simulates the cell for every walker: hours for a long life.

        Parameters
        ----------
        steps : int
            Largest number of steps; fewer when the chains have converged.
        walkers : int, optional
            Four times the number of parameters by default, at least 12.
        seed : int
            The same seed gives the same samples, with any executor.
        level : float
            Of the intervals.
        executor : concurrent.futures.Executor, optional
            Each of its workers builds the simulator once.
        checkpoint : path, optional
            File of the chains so far; continued where it exists.
        predict : Predictor, optional
            In place of the simulator; an executor is sent it.
        progress : bool
            Show a progress bar.

        Returns
        -------
        xarray.Dataset
            See :func:`~cellmodels.fitting.uncertainty.sampling.sample_posterior`; its attribute
            ``converged`` says whether the samples can be used.

        Raises
        ------
        InputError
            When emcee is not installed, on a wrong number, or a checkpoint of something else.
        FitError
            When the simulation fails at the fitted values.
        """
        problem = self.problem(predict)
        return sample_posterior(
            problem,
            self._optimum(problem),
            self._parameters["covariance"].values,
            steps=steps,
            walkers=walkers,
            seed=seed,
            variance=Inflation.of_tree(self.tree).overall,
            level=level,
            source=self._source(problem, predict),
            executor=executor,
            checkpoint=checkpoint,
            progress=progress,
        )

    # Answers ------------------------------------------------------------------------------

    @property
    def uncertainty(self) -> dict[str, xr.Dataset]:
        """The answers that this fit carries: ``profile``, ``bootstrap``, ``samples``."""
        kept = [kind for kind in _ANSWERS if kind in self.tree.children]
        return {kind: self.tree[kind].to_dataset().copy(deep=True) for kind in kept}

    def with_uncertainty(self, answer: xr.Dataset) -> Self:
        """The fit with an answer, which is then shown and saved with it.

        After a profile, intervals and the verdict "identifiable" are the profile's: closed on
        both sides inside the bounds, and narrow.

        Parameters
        ----------
        answer : xarray.Dataset
            From :meth:`profile`, :meth:`bootstrap` or :meth:`sample`.

        Raises
        ------
        InputError
            When it is none of these, of other parameters, or a profile of another level than 95 %,
            or of the fit without its fixed inputs, or with them.
        """
        kind = next((k for k, mark in _ANSWERS.items() if mark in answer), None)
        if kind is None:
            raise InputError("This is no answer of fit.profile(), fit.bootstrap(), fit.sample().")
        known = [str(n) for n in self._parameters["parameter"].values]
        for name in map(str, answer["parameter"].values):
            if name not in known:
                raise InputError(
                    f"The answer is about {name!r}, which is not fitted."
                    + did_you_mean(name, known)
                )
        tree = self.tree.copy(deep=True)
        if kind == "profile":
            self._check_variance(answer)
            found = fit_tree.profiled(tree, answer)
            tree["parameters"] = xr.DataTree(fit_tree.plain_dataset(found))
        tree[kind] = xr.DataTree(fit_tree.plain_dataset(answer))
        return self._with_tree(tree)

    def _check_variance(self, profile: xr.Dataset) -> None:
        """Refuse a profile with another variance, as that of a fit with other fixed inputs is."""
        mine = Inflation.of_tree(self.tree).by_name
        for name, variance in zip(
            map(str, profile["parameter"].values), profile["variance"].values, strict=True
        ):
            if not np.isclose(variance, mine[name], rtol=1e-3):
                raise InputError(
                    f"The profile of {name!r} is that of a fit whose variance is {variance:.4g} "
                    f"times that of the noise; of this fit it is {mine[name]:.4g}. Ask this fit: "
                    "fit.profile()."
                )

    def to_arviz(self) -> xr.DataTree:
        """Samples as a tree that arviz reads, e.g. by ``arviz.from_netcdf`` from a file.

        Returns
        -------
        xarray.DataTree
            Groups ``posterior`` and ``sample_stats`` (chain, draw), ``observed_data``, and
            ``prior`` where it is flat.

        Raises
        ------
        InputError
            When the fit carries no samples.
        """
        if "samples" not in self.tree.children:
            raise InputError(
                "The fit carries no samples: fit = fit.with_uncertainty(fit.sample()) first."
            )
        return arviz_tree(self.tree["samples"].to_dataset(), self.problem(_nothing))

    def plot_profiles(self) -> Figure:
        """The profiles that the fit carries.

        Raises
        ------
        InputError
            When it carries none.
        """
        if "profile" not in self.tree.children:
            raise InputError(
                "The fit carries no profile: fit = fit.with_uncertainty(fit.profile()) first."
            )
        return plot_profiles(self.tree["profile"].to_dataset(), self.tree)

    def plot_pairs(self) -> Figure:
        """Parameters against each other: samples, refits, or ellipses of the covariance."""
        return plot_pairs(self.tree)

    # ------------------------------------------------------------------------------------------

    @property
    def _parameters(self) -> xr.Dataset:
        return self.tree["parameters"].to_dataset()

    def _with_tree(self, tree: xr.DataTree) -> Self:
        raise NotImplementedError

    def _optimum(self, problem: Problem) -> Evaluation:
        best = problem.evaluate_optimum(self._parameters["value"].values)
        if not best.ok:
            raise FitError(f"The simulation fails at the fitted values: {best.outcome.message}.")
        return best

    def _other_optima(self, problem: Problem) -> list[Evaluation]:
        """Those that fits from many starts ended in and that explain the data about as well."""
        if "optima" not in self.tree.children:
            return []
        optima = self.tree["optima"].to_dataset()
        chosen = comparable(optima, Inflation.of_tree(self.tree).overall)
        return [problem.evaluate_optimum(optima["values"].values[k]) for k in chosen]

    def _source(self, problem: Problem, predict: Predictor | None) -> Source:
        return self._simulated(problem) if predict is None else Given(problem)

    def _simulated(self, problem: Problem) -> Source:
        """What workers make the problem's simulator of."""
        raise NotImplementedError

    def _cell_before(self) -> Cell:
        """The cell before the fit."""
        parameters = fit_tree.scaling(self.tree).parameters
        before = {p.name: p.nominal for p in parameters if p.nominal is not None}
        return self.cell.with_parameters(before, source="before the fit")


def _nothing(*_: Any, **__: Any) -> Any:
    raise RuntimeError("this problem has no predictor")
