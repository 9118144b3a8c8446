"""Azure's errors in our words: one sentence each, chosen by status and code.

Their own texts are pages with request ids and signed addresses in them, so they are never shown as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from studentsuccess.errors import ContractError, ExitCode, SsError, UsageError

LOGIN = "log in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
_AGAIN = "run it again: nothing is done twice"
INSTALL = '`python -m pip install "studentsuccess[azure]"`'


class NetworkLostError(SsError):
    """Nobody answered, or not to the end: worth another try."""

    def __init__(self, message: str, hint: str = f"see whether the network is there, then {_AGAIN}") -> None:
        super().__init__(message, hint, ExitCode.ACCESS)


def no_access(message: str, hint: str) -> SsError:
    return SsError(message, hint, ExitCode.ACCESS)


def not_installed() -> UsageError:
    return UsageError("Azure's library is not installed here", f"run {INSTALL}")


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Whatever Azure's library raises inside, as one of our errors about `place`."""
    from azure.core.exceptions import AzureError

    try:
        yield
    except AzureError as problem:
        raise _said(problem, place) from problem
    except Exception as problem:
        if type(problem).__module__.startswith(("azure.", "msrest.", "marshmallow.")):
            raise SsError(
                f"{place}: Azure's library refused ({type(problem).__name__})",
                "SS_DEBUG=1 shows why; `ss doctor -f json` is what to report",
            ) from problem
        if isinstance(problem, ConnectionError | TimeoutError):
            raise NetworkLostError(f"{place}: the connection broke") from problem
        if _NOBODY_TO_TRUST in str(problem):
            raise NetworkLostError(f"{place}: {_broken(str(problem))}", _TRUST) from problem
        raise


def _said(problem: Any, place: str) -> SsError:
    from azure.core.exceptions import (
        ClientAuthenticationError,
        HttpResponseError,
        IncompleteReadError,
        ServiceRequestError,
        ServiceResponseError,
    )

    text = str(problem)
    if isinstance(problem, ServiceRequestError | ServiceResponseError | IncompleteReadError):
        return NetworkLostError(f"{place}: {_broken(text)}")
    status = getattr(problem, "status_code", None)
    if isinstance(problem, ClientAuthenticationError) and not _from_service(problem):
        return _no_login(text)
    if isinstance(problem, HttpResponseError) and status is None:
        return NetworkLostError(f"{place}: {_broken(text)}")
    return _refusal(place, status or 0, _code(problem), text)


def _from_service(problem: Any) -> bool:
    """Whether the service refused, and not the place where one logs in."""
    response = getattr(problem, "response", None)
    request = getattr(response, "request", None)
    return request is not None and "login.microsoftonline" not in str(request.url)


def _code(problem: Any) -> str:
    error = getattr(problem, "error", None)
    return str(getattr(problem, "error_code", None) or getattr(error, "code", None) or "")


def _no_login(text: str) -> SsError:
    found = re.search(r"AADSTS\d+", text)
    if found:
        return no_access(f"Azure refused the login ({found[0]})", f"see whether it is the right one; {LOGIN}")
    if _NOBODY_TO_TRUST in text:
        return NetworkLostError(f"Azure's login can't be reached: {_broken(text)}", _TRUST)
    if _is_network(text):
        return NetworkLostError(f"Azure's login can't be reached: {_broken(text)}")
    return no_access("nobody is logged in to Azure", LOGIN)


# What requests says of a file of certificates that is not there or may not be read.
_NOBODY_TO_TRUST = "TLS CA certificate bundle"
_TRUST = "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names that file: correct it, or leave it out"
_NETWORK = (
    (_NOBODY_TO_TRUST, "the file of certificates can't be read"),
    (r"resolve|Name or service|getaddrinfo", "its address is not known"),
    (r"Tunnel connection failed", "the proxy refused"),
    (r"certificate|SSL|TLS", "no secure connection could be made"),
    (r"timed? ?out", "it does not answer in time"),
    (r"refused", "nothing listens there"),
)


def _is_network(text: str) -> bool:
    return bool(re.search(r"Max retries|Connection|Name or service|timed? ?out|SSL", text))


def _broken(text: str) -> str:
    return next((said for pattern, said in _NETWORK if re.search(pattern, text, re.IGNORECASE)), "the connection broke")


_NOT_THERE = {
    "SubscriptionNotFound": ("there is no such subscription for this login", "azure.subscription_id", "SUBSCRIPTION"),
    "InvalidSubscriptionId": ("there is no such subscription for this login", "azure.subscription_id", "SUBSCRIPTION"),
    "ResourceGroupNotFound": ("there is no such resource group", "azure.resource_group", "GROUP"),
    "ResourceNotFound": ("there is no such workspace", "azure.workspace", "WORKSPACE"),
}


def is_elsewhere(problem: Any) -> bool:
    """Whether it is the workspace that is not there, or what it is in, and not the thing that was asked for."""
    text = str(problem)
    return _code(problem) in _NOT_THERE and (_code(problem) != "ResourceNotFound" or "'workspaces'" in text)


def _refusal(place: str, status: int, code: str, text: str) -> SsError:
    """By the code where it says more than the status."""
    if "quota" in text.lower() or "quota" in code.lower():
        return no_quota(place)
    if code in _NOT_THERE:
        what, key, word = _NOT_THERE[code]
        return no_access(f"{place}: {what}", f"`az account list` shows yours; `--set {key}={word}`")
    known = {
        401: ("the login has expired, or is not for this subscription", f"log in again, then {_AGAIN}; {LOGIN}"),
        403: ("this login may not do that there", "ask for the role `AzureML Data Scientist` on the workspace"),
        404: ("it is not there", "`ss train status` shows the jobs of this workspace"),
        409: ("somebody else is changing the same thing", _AGAIN),
        412: ("a file changed while it was read", _AGAIN),
        429: ("Azure asks for fewer requests", f"wait a minute, then {_AGAIN}"),
    }
    if status in known:
        return no_access(f"{place}: {known[status][0]}", known[status][1])
    if status >= 500:
        return NetworkLostError(f"{place}: Azure has trouble of its own ({status})", _AGAIN)
    return SsError(
        f"{place}: Azure refused{f' ({code})' if code else ''}",
        "SS_DEBUG=1 shows its answer; `ss train remote … --dry-run` shows what would be sent",
    )


def no_quota(place: str) -> SsError:
    return no_access(
        f"{place}: there is no quota for this compute",
        "choose a smaller one with `--compute NAME`, or ask for more quota in the Azure portal",
    )


def why_failed(job: str, message: str) -> SsError:
    """What a job's end means, from what the service says about it."""
    log = f"see the end of its log: `ss train status {job}`"
    if "quota" in message.lower():
        return no_quota(f"job `{job}`")
    if re.search(r"preempt|evicted", message, re.IGNORECASE):
        return SsError(
            f"job `{job}`: its machine was taken away (low priority)",
            "send it again, best to a dedicated compute: `ss train remote … --again --compute NAME`",
        )
    if "image build" in message.lower():
        return SsError(f"job `{job}`: its environment could not be built", f"try another `azure.image`; {log}")
    found = re.search(r"exited with status code (\d+)|exit code:? (\d+)", message)
    code = int(found[1] or found[2]) if found else 0
    if found and code in list(ExitCode):
        meaning = ExitCode(code).meaning
        kind = ContractError if code == ExitCode.CONTRACT else SsError
        return kind(f"job `{job}`: the training failed there with exit code {code} ({meaning})", log)
    return SsError(f"job `{job}` failed", log)
