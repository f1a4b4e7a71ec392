"""Units, compose file and manifests: they start the commands of the Procfile with few rights, and fit their schemas."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import click
import kubernetes_validate
import pytest
import repository
import yaml
from judges import programs
from repository import ROOT, table

from cli.main import main
from portability.settings import Settings

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OVERLAYS = ("base", "example")
NEWEST = "1.35"
PROCFILE = {
    line.split(": ", 1)[1].removeprefix("portability ") for line in (ROOT / "Procfile").read_text().splitlines()
}
OTHERS = {"FORWARDED_ALLOW_IPS"}
"""Variables that are not settings of this software: uvicorn reads it."""


def is_command(words: Sequence[str]) -> bool:
    """Whether the command line has this command, and its options."""
    command: click.Command = main
    rest = [*words]
    while isinstance(command, click.Group) and rest:
        below = command.get_command(click.Context(command), rest.pop(0))
        if below is None:
            return False
        command = below
    options = {name for option in command.params for name in option.opts}
    return all(word in options for word in rest if word.startswith("--"))


def unit(path: Path) -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    parser.read_string(path.read_text())
    return parser


def test_units_start_the_processes_of_the_procfile() -> None:
    """Web, worker, clock and the upgrade of the database, with the same commands."""
    commands = {unit(path)["Service"]["ExecStart"].partition("/bin/portability ")[2] for path in UNITS}
    assert commands == PROCFILE


@pytest.mark.parametrize("path", UNITS, ids=lambda path: str(path.stem))
def test_a_unit_has_few_rights(path: Path) -> None:
    """No new rights, a read-only system, no capabilities; a process is ready when it says so."""
    service = unit(path)["Service"]
    assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("yes", "strict")
    assert (service["CapabilityBoundingSet"], service["User"]) == ("", "portability")
    assert service["Type"] == ("oneshot" if "migrate" in path.name else "notify")
    if "worker" in path.name:
        assert service["KillMode"] == "mixed"
        assert int(service["TimeoutStopSec"]) > Settings.model_fields["drain_seconds"].default + 30


def test_keys_are_made_by_the_user_of_the_units() -> None:
    """A key has the mode 0600: the guide makes keys as the user of the units, between upgrade and start."""
    (commands,) = re.findall(
        r"^## systemd\n+```sh\n(.*?)^```", (ROOT / "docs" / "deploy.md").read_text(), re.MULTILINE | re.DOTALL
    )
    lines = commands.splitlines()
    (run,) = (line for line in lines if line.startswith("run="))
    for path in UNITS:
        service = unit(path)["Service"]
        assert f"--uid={service['User']} " in run
        if "migrate" not in path.name:
            assert f"--property=EnvironmentFile={service['EnvironmentFile']}" in run
    steps = [
        next(n for n, line in enumerate(lines) if word in line) for word in ("migrate", "keys new", "doctor", "--now")
    ]
    assert steps == sorted(steps)
    assert "$run /opt/portability/.venv/bin/portability keys new" in lines[steps[1]]


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say, but that the program is not installed at that place."""
    analyze = programs.program("systemd-analyze", package="systemd")
    copies = [tmp_path / path.name.replace("@.", "@1.") for path in UNITS]
    for path, copy in zip(UNITS, copies, strict=True):
        copy.write_text(path.read_text().replace("/opt/portability/.venv/bin/portability", shutil.which("true") or ""))
    assert programs.run([analyze, "verify", *copies]) == ""


@pytest.fixture(scope="module")
def composed() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def test_compose_starts_the_processes_of_the_procfile(composed: Mapping[str, Any]) -> None:
    """The services that use our image run these commands, with a read-only root and without capabilities."""
    ours = {name: service for name, service in composed["services"].items() if "portability" in service["image"]}
    assert {" ".join(service["command"]).partition(" --")[0] for service in ours.values()} == PROCFILE
    for name, service in ours.items():
        assert is_command(service["command"]), name
        assert service["read_only"] is True
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    named = [
        volume.partition(":")[0] for service in composed["services"].values() for volume in service.get("volumes", ())
    ]
    assert {name for name in named if not name.startswith("./")} == set(composed["volumes"])


