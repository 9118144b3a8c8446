"""The service's answers, as its public REST specification has them: Entra ID, Resource Manager, run history.

Strict on purpose: a path, a method, a version of the API or a field of a body that is not expected is refused as the
real service would, and noted, so that a test can say that nothing strange was asked.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from azure_wire.azurite import ACCOUNT, HOST, Blobs, blob_token, container_token
from azure_wire.state import COMPUTE, GROUP, GROUP_ID, NAME, STORES, SUBSCRIPTION, TENANT, WORKSPACE, Job, State
from azure_wire.wire import Answer, Request

CLIENT, SECRET = "c11e4700-0000-4000-8000-000000000003", "the-secret-of-the-tests"
HISTORY = "westeurope.api.azureml.ms"
JOB = r"/jobs/(?P<job>[A-Za-z0-9][A-Za-z0-9_-]{0,254})"


def told(document: Mapping[str, Any], status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json", **headers})


def refused(status: int, code: str, message: str, **headers: str) -> Answer:
    return told({"error": {"code": code, "message": message}}, status, **headers)


def _web_token() -> str:
    """Shaped as a JSON web token: the SDK reads the tenant out of it, and nobody here checks a signature."""
    parts = ({"alg": "none", "typ": "JWT"}, {"tid": TENANT, "jti": secrets.token_hex(8)})
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "c2ln"]
    )


@dataclass(frozen=True)
class Route:
    """One thing that may be asked: `needs` are the fields that a body must have, with dots for what is inside."""

    method: str
    path: re.Pattern[str]
    version: str
    answer: Callable[..., Answer]
    needs: tuple[str, ...] = ()


@dataclass
class Service:
    """Everything but the blobs."""

    state: State
    blobs: Blobs
    start: Callable[[Job], None]
    strange: list[str] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)

    def __post_init__(self) -> None:
        arm = re.escape(WORKSPACE)
        code = arm + r"/codes/(?P<code>[0-9a-f-]{36})/versions"
        history = r"/history/v1\.0" + arm
        codes, stores = "2023-04-01", "2024-10-01-preview"
        add = self._add
        add("GET", arm, "2024-10-01-preview", self._workspace)
        add("GET", code, codes, self._codes)
        add("POST", code + "/(?P<version>[^/]+)/startPendingUpload", codes, self._upload, "pendingUploadType")
        add("PUT", code + "/(?P<version>[^/]+)", codes, self._put_code, "properties.codeUri")
        add("GET", code + "/(?P<version>[^/]+)", codes, self._get_code)
        add(
            "PUT",
            arm + "/environments/(?P<name>[^/]+)/versions/(?P<version>[^/]+)",
            "2023-04-01-preview",
            self._put_environment,
            "properties.image",
        )
        add(
            "PUT",
            arm + JOB,
            "2025-01-01-preview",
            self._put_job,
            "properties.jobType",
            "properties.command",
            "properties.codeId",
            "properties.environmentId",
            "properties.experimentName",
        )
        add("GET", arm + JOB, "2024-01-01-preview", self._get_job)
        add("POST", arm + JOB + "/cancel", "2023-04-01-preview", self._cancel)
        add("GET", arm + r"/computes/(?P<compute>[^/]+)", "2023-08-01-preview", self._compute)
        add("GET", arm + r"/computes", "2023-08-01-preview", self._computes)
        add("GET", arm + r"/datastores", stores, self._default_store)
        add("GET", arm + r"/datastores/(?P<store>[^/]+)", stores, self._store)
        add("POST", arm + r"/datastores/(?P<store>[^/]+)/listSecrets", stores, self._secrets, "expirableSecret")
        add("GET", history + r"/runs/(?P<job>[^/]+)/details", "v1.0", self._details)
        add(
            "PATCH",
            history + r"/experiments/(?P<experiment>[^/]+)/runs/(?P<job>[^/]+)",
            "v1.0",
            self._patch_run,
            "hidden",
        )

    def _add(self, method: str, path: str, version: str, answer: Callable[..., Answer], *needs: str) -> None:
        self.routes.append(Route(method, re.compile(path, re.IGNORECASE), version, answer, needs))

    def __call__(self, request: Request) -> Answer | None:
        """The answer, or None for what the blobs have to answer."""
        if request.host.endswith(".blob.core.windows.net"):
            return None if request.host == HOST else refused(404, "AccountNotFound", "no such account")
        if request.host == "login.microsoftonline.com":
            return self._login(request)
        if (request.host, request.path) == (HISTORY, "/discovery"):
            return told(
                {"api": f"https://{HISTORY}", "history": f"https://{HISTORY}", "studio": "https://ml.azure.com"}
            )
        if refusal := self._stranger(request) or self._elsewhere(request):
            return refusal
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        for route in self.routes:
            found = route.path.fullmatch(request.path)
            if found and route.method == request.method:
                return self._routed(route, request, query, found.groupdict())
        return self._odd(request, 404, "InvalidResourceType", "nothing is there")

    def _odd(self, request: Request, status: int, code: str, message: str) -> Answer:
        self.strange.append(f"{request.address}?{request.query}: {message}")
        return refused(status, code, message)

    def _routed(self, route: Route, request: Request, query: Mapping[str, str], found: Mapping[str, str]) -> Answer:
        if route.version and query.get("api-version") != route.version:
            return self._odd(request, 400, "NoRegisteredProviderFound", f"not the version {route.version}")
        body = json.loads(request.body) if request.body else {}
        for need in route.needs:
            inner: Any = body
            for word in need.split("."):
                inner = inner.get(word) if isinstance(inner, dict) else None
            if inner is None:
                return self._odd(request, 400, "InvalidRequestContent", f"`{need}` is missing")
        with self.state.lock:
            return route.answer(request, body, query, **found)

    # Entra ID

    def _login(self, request: Request) -> Answer:
        base = "https://login.microsoftonline.com"
        if request.path.endswith("/discovery/instance"):
            return told({"tenant_discovery_endpoint": f"{base}/{TENANT}/v2.0/.well-known/openid-configuration",
                         "metadata": [{"preferred_network": "login.microsoftonline.com", "preferred_cache":
                                       "login.windows.net", "aliases": ["login.microsoftonline.com"]}]})  # fmt: skip
        tenant = request.path.split("/")[1]
        if tenant != TENANT:
            return told({"error": "invalid_tenant", "error_description": "AADSTS90002: Tenant not found."}, 400)
        if request.path.endswith("/openid-configuration"):
            return told(
                {
                    "token_endpoint": f"{base}/{TENANT}/oauth2/v2.0/token",
                    "authorization_endpoint": f"{base}/{TENANT}/oauth2/v2.0/authorize",
                    "issuer": f"{base}/{TENANT}/v2.0",
                }
            )
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            said = "AADSTS7000215: Invalid client secret provided."
            return told({"error": "invalid_client", "error_description": said, "error_codes": [7000215]}, 401)
        token = _web_token()
        self.state.tokens.add(token)
        return told({"token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600, "access_token": token})

    def _stranger(self, request: Request) -> Answer | None:
        """Without a token that was given out and holds, nothing is said."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.state.tokens:
            return None
        code = "AuthenticationFailed" if not token else "ExpiredAuthenticationToken"
        return refused(401, code, "The access token is not there or has expired.")

    def _elsewhere(self, request: Request) -> Answer | None:
        words = [word.casefold() for word in request.path.removeprefix("/history/v1.0").split("/")]
        if len(words) < 9:
            return None
        for at, mine, code in ((2, SUBSCRIPTION, "SubscriptionNotFound"), (4, GROUP, "ResourceGroupNotFound")):
            if words[at] != mine.casefold():
                return refused(404, code, f"The {code.removesuffix('NotFound')} could not be found.")
        if words[8] != NAME.casefold():
            return refused(404, "ResourceNotFound", "The Resource 'workspaces' was not found.")
        return None

    # Resource Manager

    def _workspace(self, *_words: object) -> Answer:
        return told(
            {
                "id": WORKSPACE,
                "name": NAME,
                "type": "Microsoft.MachineLearningServices/workspaces",
                "location": "westeurope",
                "kind": "Default",
                "identity": {"type": "SystemAssigned", "tenantId": TENANT, "principalId": TENANT},
                "properties": {
                    "friendlyName": NAME,
                    "workspaceId": "9a000000-0000-4000-8000-000000000004",
                    "discoveryUrl": f"https://{HISTORY}/discovery",
                    "mlFlowTrackingUri": f"azureml://{HISTORY}/mlflow/v1.0{WORKSPACE}",
                    "storageAccount": f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}",
                    "provisioningState": "Succeeded",
                },
            }
        )

    def _compute(self, _request: Request, _body: object, _query: object, compute: str) -> Answer:
        if compute != COMPUTE:
            return refused(404, "ResourceNotFound", f"The compute {compute} was not found.")
        return told(self._one_compute())

    def _computes(self, *_words: object) -> Answer:
        return told({"value": [self._one_compute()]})

    def _one_compute(self) -> dict[str, Any]:
        scale = {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT2M"}
        return {
            "id": f"{WORKSPACE}/computes/{COMPUTE}",
            "name": COMPUTE,
            "type": "Microsoft.MachineLearningServices/workspaces/computes",
            "location": "westeurope",
            "properties": {
                "computeType": "AmlCompute",
                "provisioningState": "Succeeded",
                "properties": {"vmSize": "STANDARD_DS3_V2", "vmPriority": "Dedicated", "scaleSettings": scale},
            },
        }

    def _default_store(self, _request: Request, _body: object, query: Mapping[str, str]) -> Answer:
        stores = ["workspaceblobstore"] if query.get("isDefault", "").lower() == "true" else list(STORES)
        return told({"value": [self._one_store(store) for store in stores]})

    def _store(self, _request: Request, _body: object, _query: object, store: str) -> Answer:
        if store not in STORES:
            return refused(404, "UserError", f"Could not find datastore {store}")
        return told(self._one_store(store))

    def _one_store(self, store: str) -> dict[str, Any]:
        return {
            "id": f"{WORKSPACE}/datastores/{store}",
            "name": store,
            "type": "Microsoft.MachineLearningServices/workspaces/datastores",
            "properties": {
                "datastoreType": "AzureBlob",
                "isDefault": store == "workspaceblobstore",
                "credentials": {"credentialsType": "AccountKey"},
                "accountName": ACCOUNT,
                "containerName": STORES[store],
                "endpoint": "core.windows.net",
                "protocol": "https",
            },
        }

    def _secrets(self, _request: Request, body: Mapping[str, Any], _query: object, store: str) -> Answer:
        if not body.get("expirableSecret"):
            return refused(403, "AuthorizationFailed", "this identity may have tokens and not the key")
        return told({"secretsType": "Sas", "sasToken": container_token(STORES[store])})

    def _codes(self, _request: Request, _body: object, query: Mapping[str, str], code: str) -> Answer:  # noqa: ARG002
        same = [one for one in self.state.codes.values() if one["properties"]["hash"] == query.get("hash")]
        return told({"value": same[:1]})

    def _upload(self, _request: Request, _body: object, _query: object, code: str, version: str) -> Answer:
        container = code
        self.blobs.container(container)
        self.state.pending[code, version] = container
        address = f"https://{HOST}/{container}"
        token = container_token(container)
        return told(
            {
                "pendingUploadId": secrets.token_hex(8),
                "pendingUploadType": "TemporaryBlobReference",
                "blobReferenceForConsumption": {
                    "blobUri": address,
                    "storageAccountArmId": f"storageAccounts/{ACCOUNT}",
                    "credential": {"credentialType": "SAS", "sasUri": f"{address}?{token}"},
                },
            }
        )

    def _put_code(self, _request: Request, body: dict[str, Any], _query: object, code: str, version: str) -> Answer:
        if (code, version) not in self.state.pending:
            return refused(400, "UserError", "nothing was uploaded for this code")
        properties = body["properties"]
        digest = (properties.get("properties") or {}).get("hash_sha256", "")
        made = {"id": f"{WORKSPACE}/codes/{code}/versions/{version}", "name": version,
                "properties": {**properties, "hash": digest}}  # fmt: skip
        self.state.codes[code, version] = made
        return told(made, 201)

    def _get_code(self, _request: Request, _body: object, _query: object, code: str, version: str) -> Answer:
        return told(self.state.codes[code, version])

    def _put_environment(
        self, _request: Request, body: dict[str, Any], _query: object, name: str, version: str
    ) -> Answer:
        made = {"id": f"{WORKSPACE}/environments/{name}/versions/{version}", "name": version, **body}
        self.state.environments[name, version] = made
        return told(made, 201)

    def _put_job(self, request: Request, body: dict[str, Any], _query: object, job: str) -> Answer:
        if job in self.state.jobs:
            return refused(409, "UserError", f"Run {job} already exists and its properties are read-only.")
        properties = body["properties"]
        compute = properties.get("computeId") or ""
        if compute and not compute.endswith(f"/computes/{COMPUTE}"):
            return refused(404, "UserError", "The compute could not be found.")
        if properties["jobType"] != "Command":
            return self._odd(request, 400, "UserError", "only commands run here")
        made = self.state.jobs[job] = Job(job, properties)
        self.start(made)
        return told(self._one_job(made), 201)

    def _get_job(self, _request: Request, _body: object, _query: object, job: str) -> Answer:
        found = self.state.jobs.get(job)
        return told(self._one_job(found)) if found else refused(404, "UserError", f"(UserError) Run {job} not found")

    def _one_job(self, job: Job) -> dict[str, Any]:
        studio = f"https://ml.azure.com/runs/{job.name}?wsid={WORKSPACE}&tid={TENANT}"
        services = {"Studio": {"jobServiceType": "Studio", "endpoint": studio, "status": None}}
        path = f"azureml://datastores/workspaceartifactstore/{job.prefix}"
        outputs = {"default": {"jobOutputType": "uri_folder", "mode": "ReadWriteMount", "uri": path}}
        properties = {
            **job.properties,
            "status": job.status,
            "services": services,
            "outputs": outputs,
            "isArchived": job.hidden,
        }
        created = {"createdAt": "2025-01-01T10:00:00Z", "createdBy": "tests", "createdByType": "Application"}
        return {"id": f"{WORKSPACE}/jobs/{job.name}", "name": job.name, "properties": properties, "systemData": created}

    def _cancel(self, _request: Request, _body: object, _query: object, job: str) -> Answer:
        found = self.state.jobs.get(job)
        if found is None:
            return refused(404, "UserError", f"(UserError) Run {job} not found")
        if not found.ended.is_set():
            found.move("CancelRequested")
        found.cancelled.set()
        return Answer(200)

    # Run history

    def _details(self, _request: Request, _body: object, _query: object, job: str) -> Answer:
        found = self.state.jobs.get(job)
        if found is None:
            return refused(404, "UserError", f"Run {job} not found")
        container = STORES["workspaceartifactstore"]
        logs = self.blobs.names(container, f"{found.prefix}user_logs/")
        files = {
            name.removeprefix(found.prefix): f"https://{HOST}/{container}/{name}?{blob_token(container, name)}"
            for name in logs
        }
        return told(
            {
                "runId": job,
                "target": COMPUTE,
                "status": found.status,
                "error": found.error,
                "warnings": [],
                "properties": {},
                "inputDatasets": [],
                "outputDatasets": [],
                "logFiles": files,
            }
        )

    def _patch_run(
        self, request: Request, body: Mapping[str, Any], _query: object, experiment: str, job: str
    ) -> Answer:
        found = self.state.jobs.get(job)
        if found is None or found.properties["experimentName"] != experiment:
            return self._odd(request, 404, "UserError", f"Run {job} not found")
        found.hidden = bool(body["hidden"])
        return told({"runId": job, "hidden": found.hidden, "status": found.status})
