"""Every setting there is: its type, limits, default, and the sentence that explains it.

The template, `ss config show` and the error messages are made from this file. It imports pydantic, so only code that
runs a command may import it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from studentsuccess.config.values import (
    RejectLimit,
    is_delimiter,
    is_encoding,
    is_epochs,
    parse_reject_limit,
    parse_size,
)

# The interpreter with its libraries holds about 180 MB before the first row.
MIN_MEMORY = 200_000_000
MIN_RECORD, MAX_RECORD = 1_000, 1_000_000_000


def _setting(
    default: object,
    about: str,
    *,
    example: object = None,
    old: tuple[str, ...] = (),
    flag: str = "",
    expects: str = "",
    reason: str = "",
    **limits: Any,
) -> Any:
    """A field with what people read about it: `expects` replaces the derived type, `reason` follows it."""
    extra: dict[str, Any] = {"env": list(old), "flag": flag, "expects": expects, "reason": reason}
    examples = [example] if example is not None else None
    return Field(default, description=about, examples=examples, json_schema_extra=extra, **limits)


def _number_as_text(value: object) -> object:
    """`max_rejects = 100` needs no quotes."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _only(fits: Callable[[str], object]) -> AfterValidator:
    """Refuses a text that does not fit. What was expected is said by the setting, not here."""

    def check(text: str) -> str:
        if not fits(text):
            raise ValueError("does not fit")
        return text

    return AfterValidator(check)


Memory = Annotated[str, BeforeValidator(_number_as_text), _only(lambda text: parse_size(text) >= MIN_MEMORY)]
Record = Annotated[
    str, BeforeValidator(_number_as_text), _only(lambda text: MIN_RECORD <= parse_size(text) <= MAX_RECORD)
]
Rejects = Annotated[str, BeforeValidator(_number_as_text), _only(parse_reject_limit)]
Delimiter = Annotated[str, _only(is_delimiter)]
Encoding = Annotated[str, _only(is_encoding)]


class Section(BaseModel):
    """A table of config.toml. Errors never show an input: it may be a secret in the wrong place."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object, info: ValidationInfo) -> object:
        """TOML has no null: an empty text says "none" wherever there may be none."""
        optional = cls.model_fields[str(info.field_name)].default is None
        return None if optional and value == "" else value

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: object) -> object:
        """No path and no name can hold one; whoever meets it first would fail in words of its own."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("a text without a NUL character")
        return value


class WorkspaceSettings(Section):
    """The workspace itself; its folder is chosen by `-w`, `SS_WORKSPACE` or where this file stands."""


class BudgetSettings(Section):
    """How much of the machine a run may use."""

    memory: Memory | None = _setting(
        None,
        "Memory for the whole process; none means what the container or the machine allows.",
        example="512MB",
        expects="a size of at least 200MB, such as `512MB` or `2GiB`",
    )
    cpus: int | None = _setting(
        None, "Processors to use; none means all that the container or the machine allows.", example=2, ge=1
    )
    batch_rows: int | None = _setting(
        None, "Rows in a batch; none means as many as fit into the memory.", example=50_000, ge=1, le=10_000_000
    )

    @property
    def memory_bytes(self) -> int | None:
        return parse_size(self.memory) if self.memory else None


