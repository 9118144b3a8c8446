"""Four layers for every setting, tested as a matrix."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from studentsuccess.config.keys import Setting, settings_by_path
from studentsuccess.config.layers import Origin, Overrides, load
from studentsuccess.config.schema import Settings
from studentsuccess.config.show import rows
from studentsuccess.errors import UsageError

if TYPE_CHECKING:
    from conftest import Place

# For each setting a value for the file, the environment, --set and the command's own flag.
# Where there are fewer values than layers they repeat, and the origin alone tells the layers apart.
VALUES: dict[str, tuple[object, object, object, object]] = {
    "budget.memory": ("1GB", "2GB", "3GB", "4GB"),
    "budget.cpus": (1, 2, 3, 4),
    "budget.batch_rows": (1, 10_000_000, 3, 4),
    "etl.max_rejects": ("2%", "5", "3%", "4"),
    "etl.type_tolerance": (0.0, 0.02, 0.03, 0.49),
    "etl.null_values": ([], ["-"], ["", "none"], ["x", "y"]),
    "etl.encoding": ("utf-8", "latin-1", "cp1252", "utf-16"),
    "etl.delimiter": (";", "\t", "|", "pipe"),
    "etl.duplicates": ("keep", "drop", "keep", "drop"),
    "etl.max_record": ("1KB", "1GB", "3MB", "4MiB"),
    "etl.demo": (True, False, True, False),
    "etl.demo_students": (1, 5_000_000, 3, 4),
    "etl.demo_weeks": (4, 52, 6, 7),
    "etl.seed": (0, 2**63 - 1, 2, 3),
    "train.backend": ("sklearn", "sklearn", "sklearn", "sklearn"),
    "train.holdout": (0.01, 0.9, 0.3, 0.4),
    "train.epochs": ("1", "1000", "3", "auto"),
    "train.seed": (1, 2**63 - 1, 2, 3),
    "train.promote": ("never", "always", "if-better", "never"),
    "train.trials": (1, 1000, 3, 4),
    "train.cv": (2, 20, 3, 4),
    "risk.week": (1, 52, 3, 4),
    "risk.marking_lag_days": (1, 365, 3, 4),
    "risk.demographics": ("exclude", "use", "exclude", "use"),
    "risk.high_risk_probability": (0.1, 0.2, 0.3, 0.99),
    "privacy.min_cell": (1, 1000, 3, 4),
    "privacy.pseudonymous_ids": (True, False, True, False),
    "privacy.pseudonym_key_file": ("a", "b", "c", "d"),
    "marts.sample_rows": (1, 10_000_000, 3, 4),
    "marts.term_starts": (["a=2025-02-17"], ["b=2025-02-18"], [], ["c = 2025-02-19"]),
    "alerts.high_risk_threshold": (0.0, 1.0, 0.3, 0.4),
    "alerts.spike_threshold": (0.0, 1.0, 0.3, 0.4),
    "alerts.capacity": (1, 1_000_000, 3, 4),
    "alerts.cooldown_days": (0, 366, 3, 4),
    "experiment.top_k": (2, 1_000_000, 3, 4),
    "experiment.uplifts": ([0.1], [0.2], [0.1, 0.3], [1.0]),
    "experiment.bootstraps": (100, 100_000, 300, 400),
    "experiment.power": (0.5, 0.99, 0.7, 0.6),
    "experiment.alpha": (0.01, 0.5, 0.1, 0.2),
    "experiment.seed": (0, 2**63 - 1, 2, 3),
    "roi.value_per_pass": (0.0, 1e12, 3.0, 4.0),
    "roi.intervention_cost": (0.0, 1e12, 3.0, 4.0),
    "roi.costs": ([1.0], [2.0], [], [3.0]),
    "report.title": ("a", "b", "c", "d"),
    "report.school": ("a", "b", "c", "d"),
    "report.currency": ("a", "b", "", "€"),
    "publish.database_schema": ("a", "b", "c", "d"),
    "publish.storage": ("s3", "local", "azure", "local"),
    "publish.artifacts_dir": ("a", "b", "c", "d"),
    "publish.endpoint_url": ("a", "b", "c", "d"),
    "publish.azure_account_url": ("a", "b", "c", "d"),
    "publish.azure_container": ("a", "b", "c", "d"),
    "publish.azure_prefix": ("a", "b", "c", "d"),
    "publish.include_personal": (True, False, True, False),
    "publish.parallel": (1, 32, 3, 5),
    "publish.timeout_seconds": (1.0, 600.0, 3.0, 5.0),
    "publish.s3_bucket": ("a", "b", "c", "d"),
    "publish.s3_prefix": ("a", "b", "c", "d"),
    "publish.s3_region": ("a", "b", "c", "d"),
    "batch.min_size": (1, 10_000, 3, 4),
    "batch.target_size": (1, 10_000, 3, 4),
    "batch.max_size": (1, 10_000, 3, 4),
    "batch.homogeneity_weight": (0.0, 2.0, 0.3, 0.4),
    "batch.balance_weight": (0.0, 2.0, 0.5, 0.4),
    "batch.size_weight": (0.0, 2.0, 0.5, 0.4),
    "batch.tenant_id": ("a", "b", "c", "d"),
    "batch.algorithm": ("kmeans", "spectral", "hierarchical", "kmeans"),
    "batch.max_iterations": (1, 1_000_000, 3, 4),
    "batch.convergence": (0.1, 0.2, 0.3, 0.99),
    "batch.performance": (True, False, True, False),
    "batch.time_limit": (0.5, 1.0, 2.0, 3.0),
    "batch.seed": (0, 2**63 - 1, 2, 3),
    "batch.relax": (["a"], ["b"], [], ["c", "d"]),
    "batch.strict": (True, False, True, False),
    "batch.lenient": (True, False, True, False),
    "batch.report_formats": (["txt"], ["json"], ["html", "csv"], ["csv"]),
    "batch.least_coherence": (0.0, 1.0, 0.3, 0.4),
    "batch.least_utilization": (0.0, 1.0, 0.3, 0.4),
    "batch.least_satisfaction": (0.0, 1.0, 0.3, 0.4),
    "batch.least_silhouette": (-1.0, 1.0, 0.5, 0.4),
    "batch.least_balance": (0.0, 1.0, 0.3, 0.4),
    "azure.subscription_id": ("a", "b", "c", "d"),
    "azure.resource_group": ("a", "b", "c", "d"),
    "azure.workspace": ("a", "b", "c", "d"),
    "azure.compute": ("a", "b", "c", "d"),
    "azure.experiment": ("a", "b", "c", "d"),
    "azure.image": ("a", "b", "c", "d"),
    "azure.max_hours": (0.5, 1.0, 2.0, 3.0),
    "azure.price_per_hour": (0.5, 1.0, 2.0, 3.0),
    "azure.parallel": (1, 32, 3, 5),
    "azure.poll_seconds": (0.1, 1.0, 2.0, 3.0),
    "azure.timeout_seconds": (1.0, 600.0, 3.0, 5.0),
    "azure.retries": (0, 20, 3, 5),
    "azure.patience_seconds": (0.0, 1.0, 2.0, 3.0),
}
LAYERS = ("file", "environment", "set", "own")
SUBSETS = [subset for size in range(1, 5) for subset in combinations(LAYERS, size)]


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def settled(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def test_the_matrix_knows_every_setting_that_is_not_a_secret() -> None:
    assert set(VALUES) == {path for path, setting in settings_by_path().items() if not setting.secret}


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
@pytest.mark.parametrize("path", VALUES)
def test_the_highest_layer_given_wins(place: Place, path: str, subset: tuple[str, ...]) -> None:
    setting, values = settings_by_path()[path], dict(zip(LAYERS, VALUES[path], strict=True))
    loaded = place.load(
        toml=f"[{setting.section}]\n{setting.key} = {json.dumps(values['file'])}" if "file" in subset else None,
        env={setting.env_name: as_text(values["environment"])} if "environment" in subset else {},
        sets=(f"{path}={as_text(values['set'])}",) if "set" in subset else (),
        flags={path: values["own"]} if "own" in subset else {},
    )
    assert loaded.shown_value(path) == settled(values[subset[-1]])
    assert (
        loaded.origins[path]
        == {
            "file": Origin("file", "config.toml"),
            "environment": Origin("environment", setting.env_name),
            "set": Origin("flag", f"--set {path}"),
            "own": Origin("flag", setting.flag),
        }[subset[-1]]
    )
    assert {path} == {other for other, origin in loaded.origins.items() if origin.layer != "default"}


def test_without_anything_all_is_default(place: Place) -> None:
    loaded = place.load()
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {Origin("default")}
    assert list(loaded.origins) == list(settings_by_path())
    assert loaded.workspace.root == place.folder
    assert loaded.warnings == ()


def test_documented_defaults() -> None:
    settings = Settings()
    assert settings.etl.reject_limit.share == 0.01
    assert settings.etl.type_tolerance == 0.01
    assert settings.etl.null_values == ("", "?", "NA", "NULL")
    assert settings.etl.max_record_bytes == 2_000_000
    assert (settings.etl.demo_students, settings.etl.demo_weeks, settings.etl.seed) == (1200, 34, 42)
    assert (settings.risk.week, settings.risk.marking_lag_days, settings.risk.demographics) == (8, 0, "use")
    assert settings.risk.high_risk_probability == 0.5
    assert (settings.alerts.high_risk_threshold, settings.alerts.spike_threshold) == (0.25, 0.10)
    assert settings.privacy.min_cell == 10
    assert settings.budget.memory_bytes is None


def test_sizes_are_parsed(place: Place) -> None:
    settings = place.load('[budget]\nmemory = "512MB"\n[etl]\nmax_record = 5000').settings
    assert (settings.budget.memory_bytes, settings.etl.max_record_bytes) == (512_000_000, 5000)


def test_a_count_of_rejects_needs_no_quotes(place: Place) -> None:
    assert place.load("[etl]\nmax_rejects = 0").settings.etl.reject_limit.count == 0


@pytest.mark.parametrize("path", [path for path, setting in settings_by_path().items() if setting.optional])
def test_an_empty_text_takes_a_value_back(place: Place, path: str) -> None:
    setting = settings_by_path()[path]
    assert place.load(f'[{setting.section}]\n{setting.key} = ""').shown_value(path) is None
    if not setting.secret:
        toml = f"[{setting.section}]\n{setting.key} = {json.dumps(VALUES[path][0])}"
        assert place.load(toml, sets=(f"{path}=",)).shown_value(path) is None


def test_an_empty_variable_counts_as_not_set(place: Place) -> None:
    loaded = place.load(env={"SS_RISK__WEEK": "", "SPLIT_WEEK": "", "DATABASE_URL": "", "SS_ETL__NULL_VALUES": ""})
    assert loaded.settings == Settings()


@pytest.mark.parametrize(("text", "expected"), [("NA,-", ("NA", "-")), ('["a,b", ""]', ("a,b", "")), (",x", ("", "x"))])
def test_a_list_in_a_variable_is_json_or_has_commas(place: Place, text: str, expected: tuple[str, ...]) -> None:
    assert place.load(env={"SS_ETL__NULL_VALUES": text}).settings.etl.null_values == expected
    assert place.load(sets=(f"etl.null_values={text}",)).settings.etl.null_values == expected


def test_a_value_of_set_may_hold_equals_signs(place: Place) -> None:
    assert place.load(sets=("publish.s3_prefix=a=b=c",)).settings.publish.s3_prefix == "a=b=c"


def test_the_last_set_of_a_key_wins(place: Place) -> None:
    assert place.load(sets=("risk.week=5", "risk.week=6")).settings.risk.week == 6


def test_a_flag_that_was_not_given_changes_nothing(place: Place) -> None:
    assert place.load("[risk]\nweek = 3", flags={"risk.week": None}).settings.risk.week == 3


def test_flags_that_are_named_otherwise_are_shown_by_their_name(place: Place) -> None:
    loaded = place.load(flags={"etl.demo_students": 5, "etl.demo_weeks": 6})
    assert loaded.origins["etl.demo_students"].where == "--students"
    assert loaded.origins["etl.demo_weeks"].where == "--weeks"


def test_variables_that_steer_the_program_are_no_settings(place: Place) -> None:
    environ = {"SS_DEBUG": "1", "_SS_COMPLETE": "complete_bash", "SS_TEST_FULL": "1", "OTHER__THING": "x"}
    loaded = place.load(env=environ)
    assert loaded.settings == Settings()
    assert loaded.warnings == ()


def test_a_variable_with_one_underscore_is_warned_about(place: Place) -> None:
    loaded = place.load(env={"SS_ETL_MAX_REJECTS": "5%"})
    assert loaded.settings.etl.max_rejects == "1%"
    assert len(loaded.warnings) == 1
    assert "`SS_ETL_MAX_REJECTS`" in loaded.warnings[0]
    assert "`SS_ETL__MAX_REJECTS`" in loaded.warnings[0]


def test_the_real_environment_and_folder_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SS_RISK__WEEK", "21")
    loaded = load(Overrides())
    assert loaded.settings.risk.week == 21
    assert loaded.workspace.root == tmp_path


class TestWhichFileIsRead:
    def test_the_workspaces_own(self, tmp_path: Path) -> None:
        self._write(tmp_path / "w" / "config.toml", 31)
        loaded = load(Overrides(workspace=Path("w")), {}, tmp_path)
        assert loaded.settings.risk.week == 31
        assert loaded.origins["risk.week"].where == str(Path("w") / "config.toml")

    def test_one_found_upwards(self, tmp_path: Path) -> None:
        self._write(tmp_path / "config.toml", 32)
        (tmp_path / "deep").mkdir()
        loaded = load(Overrides(), {}, tmp_path / "deep")
        assert (loaded.settings.risk.week, loaded.workspace.root) == (32, tmp_path)
        assert loaded.origins["risk.week"].where == str(tmp_path / "config.toml")

    def test_the_flags_before_the_variables(self, tmp_path: Path) -> None:
        self._write(tmp_path / "flag.toml", 33)
        self._write(tmp_path / "env" / "env.toml", 34)
        environ = {"SS_CONFIG": "env/env.toml"}
        assert load(Overrides(config=Path("flag.toml")), environ, tmp_path).settings.risk.week == 33
        by_variable = load(Overrides(), environ, tmp_path)
        assert (by_variable.settings.risk.week, by_variable.workspace.root) == (34, tmp_path / "env")

    def test_a_named_one_stands_apart_from_a_named_workspace(self, tmp_path: Path) -> None:
        self._write(tmp_path / "w" / "config.toml", 35)
        self._write(tmp_path / "mine.toml", 36)
        loaded = load(Overrides(Path("w"), Path("mine.toml")), {}, tmp_path)
        assert (loaded.settings.risk.week, loaded.workspace.root) == (36, tmp_path / "w")
        assert loaded.file == tmp_path / "mine.toml"

    @pytest.mark.parametrize("named", ["missing.toml", "file/below.toml"])
    def test_a_named_one_must_be_there(self, tmp_path: Path, named: str) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match=r"-c: .* is not there"):
            load(Overrides(config=Path(named)), {}, tmp_path)
        with pytest.raises(UsageError, match=r"SS_CONFIG: .* is not there"):
            load(Overrides(), {"SS_CONFIG": named}, tmp_path)

    def test_none_is_fine(self, tmp_path: Path) -> None:
        loaded = load(Overrides(workspace=Path("new")), {}, tmp_path)
        assert (loaded.settings, loaded.file) == (Settings(), None)
        assert not (tmp_path / "new").exists()

    @staticmethod
    def _write(path: Path, week: int) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"[risk]\nweek = {week}\n", encoding="utf-8")


class TestDigest:
    def test_it_depends_on_the_values_and_not_on_their_layers(self, place: Place) -> None:
        by_flag = place.load(sets=("alerts.high_risk_threshold=0.5",)).digest
        by_variable = place.load(env={"HIGH_RISK_THRESHOLD": ".50"}).digest
        assert by_flag == by_variable == place.load("[alerts]\nhigh_risk_threshold = 0.5").digest

    @pytest.mark.parametrize("path", VALUES)
    def test_every_setting_changes_it(self, place: Place, path: str) -> None:
        default = place.load()
        other = next((value for value in VALUES[path] if settled(value) != default.shown_value(path)), None)
        if other is None:
            assert len(settings_by_path()[path].choices) == 1
            return
        changed = place.load(sets=(f"{path}={as_text(other)}",))
        assert changed.digest != default.digest

    def test_it_is_a_sha256(self, place: Place) -> None:
        assert len(bytes.fromhex(place.load().digest)) == 32


class TestShow:
    def test_every_setting_has_a_row(self, place: Place) -> None:
        assert [row.key for row in rows(place.load())] == list(settings_by_path())

    def test_a_row_says_value_and_source(self, place: Place) -> None:
        loaded = place.load("[etl]\nnull_values = ['-']", env={"SPLIT_WEEK": "7"})
        shown = {row.key: (row.value, row.source, row.where) for row in rows(loaded)}
        assert shown["etl.null_values"] == (("-",), "file", "config.toml")
        assert shown["risk.week"] == (7, "environment", "SPLIT_WEEK")
        assert shown["privacy.min_cell"] == (10, "default", "")

    def test_rows_can_be_written_as_json(self, place: Place) -> None:
        assert json.loads(json.dumps([row.value for row in rows(place.load())]))


@pytest.mark.parametrize("setting", settings_by_path().values(), ids=lambda setting: setting.path)
def test_every_setting_is_explained_in_a_sentence(setting: Setting) -> None:
    assert setting.description.endswith(".")
    assert setting.expected


def test_only_a_run_imports_pydantic() -> None:
    program = (
        "import sys, studentsuccess.config.workspace, studentsuccess.config.values; print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