def test_compose_runs_the_image_that_the_guide_builds(composed: Mapping[str, Any]) -> None:
    """Docker keeps `portability` and `localhost/portability` apart: compose has the name of each build command."""
    texts = (DEPLOY / "Containerfile").read_text(), (ROOT / "docs" / "deploy.md").read_text()
    tags = [tag for text in texts for tag in re.findall(r"-f deploy/Containerfile -t (\S+) ", text)]
    default = composed["services"]["web"]["image"].partition(":-")[2].removesuffix(":latest}")
    assert (len(tags), set(tags)) == (3, {default})


def test_the_image_s_user_may_write_to_the_volumes_of_compose(composed: Mapping[str, Any]) -> None:
    """A new volume belongs to root where the image has no such folder: it has each folder, but /tmp, for its user."""
    ours = [service for service in composed["services"].values() if "portability" in service["image"]]
    mounted = {volume for service in ours for volume in service["volumes"] if not volume.startswith("./")}
    folders = {volume.split(":")[1] for volume in mounted} - {"/tmp"}
    text = (DEPLOY / "Containerfile").read_text()
    assert folders == {"/var/lib/portability"}
    assert {*re.findall(r"^RUN install -d -m 0700 -o 10001 -g 10001 (\S+)$", text, re.MULTILINE)} == folders


def built(overlay: str) -> Sequence[Mapping[str, Any]]:
    kustomize = programs.program("kustomize", package="kustomize")
    return [*yaml.safe_load_all(programs.run([kustomize, "build", DEPLOY / "kubernetes" / overlay]))]


@pytest.fixture(scope="module")
def manifests() -> Sequence[Mapping[str, Any]]:
    """The manifests of the example, as kustomize builds them."""
    return built("example")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_fit_the_schemas(overlay: str) -> None:
    """Each document is one that Kubernetes knows, without a field that it does not know."""
    documents = built(overlay)
    assert len(documents) >= 12
    for document in documents:
        kubernetes_validate.validate(document, NEWEST, strict=True)


def test_a_wrong_manifest_is_noticed() -> None:
    """The schemas refuse a misspelt field and a wrong type."""
    right = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}
    kubernetes_validate.validate(right, NEWEST, strict=True)
    mistakes: Sequence[Mapping[str, Any]] = ({"ports": [{"port": "http"}]}, {"port": []})
    for wrong in mistakes:
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate({**right, "spec": wrong}, NEWEST, strict=True)