class EtlSettings(Section):
    """Reading, checking and loading what a school has."""

    max_rejects: Rejects = _setting(
        "1%",
        "Rejected rows up to which a load still stands: a share of the rows read, or a count.",
        example="100",
        expects="a share such as `1%` or a count such as `100`",
    )
    type_tolerance: float = _setting(
        0.01,
        "Share of a column's values that may fail to parse as its type; with more of them it is text.",
        ge=0,
        lt=0.5,
    )
    null_values: tuple[str, ...] = _setting(("", "?", "NA", "NULL"), "Texts that mean a missing value.")
    encoding: Encoding = _setting(
        "auto",
        "Encoding of the input; auto is UTF-8, or what its byte-order mark says.",
        example="latin-1",
        expects="`auto` or an encoding such as `utf-8`, `utf-16`, `latin-1` or `cp1252`",
    )
    delimiter: Delimiter = _setting(
        "auto",
        "Character between the columns; auto looks at the file.",
        example=";",
        expects="`auto`, one character, or `tab`, `comma`, `semicolon`, `pipe`",
    )
    duplicates: Literal["auto", "keep", "drop"] = _setting(
        "auto", "What becomes of identical rows; auto drops them where an id is known and keeps them otherwise."
    )
    max_record: Record = _setting(
        "2MB", "Longest record that is believed; a longer one is an unclosed quote.", expects="a size from 1KB to 1GB"
    )
    demo: bool = _setting(False, "Load generated data instead of files.", old=("PIPELINE_DEMO_MODE",))
    demo_students: int = _setting(1200, "Students in the generated data.", flag="--students", ge=1, le=5_000_000)
    demo_weeks: int = _setting(34, "Weeks of a course in the generated data.", flag="--weeks", ge=4, le=52)
    seed: int = _setting(42, "Start of the random numbers of the generated data.", ge=0, le=2**63 - 1)

    @property
    def reject_limit(self) -> RejectLimit:
        return parse_reject_limit(self.max_rejects)

    @property
    def max_record_bytes(self) -> int:
        return parse_size(self.max_record)


class TrainSettings(Section):
    """Fitting models."""

    backend: Literal["sklearn"] = _setting(
        "sklearn",
        "Library that models are fitted with.",
        old=("MODEL_BACKEND",),
        reason="only scikit-learn backends exist now",
    )
    holdout: float = _setting(
        0.2,
        "Share of the rows that no model learns from, and that its figures come from.",
        flag="--holdout",
        ge=0.01,
        le=0.9,
    )
    epochs: Annotated[str, BeforeValidator(_number_as_text), _only(is_epochs)] = _setting(
        "auto",
        "Times that the incremental model goes through the rows; auto stops when an inner slice gains nothing.",
        example="5",
        expects="`auto` or a number from 1 to 1000",
    )
    seed: int = _setting(0, "Start of the random numbers of a training.", ge=0, le=2**63 - 1)
    promote: Literal["if-better", "always", "never"] = _setting(
        "if-better", "When a new version becomes the production one; the first one always does, unless never."
    )
    trials: int = _setting(12, "Configurations that a search tries.", ge=1, le=1000)
    cv: int = _setting(5, "Folds of the cross-validation inside a search.", ge=2, le=20)
    signing_key: SecretStr | None = _setting(
        None,
        "Key that models are signed with; once it is set, a model without its signature is refused. One can be made"
        " with `openssl rand -hex 32`.",
        example="A-KEY-OF-YOUR-OWN-MAKING",
        expects="a text of at least 16 characters",
        min_length=16,
    )

    @property
    def fixed_epochs(self) -> int | None:
        return None if self.epochs == "auto" else int(self.epochs)


class ScoreSettings(Section):
    """Predicting with a registered model."""


class RiskSettings(Section):
    """The early-warning model."""

    week: int = _setting(8, "Week of a course at whose end its students are judged.", old=("SPLIT_WEEK",), ge=1, le=52)
    marking_lag_days: int = _setting(0, "Days from a submission until its mark is known.", ge=0, le=365)
    demographics: Literal["use", "exclude"] = _setting("use", "Whether a model may see demographic columns.")
    high_risk_probability: float = _setting(0.5, "Probability from which one student is at high risk.", gt=0, lt=1)


