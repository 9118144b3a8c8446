"""Azure's errors in our words: each its own sentence and code, and nothing of theirs that should not be seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from studentsuccess.errors import ExitCode, SsError
from studentsuccess.remote.azure_errors import NetworkLostError, is_elsewhere, translated, why_failed

core = pytest.importorskip("azure.core.exceptions", reason="the extra `azure` is not installed")
SECRET = "https://x.blob.core.windows.net/c?sig=abc%2Bdef"  # noqa: S105 - the shape of one


def service_error(status: int, code: str = "", message: str = SECRET, kind: Any = None) -> Any:
    request = SimpleNamespace(url="https://management.azure.com/x")
    problem = (kind or core.HttpResponseError)(message)
    problem.status_code, problem.response = status, SimpleNamespace(request=request)
    problem.error = SimpleNamespace(code=code)
    return problem


def said(problem: BaseException) -> SsError:
    with pytest.raises(SsError) as caught, translated("azure:school/risk"):
        raise problem
    assert "sig=" not in caught.value.message + caught.value.hint
    return caught.value


@pytest.mark.parametrize("kind", [OSError, core.ClientAuthenticationError])
def test_certificates_that_can_not_be_read_are_no_missing_login(kind: Any) -> None:
    """At the login Azure's library wraps what requests says; later it lets it through."""
    found = said(kind("Could not find a suitable TLS CA certificate bundle, invalid path: /nowhere.pem"))
    assert isinstance(found, NetworkLostError)
    assert "the file of certificates can't be read" in found.message
    assert "REQUESTS_CA_BUNDLE" in found.hint


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (401, "", "the login has expired"),
        (403, "AuthorizationFailed", "this login may not do that there"),
        (404, "SubscriptionNotFound", "there is no such subscription"),
        (404, "ResourceGroupNotFound", "there is no such resource group"),
        (404, "ResourceNotFound", "there is no such workspace"),
        (404, "", "it is not there"),
        (409, "", "somebody else is changing the same thing"),
        (412, "", "a file changed while it was read"),
        (429, "", "Azure asks for fewer requests"),
        (500, "", "Azure has trouble of its own (500)"),
        (503, "", "Azure has trouble of its own (503)"),
        (400, "QuotaExceeded", "there is no quota for this compute"),
    ],
)
def test_a_refusal_is_one_sentence_about_access(status: int, code: str, sentence: str) -> None:
    found = said(service_error(status, code))
    assert sentence in found.message
    assert found.code == ExitCode.ACCESS
    assert found.hint


def test_what_is_about_no_access_is_a_failure() -> None:
    found = said(service_error(400, "BadArgument"))
    assert (found.message, found.code) == ("azure:school/risk: Azure refused (BadArgument)", ExitCode.FAILED)


@pytest.mark.parametrize("kind", ["ServiceRequestError", "ServiceResponseError", "IncompleteReadError"])
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Failed to resolve 'management.azure.com'", "its address is not known"),
        ("Read timed out.", "it does not answer in time"),
        ("Connection refused", "nothing listens there"),
        ("CERTIFICATE_VERIFY_FAILED", "no secure connection could be made"),
        ("Remote end closed connection", "the connection broke"),
    ],
)
def test_a_lost_network_is_worth_another_try(kind: str, text: str, sentence: str) -> None:
    found = said(getattr(core, kind)(text))
    assert isinstance(found, NetworkLostError)
    assert found.message == f"azure:school/risk: {sentence}"


def test_a_login_that_is_refused_names_the_code_and_one_that_is_not_there_says_how() -> None:
    refused = said(core.ClientAuthenticationError("AADSTS7000215: Invalid client secret provided: abc"))
    assert refused.message == "Azure refused the login (AADSTS7000215)"
    nobody = said(core.ClientAuthenticationError("DefaultAzureCredential failed to retrieve a token"))
    assert nobody.message == "nobody is logged in to Azure"
    assert "`az login`" in nobody.hint
    assert refused.code == nobody.code == ExitCode.ACCESS


def test_our_own_errors_and_defects_pass_untouched() -> None:
    for problem in (SsError("ours", "hint"), KeyError("defect")):
        with pytest.raises(type(problem)) as caught, translated("azure:school/risk"):
            raise problem
        assert caught.value is problem


def test_a_missing_workspace_is_told_from_a_missing_job() -> None:
    gone = "The Resource 'workspaces' was not found."
    assert is_elsewhere(service_error(404, "ResourceNotFound", gone))
    assert is_elsewhere(service_error(404, "SubscriptionNotFound"))
    assert not is_elsewhere(service_error(404, "ResourceNotFound", "job x was not found"))
    assert not is_elsewhere(service_error(404, "UserError", "Run x not found"))


@pytest.mark.parametrize(
    ("message", "sentence", "code"),
    [
        ("User process 'bash' exited with status code 4. sig=x", "exit code 4 (the data breaks its contract)", 4),
        ("exited with status code 2", "exit code 2 (usage or configuration", 1),
        ("exited with status code 99", "job `j` failed", 1),
        ("The node was preempted", "its machine was taken away", 1),
        ("ComputeQuotaExceeded: not enough quota", "there is no quota", 3),
        ("Image build failed", "its environment could not be built", 1),
        ("", "job `j` failed", 1),
    ],
)
def test_why_a_job_failed_is_told_from_what_the_service_says(message: str, sentence: str, code: int) -> None:
    found = why_failed("j", message)
    assert sentence in found.message
    assert found.code == code
    assert "sig=" not in found.message + found.hint
