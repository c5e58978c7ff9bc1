"""The command line: ``cellmodels fit``, ``batch``, ``simulate``, ``checkups`` and others.

Exit codes: 0 when all went well; 1 when a fit did not converge or a life ended early, or neither
could begin; 2 when something that the user wrote is wrong; 130 after Ctrl-C. Results are printed
on stdout, everything else on stderr.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shlex
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cellmodels.errors import CellModelsError, InputError

if TYPE_CHECKING:  # imported where they are used: a wrong option should not take seconds to say so
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from cellmodels.checkups import CheckupsFound
    from cellmodels.fit_file import FitJob, Output
    from cellmodels.fitting import Fit
    from cellmodels.parameter_set import ParameterSet
    from cellmodels.record.quality.report import Finding

_FAILED, _WRONG_INPUT, _INTERRUPTED = 1, 2, 130
_CHECKPOINT = ".checkpoint.json"
_ROWS = 12  # of a printed life
_WIDTH = 120  # of its tables

app = typer.Typer(
    help="Cell models: simulate whole lives, fit ageing to cycling data.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
parameters = typer.Typer(help="Look at parameter sets.", no_args_is_help=True)
app.add_typer(parameters, name="parameters")

_RunFile = Annotated[Path, typer.Argument(metavar="FILE", help="TOML file of the run.")]
_Folder = Annotated[
    Path | None, typer.Option("--output", metavar="DIR", help="Folder for the results.")
]
_Columns = Annotated[
    list[str] | None,
    typer.Option(metavar="HEADER=MEANING", help=r'As in "U=voltage \[mV]"; may be repeated.'),
]
_Restarts = Annotated[
    str | None, typer.Option(metavar="cycle|step", help="Where the time in the file begins anew.")
]
_Repairs = Annotated[
    list[str] | None,
    typer.Option(metavar="KIND", help='What to repair, or "all"; may be repeated.'),
]
_Progress = Annotated[bool, typer.Option("--progress/--no-progress", help="Show a progress bar.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        from cellmodels import __version__

        others = (f"{name} {importlib.metadata.version(name)}" for name in ("pybamm", "casadi"))
        typer.echo(f"cellmodels {__version__} ({', '.join(others)})")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show versions."),
    ] = False,
) -> None: ...


# --- commands ----------------------------------------------------------------------------------


@app.command()
def fit(
    file: _RunFile,
    output: _Folder = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted fit from its checkpoint.")
    ] = False,
    progress: _Progress = True,
) -> None:
    """Fit parameters of a cell to a record of its life."""
    with _reported():
        from cellmodels.fit_file import read_fit_file

        job = read_fit_file(file, output)
        again = ["cellmodels", "fit", str(file)] + (["--output", str(output)] if output else [])
        found = _run_fit(job, again, resume, progress)
        typer.echo(repr(found))
        _end_fit(job, found)


@app.command()
def batch(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="TOML file of the batch.")],
    output: _Folder = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of processes, instead of the file's.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Do all fits again.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed before.")
    ] = False,
    progress: _Progress = True,
) -> None:
    """Fit a table of records; the same command goes on where it was stopped."""
    with _reported():
        from cellmodels.batch_file import read_batch_file

        job = read_batch_file(file, output)
        if job.folder.resolve() in {path.resolve().parent for path in job.inputs}:
            raise InputError(f"The results would lie among their inputs in {job.folder}.")
        _make_folder(job.folder)
        options = ["--output", str(output)] if output else []
        again = shlex.join(["cellmodels", "batch", str(file), *options])
        try:
            found = job.run(
                workers=workers, resume=not anew, retry_failed=retry_failed, progress=progress
            )
        except KeyboardInterrupt:
            _fail(f"Interrupted. To continue:\n  {again}", _INTERRUPTED)
        typer.echo(repr(found))
        _say_written([found.folder / "table.csv", found.folder / "failed.csv"])
        bad = len(job.tasks) - len(found.converged)
        if bad:
            _fail(f"{bad} of {len(job.tasks)} fits failed or did not converge.", _FAILED)


@app.command()
def simulate(
    file: _RunFile,
    cycles: Annotated[
        int | None, typer.Option(min=1, help="Number of cycles, instead of the file's.")
    ] = None,
    output: _Folder = None,
    progress: _Progress = True,
) -> None:
    """Simulate the life of a cell."""
    with _reported():
        from cellmodels.estimates import names_in
        from cellmodels.fit_file import read_simulate_file
        from cellmodels.plotting import plot_life
        from cellmodels.record import write_record
        from cellmodels.record.table_folder import group_table

        job = read_simulate_file(file, cycles, output)
        groups = ["cycles"] + (["checkups"] if job.protocol.every else [])
        tables = {group: job.output.path(f"-{group}.csv") for group in groups}
        data, figure = job.output.path(".nc"), job.output.path(".png")
        _prepare(job.output, [data, *tables.values(), figure], job.inputs)
        life = job.run(progress=progress)
        if not life.attrs["completed_cycles"]:
            _fail(f"The life ended in its first cycle: {life.attrs['message']}", _FAILED)
        write_record(life, data)
        for group, path in tables.items():
            table = group_table(life[group].to_dataset(), group)
            _write_table(table, path, names_in(life.attrs), index=False)
        _save_figure(plot_life(life), figure)
        typer.echo(_life_text(life))
        _say_written([data, *tables.values(), figure])
        if life.attrs["outcome"] != "completed":
            _fail(f"The life was not completed: {life.attrs['message']}", _FAILED)


@app.command()
def checkups(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Traces, or folders of one cell's traces.")
    ],
    nominal_capacity: Annotated[
        float | None,
        typer.Option(help="To which C-rates refer [A.h], in place of the largest half-cycle."),
    ] = None,
    column: _Columns = None,
    time_restarts: _Restarts = None,
    repair: _Repairs = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Write FILE.checkups.toml, in which tests are corrected."),
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder for tables and figures.")
    ] = Path("cellmodels-checkups"),
) -> None:
    """Find check-ups in raw traces, and what their tests measured."""
    with _reported():
        from cellmodels.checkups import find_checkups
        from cellmodels.checkups_file import corrections_path

        _refuse_twice([_stem(file) for file in files])
        given = {"columns": _columns(column), "time_restarts": time_restarts, "repair": repair}
        read = {name: value for name, value in given.items() if value} or None

        def find(file: Path) -> None:
            found = find_checkups(file, nominal_capacity=nominal_capacity, read=read)
            typer.echo(repr(found))
            if write:
                found.write_corrections(corrections_path(file))
                _say_written([corrections_path(file)])
            _make_folder(output)
            _say_written(_write_checkups(found, output / _stem(file)))

        _one_after_another(find, files)


@app.command()
def quality(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Records, or folders of one cell's traces.")
    ],
    column: _Columns = None,
    time_restarts: _Restarts = None,
    repair: _Repairs = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write the one record after the repairs: .nc, .bdf.csv, .bdf.parquet.",
        ),
    ] = None,
) -> None:
    """Look for what is wrong or doubtful in records; exit code 2 where something is refused."""
    with _reported():
        from cellmodels.record import check_quality, read_record, write_bdf, write_record

        if output is not None and len(files) > 1:
            raise InputError("--output takes one FILE.")
        if output is not None and output.resolve() == files[0].resolve():
            raise InputError(f"'{output}' is the file that is read.")
        read: dict[str, Any] = {
            "columns": _columns(column), "time_restarts": time_restarts, "repair": repair or ()
        }  # fmt: skip
        refused: list[Finding] = []

        def check(file: Path) -> None:
            found = check_quality(file, **read)
            typer.echo(_as_options(repr(found)))
            refused.extend(found.refused)

        _one_after_another(check, files)
        if output is not None and not refused:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what would be said is printed already
                record = read_record(files[0], **read)
            if ".bdf." in output.name:
                left_out = write_bdf(record, output, overwrite=True)
                if left_out:
                    _say(f"Not in the file: {', '.join(left_out)}.")
            else:
                write_record(record, output)
            _say(record.attrs.get("repaired", "Nothing was repaired."))
            _say_written([output])
    if refused:
        raise typer.Exit(_WRONG_INPUT)


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder for the results.")
    ] = Path("cellmodels-demo"),
    progress: _Progress = True,
) -> None:
    """Fit a thousand cycles of synthetic data, and compare with the truth."""
    with _reported():
        from cellmodels.fit_file import read_fit_file

        source = Path(__file__).parent / "demo"
        _make_folder(output)
        for path in (p for p in source.iterdir() if p.suffix in (".toml", ".csv")):
            shutil.copyfile(path, output / path.name)
        file = output / "demo.toml"
        job = read_fit_file(file, output)
        job.output.path(_CHECKPOINT).unlink(missing_ok=True)
        again = ["cellmodels", "fit", str(file), "--output", str(output)]
        found = _run_fit(job, again, False, progress)
        typer.echo(repr(found) + "\n\n" + _against_truth(found, source / "demo_truth.toml"))
        _end_fit(job, found)


@parameters.command("list")
def list_parameters() -> None:
    """List the parameter sets."""
    with _reported():
        from cellmodels.base_sets import base_names
        from cellmodels.parameter_set import ParameterSet, names

        rows = [("name", "chemistry", "estimates", "title")]
        for each in map(ParameterSet.load, names()):
            share = f"{len(each.estimates)} of {len(each.parameters)}"
            rows.append((each.name, each.chemistry, share, each.title))
        typer.echo(_aligned(rows))
        typer.echo("PyBaMM's own: " + ", ".join(base_names()))


_SetName = Annotated[str, typer.Argument(help="Name or file (.toml, BPX .json) of a set.")]


@parameters.command("show")
def show_parameters(
    name: _SetName,
    text: Annotated[
        str, typer.Argument(help="Only parameters whose name, status or source has this text.")
    ] = "",
) -> None:
    """Show the parameters of a set, with their ranges and sources."""
    with _reported():
        from cellmodels.estimates import sentence

        found = _load_set(name)
        rows: list[tuple[str, ...]] = []
        for p in found.parameters.values():
            span = "" if p.range is None else f"{p.range[0]:g} to {p.range[1]:g}"
            rows.append((p.name, _short(p.value), span, p.status, p.source))
        if found.base:
            rest = {k: v for k, v in _base(found.base).items() if k not in found.parameters}
            source = f"PyBaMM's {found.base}"
            rows += [(key, _short(rest[key]), "", "", source) for key in sorted(rest)]
        rows = [row for row in rows if text.lower() in " ".join(row).lower()]
        if not rows:
            raise InputError(f"'{found.name}' has no parameter with '{text}'.")
        typer.echo(f"{found.name}: {found.title}\n{found.description.strip()}\n")
        typer.echo(_aligned([("parameter", "value", "range", "status", "source"), *rows]))
        said = sentence(found.estimates)
        if said:
            typer.echo(said)


@parameters.command("diff")
def compare_parameters(one: _SetName, other: _SetName) -> None:
    """List the parameters in which two sets differ."""
    with _reported():
        sets = [_load_set(one), _load_set(other)]
        found = sets[0].differences(sets[1])
        rows: list[tuple[str, ...]] = [("parameter", sets[0].name, sets[1].name)]
        for name, values in found.items():
            rows.append((name, *("none" if v is None else _short(v) for v in values)))
        typer.echo(_aligned(rows) if found else "Their values are the same.")


@parameters.command("check")
def check_parameters(
    sets: Annotated[list[str], typer.Argument(help="Names or files (.toml, BPX .json) of sets.")],
) -> None:
    """Check units, ranges, laws, status and sources of every number, and list what is missing."""
    with _reported():
        from cellmodels.parameter_check import check

        faults = 0
        for name in sets:
            found = _load_set(name)
            findings = check(found)
            wrong = [f for f in findings if f.fault]
            faults += len(wrong)
            typer.echo(
                f"{found.name}: {len(found.parameters)} parameters, {len(wrong)} faults, "
                f"{len(findings) - len(wrong)} things missing"
            )
            rows = [("fault" if f.fault else "missing", f.parameter, f.text) for f in findings]
            if rows:
                typer.echo(_aligned(rows))
        if faults:
            _fail(f"{faults} faults.", _WRONG_INPUT)


@parameters.command("schema")
def print_schema(
    kind: Annotated[
        str, typer.Argument(help="parameters, chemistry, protocol or checkups")
    ] = "parameters",
) -> None:
    """Print the JSON Schema of a kind of file, for editors."""
    with _reported():
        import json

        from cellmodels.file_schemas import schema

        typer.echo(json.dumps(schema(kind), indent=2, ensure_ascii=False))


def _load_set(name: str) -> ParameterSet:
    from cellmodels.parameter_set import ParameterSet

    return ParameterSet.load(name)


# --- fits --------------------------------------------------------------------------------------


def _run_fit(job: FitJob, again: Sequence[str], resume: bool, progress: bool) -> Fit:
    """Run a fit and write its files; `again` is the command that runs it."""
    checkpoint, written = job.output.path(_CHECKPOINT), _fit_files(job.output)
    _prepare(job.output, [*written, checkpoint], job.inputs)
    if checkpoint.exists() and not resume:
        _say(f"Starting anew; --resume would have continued from {checkpoint}.")
    if resume and not checkpoint.exists():
        _say(f"There is no {checkpoint} to resume from; starting anew.")
        resume = False
    try:
        found = job.run(checkpoint, resume=resume, progress=progress)
        if found.status == "interrupted":
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        if not checkpoint.exists():
            _fail("Interrupted before the first iteration; nothing to resume.", _INTERRUPTED)
        command = shlex.join([*again, "--resume"])
        _fail(f"Interrupted. To continue:\n  {command}", _INTERRUPTED)
    data, table, figure = written
    found.save(data)
    _write_table(found.table, table, found.estimates)
    _save_figure(found.plot(), figure)
    return found


def _fit_files(output: Output) -> tuple[Path, Path, Path]:
    return output.path(".nc"), output.path(".csv"), output.path(".png")


def _end_fit(job: FitJob, found: Fit) -> None:
    """Say where the results are, and end with the exit code they deserve."""
    _say_written(_fit_files(job.output))
    if not found.converged:
        _fail(f"The fit did not converge ({found.status}).", _FAILED)


def _against_truth(found: Fit, truth_file: Path) -> str:
    """A table of fitted against true values."""
    from cellmodels.toml_io import read_toml

    truth: dict[str, float] = read_toml(truth_file)["truth"]
    table = found.table
    rows = [("parameter", "fitted", "standard error", "true", "difference / error", "identifiable")]
    for name, row in table.iterrows():
        value, error, true = row["value"], row["standard error"], truth[str(name)]
        rows.append(
            (
                str(name),
                f"{value:.4g}",
                f"{error:.2g}",
                f"{true:.4g}",
                f"{(value - true) / error:+.2f}",
                "yes" if row["identifiable"] else "no",
            )
        )
    count = int(table["identifiable"].sum())
    return (
        "Against the truth: these data are SYNTHETIC, made by simulation with known parameters\n"
        + _aligned(rows)
        + f"\n{count} of {len(table)} parameters are identifiable from this record."
    )


# --- check-ups ---------------------------------------------------------------------------------


def _stem(file: Path) -> str:
    """Name of a data file without its endings, for its results."""
    name = file.resolve().name
    for ending in (".gz", ".zip"):
        name = name.removesuffix(ending)
    return Path(name).stem or name


def _refuse_twice(stems: Sequence[str]) -> None:
    twice = next((stem for k, stem in enumerate(stems) if stem in stems[:k]), None)
    if twice is not None:
        raise InputError(f"The results of two files would both be called '{twice}'.")


def _columns(given: Sequence[str] | None) -> dict[str, str | None] | None:
    """What columns hold, from texts such as "U=voltage [V]"; nothing after = leaves one out."""
    columns: dict[str, str | None] = {}
    for text in given or ():
        header, sign, meaning = text.partition("=")
        if not sign:
            raise InputError(f"--column {text!r}: write it as 'HEADER=MEANING'.")
        columns[header] = meaning or None
    return columns or None


def _write_checkups(found: CheckupsFound, base: Path) -> list[Path]:
    """Tables, record and figure of what was found; the files that were written."""
    from cellmodels.record import write_record
    from cellmodels.record.table_folder import group_table

    def path(ending: str) -> Path:
        return base.with_name(base.name + ending)

    written = [path(".png")]
    _save_figure(found.plot(), written[0])
    if found.record.children:
        written.append(path(".nc"))
        write_record(found.record, written[-1])
    if found.tests.sizes:
        written.append(path("-tests.csv"))
        found.table.to_csv(written[-1], index=False)
    for group in ("cycles", "checkups"):
        if group in found.record.children:
            written.append(path(f"-{group}.csv"))
            table = group_table(found.record[group].to_dataset(), group)
            _write_table(table, written[-1], (), index=False)
    return written


# --- lives -------------------------------------------------------------------------------------


def _life_text(life: xr.DataTree) -> str:
    """The check-ups of a life, or some of its cycles."""
    from cellmodels.estimates import names_in, sentence
    from cellmodels.record.table_folder import group_table

    group = "checkups" if "checkups" in life.children else "cycles"
    dataset = life[group].to_dataset()
    scalars = dataset[[name for name in dataset.data_vars if dataset[name].ndim == 1]]
    table = group_table(scalars, group).drop(columns="elapsed_time [s]", errors="ignore")
    if len(table) > _ROWS:
        table = table.iloc[[round(k * (len(table) - 1) / (_ROWS - 1)) for k in range(_ROWS)]]
    rows = [tuple(_heading(h) for h in table.columns)]
    rows += [tuple(f"{value:.5g}" for value in row) for row in table.itertuples(index=False)]
    attrs = life.attrs
    said = sentence(names_in(attrs))
    return (
        f"{attrs['title']}: {attrs['completed_cycles']} cycles, {attrs['outcome']}; solver error "
        f"about {attrs['estimated_error_Ah']:.1g} A.h\n"
        + _blocks(rows)
        + (f"\n{said}" if said else "")
    )


def _heading(header: str) -> str:
    return (
        header.replace("_", " ")
        .replace("loss of active material", "LAM")
        .replace("loss of lithium inventory", "LLI")
    )


# --- files and texts ---------------------------------------------------------------------------


def _prepare(output: Output, results: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Make the folder, and see that no result replaces what it is made from."""
    read = {path.resolve() for path in inputs}
    for path in results:
        if path.resolve() in read:
            raise InputError(f"The result {path} would replace an input: change [output] name.")
    _make_folder(output.folder)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".cellmodels"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"Nothing can be written to '{folder}' ({error.strerror}).") from None