class PrivacySettings(Section):
    """What must not be seen in published figures."""

    min_cell: int = _setting(10, "Smallest count of students that is shown; smaller ones are hidden.", ge=1, le=1000)
    pseudonymous_ids: bool = _setting(
        False, "Whether marts leave the warehouse with pseudonyms instead of students' ids, in files and databases."
    )
    pseudonym_key: SecretStr | None = _setting(
        None,
        "Key that pseudonyms are made with; who has it can find out who is who. One can be made with"
        " `openssl rand -hex 32`.",
        example="A-KEY-OF-YOUR-OWN-MAKING",
        expects="a text of at least 16 characters",
        min_length=16,
    )
    pseudonym_key_file: str | None = _setting(
        None,
        "File that holds this key instead; it is best kept on another disk than the workspace.",
        example="/etc/ss/pseudonym.key",
    )


def _term_day(text: str) -> tuple[str, date]:
    """A term and the day on which it began, from `TERM=YYYY-MM-DD`."""
    term, _, day = text.rpartition("=")
    if not term.strip():
        raise ValueError("names no term")
    return term.strip(), date.fromisoformat(day.strip())


def _are_term_days(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        _term_day(text)
    return texts


class MartsSettings(Section):
    """Tables for BI tools."""

    sample_rows: int = _setting(1000, "Rows of each mart in its sample as CSV.", ge=1, le=10_000_000)
    term_starts: Annotated[tuple[str, ...], AfterValidator(_are_term_days)] = _setting(
        (),
        "First days of terms whose names are not like 2014B (February) or 2014J (October).",
        example=("2025-SPRING=2025-02-17",),
        expects="a list of texts such as `2025-SPRING=2025-02-17`",
    )

    @property
    def start_days(self) -> dict[str, date]:
        return dict(_term_day(text) for text in self.term_starts)


class AlertsSettings(Section):
    """When to raise an alert."""

    high_risk_threshold: float = _setting(
        0.25, "Share of a class at high risk that raises an alert.", old=("HIGH_RISK_THRESHOLD",), ge=0, le=1
    )
    spike_threshold: float = _setting(
        0.10,
        "Rise of the mean risk from one week to the next that raises an alert, as a share.",
        old=("RISK_SPIKE_THRESHOLD_PCT",),
        ge=0,
        le=1,
    )
    capacity: int = _setting(40, "Students who can be called in a week.", flag="--capacity", ge=1, le=1_000_000)
    cooldown_days: int = _setting(14, "Days after a contact in which a student is not called again.", ge=0, le=366)


class ExperimentSettings(Section):
    """Trials of an intervention."""

    top_k: int = _setting(50, "Students at the highest risk that a trial takes in.", ge=2, le=1_000_000)
    uplifts: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1, max_length=12)] = _setting(
        (0.03, 0.05, 0.08),
        "How much an intervention may raise the share that passes, one scenario each: 0.05 is 5 points of 100.",
        expects="a list of one to twelve numbers above 0 and up to 1",
    )
    bootstraps: int = _setting(2000, "Trials that are simulated for each scenario.", ge=100, le=100_000)
    power: float = _setting(0.8, "Chance that a trial should have to show an effect that is there.", ge=0.5, lt=1)
    alpha: float = _setting(0.05, "Chance of showing an effect that is not there; intervals follow it.", gt=0, le=0.5)
    seed: int = _setting(42, "Start of the random numbers of assignments and simulations.", ge=0, le=2**63 - 1)


class RoiSettings(Section):
    """What helping is worth."""

    value_per_pass: float = _setting(1200, "Worth of one more student who passes.", ge=0, le=10**12)
    intervention_cost: float = _setting(
        150, "Cost of contacting one student; the whole cost is this times the students contacted.", ge=0, le=10**12
    )
    costs: Annotated[tuple[Annotated[float, Field(ge=0, le=10**12)], ...], Field(max_length=24)] = _setting(
        (),
        "Costs per contacted student in the grid; an empty list: from a tenth to twice the intervention cost.",
        example=(20, 50, 100),
        expects="a list of up to 24 numbers from 0 upwards",
    )