def pods(manifests: Sequence[Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """The specification of the pods by the name of their workload."""
    return {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]
        for document in manifests
        if document["kind"] in {"Deployment", "Job"}
    }


def of_kind(manifests: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Mapping[str, Any]]:
    return {document["metadata"]["name"]: document for document in manifests if document["kind"] == kind}


def test_pods_run_the_processes_of_the_procfile(manifests: Sequence[Mapping[str, Any]]) -> None:
    """One container a pod with the command of the Procfile; the image is that of the overlay."""
    containers = [container for pod in pods(manifests).values() for container in pod["containers"]]
    assert {" ".join(container["args"]).partition(" --")[0] for container in containers} == PROCFILE
    assert all(is_command(container["args"]) for container in containers)
    assert {container["image"] for container in containers} == {"registry.example.org/portability:0.1.0"}


def test_pods_are_restricted(manifests: Sequence[Mapping[str, Any]]) -> None:
    """As the Pod Security Standard `restricted` wants; a read-only root, no token of the API, a limit of memory."""
    for pod in pods(manifests).values():
        security = pod["securityContext"]
        assert (security["runAsNonRoot"], security["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert writable == ["tmp"]
    (namespace,) = of_kind(manifests, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_upgrade_waits_for_nothing_that_needs_it(manifests: Sequence[Mapping[str, Any]]) -> None:
    """Keys are made in the upgraded database: a job that mounts their secret never begins on a new cluster."""
    found = pods(manifests)
    assert [volume["name"] for volume in found["portability-migrate"]["volumes"]] == ["tmp"]
    mounted = {name for name, pod in found.items() if "keys" in {volume["name"] for volume in pod["volumes"]}}
    assert mounted == {"portability-web", "portability-worker", "portability-clock"}


def test_a_pod_has_time_to_drain(manifests: Sequence[Mapping[str, Any]]) -> None:
    """The grace of a worker is longer than its drain and the abort of an upload."""
    grace_seconds = pods(manifests)["portability-worker"]["terminationGracePeriodSeconds"]
    assert grace_seconds > Settings.model_fields["drain_seconds"].default + 30


def test_web_is_probed_and_each_process_keeps_running(manifests: Sequence[Mapping[str, Any]]) -> None:
    """Web has three probes at addresses of the API; each deployment has a budget that selects its pods."""
    (web,) = pods(manifests)["portability-web"]["containers"]
    assert web["startupProbe"]["httpGet"]["path"] == web["livenessProbe"]["httpGet"]["path"] == "/healthz/live"
    assert web["readinessProbe"]["httpGet"]["path"] == "/healthz/ready"
    budgets = of_kind(manifests, "PodDisruptionBudget")
    for name, deployment in of_kind(manifests, "Deployment").items():
        assert budgets[name]["spec"]["selector"] == deployment["spec"]["selector"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_workers_scale_on_what_is_measured(manifests: Sequence[Mapping[str, Any]]) -> None:
    """The autoscaler uses a metric of docs/metrics.md and targets the workers, whose manifest names no number."""
    (scaler,) = of_kind(manifests, "HorizontalPodAutoscaler").values()
    (metric,) = scaler["spec"]["metrics"]
    assert metric["external"]["metric"]["name"] in {
        row["metric"] for row in table(ROOT / "docs" / "metrics.md", "metric")
    }
    worker = of_kind(manifests, "Deployment")[scaler["spec"]["scaleTargetRef"]["name"]]
    assert "replicas" not in worker["spec"]
    assert scaler["spec"]["maxReplicas"] == 8


def test_the_network_is_closed_but_for_what_is_needed(manifests: Sequence[Mapping[str, Any]]) -> None:
    """All pods have a policy for both directions; only web is reached, and only at its port."""
    policies = of_kind(manifests, "NetworkPolicy")
    assert policies["portability"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policies["portability"]["spec"]
    web = policies["portability-web"]["spec"]
    assert web["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "web"
    assert [rule["ports"] for rule in web["ingress"]] == [[{"protocol": "TCP", "port": "http"}]]
    assert all(rule["from"] for rule in web["ingress"])


def test_settings_that_deployments_name_exist() -> None:
    """A variable in any file of deploy/ is a setting."""
    known = {f"PORTABILITY_{name}".upper() for name in Settings.model_fields}
    for path in repository.files(below=DEPLOY):
        assert set(re.findall(r"\bPORTABILITY_[A-Z_]*[A-Z]", path.read_text())) <= known, path


def test_deployments_contain_no_secret(manifests: Sequence[Mapping[str, Any]]) -> None:
    """No document is a Secret, and no URL has a password: secrets are made where the service runs."""
    assert of_kind(manifests, "Secret") == {}
    found = [path for path in repository.files(below=DEPLOY) if re.search(r"://[^/\s@]+:[^/\s@]+@", path.read_text())]
    assert found == []


def test_the_image_is_not_root() -> None:
    """The Containerfile ends with another user, a health check of web, and the command line as its program."""
    text = (DEPLOY / "Containerfile").read_text()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    assert 'ENTRYPOINT ["portability"]' in text
    assert "/healthz/live" in text
    assert "--require-hashes -r requirements/run.txt" in text
    assert 0 < text.index('ARG FONTS=""') < text.index("USER ")
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {path for path in allowed if not (ROOT / path).exists()} == set()
