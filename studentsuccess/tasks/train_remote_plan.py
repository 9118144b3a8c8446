"""A remote training's plan in words: what `--dry-run` shows."""

from __future__ import annotations

from collections.abc import Iterator

from studentsuccess.remote.azure_jobs import DATA
from studentsuccess.tasks.etl_plan import PlanShown
from studentsuccess.tasks.train_remote import RemotePlan


def describe(made: RemotePlan) -> PlanShown:
    """Everything that would leave this machine, and where it would go."""
    files = [(one.fact.path, one.fact.size, one.fact.sha256) for one in made.data.files]
    code = (f"this program ({made.program.version})", made.program.size, made.program.digest)
    rows = (*files, code) if files else ((made.data.uri, "", "stays where it is"), code)
    azure = made.context.settings.azure
    folder = f"azureml://datastores/workspaceblobstore/paths/{DATA}/{made.data.digest}/" if files else ""
    specs = [made.spec(trial, folder).yaml() for trial in made.trials]
    facts = {
        "plan": "train remote",
        "model": made.model,
        "place": made.place.whole,
        "login": made.login,
        "compute": azure.compute or "serverless",
        "job": made.parent or made.trials[0].name,
        "trials": [trial.name for trial in made.trials],
        "uploads": [dict(zip(("path", "bytes", "sha256"), row, strict=True)) for row in (*files, code)],
        "data": made.data.uri or None,
        "max_hours": azure.max_hours,
        "most_cost": made.most_cost,
        "specification": specs[0],
        "sent_before": [entry.job for entry in made.known],
    }
    return PlanShown(rows, tuple(_words(made, specs[0])), facts)


def _words(made: RemotePlan, specification: str) -> Iterator[str]:
    azure = made.context.settings.azure
    yield f"to       {made.place.shown}, experiment {azure.experiment}"
    yield f"as       {made.login}"
    yield f"compute  {azure.compute or 'serverless'}, at most {azure.max_hours:g} hours"
    if made.most_cost is not None:
        yield f"cost     at most {made.most_cost:,.2f}, at {azure.price_per_hour:g} an hour"
    yield f"job      {made.parent or made.trials[0].name}" + _several(made)
    if made.known:
        yield f"sent before as {made.known[0].parent or made.known[0].job}: a run would find it"
    yield from ("", *specification.rstrip().splitlines())


def _several(made: RemotePlan) -> str:
    seeds = [trial.seed for trial in made.trials]
    return f": {len(seeds)} trials, seeds {seeds[0]} to {seeds[-1]}; the first one is" if made.parent else ""