class ReportSettings(Section):
    """The executive summary."""

    title: str = _setting("Who needs help, why, and what helping is worth", "Its title.", min_length=1, max_length=200)
    school: str | None = _setting(None, "Name of the school, below the title.", example="Hill College", max_length=200)
    currency: str = _setting("", "What stands before an amount of money, such as € or CHF.", max_length=8)


class PublishSettings(Section):
    """Where results are sent."""

    database_url: SecretStr | None = _setting(
        None,
        "Database that marts are published to.",
        example="postgresql://HOST/DATABASE",
        old=("DATABASE_URL",),
        expects="the URL of a database",
    )
    database_schema: str = _setting(
        "mart",
        "Schema of the database that marts go into; SQLite has none.",
        flag="--schema",
        expects="text of 1 to 63 characters",
        min_length=1,
        max_length=63,
    )
    storage: Literal["local", "s3", "azure"] = _setting(
        "local", "Where `ss publish` copies files to when nobody says `--to`.", old=("STORAGE_BACKEND",)
    )
    artifacts_dir: str | None = _setting(None, "Folder for artifacts, with local storage.", example="/srv/artifacts")
    s3_bucket: str | None = _setting(None, "Bucket for artifacts.", example="my-artifacts", old=("S3_BUCKET",))
    s3_prefix: str | None = _setting(None, "Folder in the bucket.", example="prod", old=("S3_PREFIX",))
    s3_region: str | None = _setting(None, "Region of the bucket.", example="eu-west-1", old=("AWS_REGION",))
    endpoint_url: str | None = _setting(
        None, "Server that speaks like S3; none means Amazon's own.", example="https://minio.example.org:9000"
    )
    azure_account_url: str | None = _setting(
        None, "Storage account of the container.", example="https://ACCOUNT.blob.core.windows.net"
    )
    azure_container: str | None = _setting(None, "Container for artifacts.", example="my-artifacts")
    azure_prefix: str | None = _setting(None, "Folder in the container.", example="prod")
    include_personal: bool = _setting(
        False, "Whether files that may name students are copied too.", flag="--include-personal"
    )
    parallel: int = _setting(4, "Files on their way at once.", ge=1, le=32)
    timeout_seconds: float = _setting(10, "Seconds until a server that says nothing is given up.", ge=1, le=600)


ReportFormat = Literal["txt", "json", "html", "csv"]


class BatchSettings(Section):
    """Students into batches, rooms and shifts."""

    min_size: int = _setting(15, "Fewest students in a batch; usual are 5 to 25.", ge=1, le=10_000)
    target_size: int = _setting(35, "Students that a batch should have; usual are 15 to 80.", ge=1, le=10_000)
    max_size: int = _setting(60, "Most students in a batch; usual are 30 to 100.", ge=1, le=10_000)
    homogeneity_weight: float = _setting(
        0.4,
        "What it counts that batches take the same courses; the three weights sum to 1.",
        flag="--weights",
        ge=0,
        le=2,
    )
    balance_weight: float = _setting(0.3, "What it counts that rooms are filled.", flag="--weights", ge=0, le=2)
    size_weight: float = _setting(
        0.3, "What it counts that batches have their target size.", flag="--weights", ge=0, le=2
    )
    tenant_id: str | None = _setting(
        None, "Whose rows of entity_parameter_values hold.", example="hill-college", min_length=1, max_length=200
    )
    algorithm: Literal["auto", "kmeans", "spectral", "hierarchical"] = _setting(
        "auto", "How students are grouped; auto is ours, the others are there to compare with, and are repaired after."
    )
    max_iterations: int = _setting(100, "Most rounds of improvement; usual are 10 to 1,000.", ge=1, le=1_000_000)
    convergence: float = _setting(
        0.001, "Gain of a round below which no other follows; usual are 0.000001 to 0.001.", gt=0, lt=1
    )
    performance: bool = _setting(False, "Whether time counts more than the last bit of quality.")
    time_limit: float | None = _setting(
        None,
        "Seconds after which grouping ends with what it has; then two runs may differ.",
        example=60,
        gt=0,
        expects="a number of seconds above 0",
    )
    seed: int = _setting(42, "Start of the random numbers of the grouping.", ge=0, le=2**63 - 1)
    relax: tuple[str, ...] = _setting((), "Fields whose values may be merged where too few students share one.")
    strict: bool = _setting(False, "Whether a threshold or a soft rule that is not met makes the exit code 1.")
    lenient: bool = _setting(False, "Whether bad rows go to the dead letters instead of stopping the run.")
    report_formats: tuple[ReportFormat, ...] = _setting(
        ("txt", "json", "html", "csv"),
        "Which reports are written.",
        flag="--report-format",
        expects="a list of `txt`, `json`, `html`, `csv`",
    )
    least_coherence: float = _setting(0.70, "Academic coherence that is wanted.", ge=0, le=1)
    least_utilization: float = _setting(0.75, "Seat utilisation that is wanted.", ge=0, le=1)
    least_satisfaction: float = _setting(0.90, "Satisfaction of soft rules that is wanted, by weight.", ge=0, le=1)
    least_silhouette: float = _setting(0.3, "Silhouette that is wanted.", ge=-1, le=1)
    least_balance: float = _setting(0.8, "Balance of sizes that is wanted.", ge=0, le=1)


