"""Every setting there is: its type, limits, default, and the sentence that explains it.

The template, `ss config show` and the error messages are made from this file. It imports pydantic, so only code that
runs a command may import it.
"""

from __future__ import annotations

from collections.abc import Callable
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


class MartsSettings(Section):
    """Tables for BI tools."""


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


class ExperimentSettings(Section):
    """Trials of an intervention."""


class RoiSettings(Section):
    """What helping is worth."""


class ReportSettings(Section):
    """The executive summary."""


class PublishSettings(Section):
    """Where results are sent."""

    database_url: SecretStr | None = _setting(
        None,
        "Database that marts are published to.",
        example="postgresql://HOST/DATABASE",
        old=("DATABASE_URL",),
        expects="the URL of a database",
    )
    storage: Literal["local", "s3"] = _setting("local", "Where artifacts are kept.", old=("STORAGE_BACKEND",))
    s3_bucket: str | None = _setting(None, "Bucket for artifacts.", example="my-artifacts", old=("S3_BUCKET",))
    s3_prefix: str | None = _setting(None, "Folder in the bucket.", example="prod", old=("S3_PREFIX",))
    s3_region: str | None = _setting(None, "Region of the bucket.", example="eu-west-1", old=("AWS_REGION",))


class BatchSettings(Section):
    """Students into batches, rooms and shifts."""


class AzureSettings(Section):
    """Azure Machine Learning."""


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
