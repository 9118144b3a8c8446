"""Which login Azure's library would come to first, told without asking anybody."""

from __future__ import annotations

import pytest

from studentsuccess.config.credentials import JOB_KEY, azure_login, job_key

PRINCIPAL = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({**PRINCIPAL, "AZURE_CLIENT_SECRET": "s"}, "service principal"),
        ({**PRINCIPAL, "AZURE_CLIENT_CERTIFICATE_PATH": "/c.pem"}, "service principal"),
        ({**PRINCIPAL, "AZURE_FEDERATED_TOKEN_FILE": "/token"}, "workload identity"),
        ({"IDENTITY_ENDPOINT": "http://169.254.169.254"}, "managed identity"),
        ({"MSI_ENDPOINT": "http://127.0.0.1", **PRINCIPAL}, "managed identity"),
        (PRINCIPAL, "login of this machine"),
        ({**PRINCIPAL, "AZURE_CLIENT_SECRET": ""}, "login of this machine"),
        ({"AZURE_CLIENT_SECRET": "s"}, "login of this machine"),
        ({}, "login of this machine"),
    ],
)
def test_a_login_is_told_by_its_kind_and_never_by_its_value(variables: dict[str, str], kind: str) -> None:
    assert azure_login(variables) == kind


def test_a_job_has_a_key_only_where_it_was_given_one() -> None:
    assert job_key({JOB_KEY: "abc"}) == b"abc"
    assert job_key({JOB_KEY: ""}) is None
    assert job_key({}) is None