class AzureSettings(Section):
    """Azure Machine Learning. Who you are is never set here: `az login`, or AZURE_CLIENT_ID and its kin."""

    subscription_id: str | None = _setting(
        None,
        "Subscription that the workspace is in.",
        example="00000000-0000-0000-0000-000000000000",
        old=("AZURE_SUBSCRIPTION_ID",),
    )
    resource_group: str | None = _setting(
        None, "Resource group of the workspace.", example="school", old=("AZURE_RESOURCE_GROUP",)
    )
    workspace: str | None = _setting(None, "Azure ML workspace that jobs run in.", example="risk")
    compute: str | None = _setting(
        None,
        "Compute that jobs run on; none means serverless.",
        example="cpu-cluster",
        flag="--compute",
        max_length=64,
    )
    experiment: str = _setting("studentsuccess", "Experiment that jobs stand under.", min_length=1, max_length=255)
    image: str = _setting(
        "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest",
        "Image of the environment; Python and the packages of this program are put on top of it.",
        min_length=1,
    )
    max_hours: float = _setting(8, "Hours after which a job is ended.", ge=0.1, le=24 * 30)
    price_per_hour: float | None = _setting(
        None, "What an hour of the compute costs, for the estimate of a plan.", example=0.5, ge=0, le=100_000
    )
    parallel: int = _setting(4, "Files on their way at once.", ge=1, le=32)
    poll_seconds: float = _setting(5, "Seconds between two looks at a job that is followed.", ge=0.1, le=600)
    timeout_seconds: float = _setting(30, "Seconds until an address that says nothing is given up.", ge=1, le=600)
    retries: int = _setting(4, "Times that a request is sent again when the network or Azure fails.", ge=0, le=20)
    patience_seconds: float = _setting(
        600, "Seconds for which following a job tries to get a lost connection back.", ge=0, le=24 * 3600
    )


class Settings(Section):
    """All sections, in the order in which people meet them."""

    workspace: WorkspaceSettings = WorkspaceSettings()
    budget: BudgetSettings = BudgetSettings()
    etl: EtlSettings = EtlSettings()
    train: TrainSettings = TrainSettings()
    score: ScoreSettings = ScoreSettings()
    risk: RiskSettings = RiskSettings()
    privacy: PrivacySettings = PrivacySettings()
    marts: MartsSettings = MartsSettings()
    alerts: AlertsSettings = AlertsSettings()
    experiment: ExperimentSettings = ExperimentSettings()
    roi: RoiSettings = RoiSettings()
    report: ReportSettings = ReportSettings()
    publish: PublishSettings = PublishSettings()
    batch: BatchSettings = BatchSettings()
    azure: AzureSettings = AzureSettings()