def _save_figure(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=150)


def _base(name: str) -> dict[str, Any]:
    from cellmodels.base_sets import base_values

    return {k: v for k, v in base_values(name).items() if k not in ("chemistry", "citations")}


def _write_table(table: pd.DataFrame, path: Path, estimates: Sequence[str], **options: Any) -> None:
    """A CSV file; a first line, which `read_record` skips, names parameters that are estimates."""
    from cellmodels.estimates import sentence
    from cellmodels.writing import replacing

    with replacing(path) as temporary, temporary.open("w", encoding="utf8", newline="") as file:
        if estimates:
            file.write(f"# {sentence(estimates)}\n")
        table.to_csv(file, **options)


def _short(value: object) -> str:
    from cellmodels.expressions import Expression

    if isinstance(value, int | float):
        return f"{value:g}"
    text = " ".join(value.text.split()) if isinstance(value, Expression) else "a function"
    return text if len(text) <= 40 else text[:39] + "…"


def _blocks(rows: Sequence[Sequence[str]]) -> str:
    """A wide table as several below each other, the first column in each."""
    widths = [2 + max(map(len, column)) for column in zip(*rows, strict=True)]
    blocks, used = [[0]], widths[0]
    for k, width in enumerate(widths[1:], start=1):
        if used + width > _WIDTH and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(k)
        used += width
    return "\n\n".join(_aligned([[row[k] for k in block] for row in rows]) for block in blocks)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  " + "  ".join(f"{text:<{w}}" for text, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _say_written(paths: Sequence[Path]) -> None:
    typer.echo("Written: " + ", ".join(str(path) for path in paths))


def _one_after_another(work: Callable[[Path], None], files: Sequence[Path]) -> None:
    """The same for each file; one that is refused does not stop the others."""
    refused = False
    for file in files:
        try:
            work(file)
        except InputError as error:
            where = "" if file.name in str(error) else f"{file}: "
            _say(_as_options(f"Error: {where}{error}"))
            refused = True
    if refused:
        raise typer.Exit(_WRONG_INPUT)


#: What messages say to those who write Python.
_ARGUMENT = re.compile(r"\b(columns|repair|time_restarts)=(\{[^{}]*\}|\[[^][]*\]|'[^']*')")


def _as_options(message: str) -> str:
    """A message with options of the command line in place of arguments of `read_record`."""

    def option(found: re.Match[str]) -> str:
        try:
            value = ast.literal_eval(found[2])
        except (ValueError, SyntaxError):  # a header with a quotation mark in it
            return found[0]
        if isinstance(value, dict):
            value = [f"{header}={meaning or ''}" for header, meaning in value.items()]
        values = [value] if isinstance(value, str) else value
        name = {"columns": "column"}.get(found[1], found[1].replace("_", "-"))
        return " ".join(f"--{name} {shlex.quote(one)}" for one in values)

    return _ARGUMENT.sub(option, message)


def _fail(text: str, code: int) -> NoReturn:
    _say(text)
    raise typer.Exit(code)


@contextmanager
def _reported() -> Iterator[None]:
    """Errors and warnings as one clear text each, without a traceback."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        _say(_as_options(f"Warning: {message}"))

    with warnings.catch_warnings():
        warnings.showwarning = show
        try:
            yield
        except InputError as error:
            _fail(_as_options(f"Error: {error}"), _WRONG_INPUT)
        except CellModelsError as error:
            _fail(f"Error: {error}", _FAILED)
        except KeyboardInterrupt:
            _fail("Interrupted.", _INTERRUPTED)
