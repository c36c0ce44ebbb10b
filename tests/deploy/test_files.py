"""The files for containers, systemd and Kubernetes agree with the server and with one another."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from service.cli.command import cli
from service.cli.settings import all_settings
from service.config import LIMITS
from service.rpc.server import LIVENESS
from tests.deploy.containerfile import ignored, steps

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "service" / "deploy"
PORT = 50051
USER = 10001
CONTAINER = steps((DEPLOY / "Containerfile").read_text())
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = {it["kind"]: it for it in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
POD = KUBERNETES["Deployment"]["spec"]["template"]["spec"]
END_S = LIMITS.drain_s + 2
"""The longest end of a server after SIGTERM."""


def unit() -> ConfigParser:
    """The systemd unit; of a key that stands there several times, all values."""
    text = (DEPLOY / "freehold.service").read_text()
    seen: dict[str, int] = {}
    lines = []
    for line in text.splitlines():
        name = line.partition("=")[0]
        seen[name] = seen.get(name, 0) + 1
        again = "=" in line and seen[name] > 1
        lines.append(line.replace("=", f" {seen[name]}=", 1) if again else line)
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string("\n".join(lines))
    return parser


def only(word: str) -> str:
    """The text of an instruction that the container file has once."""
    (text,) = [it.text for it in CONTAINER if it.word == word]
    return text


def variables() -> set[str]:
    """Every variable of the environment that is a setting, or that a command reads."""
    read = {str(it.envvar) for command in commands(cli) for it in command.params if it.envvar}
    return read | {it.variable for it in all_settings().values()}


def commands(group: click.Command) -> Iterator[click.Command]:
    """A command, and all below it."""
    yield group
    if isinstance(group, click.Group):
        for command in group.commands.values():
            yield from commands(command)


def test_every_variable_is_one_that_a_command_reads() -> None:
    """Each variable FREEHOLD_… in the files is a setting, or is read by a command."""
    texts = [it.read_text() for it in DEPLOY.iterdir() if not it.name.endswith((".lock", ".cfg"))]
    named = {name for text in texts for name in re.findall(r"FREEHOLD_[A-Z_]+[A-Z]", text)}
    assert named - variables() == set()
    assert {"FREEHOLD_DATABASE", "FREEHOLD_ADDRESS", "FREEHOLD_SEAL_KEY"} <= named


@pytest.mark.parametrize(
    "words",
    [
        json.loads(only("ENTRYPOINT"))[1:] + json.loads(only("CMD")),
        COMPOSE["services"]["migrate"]["command"],
        COMPOSE["services"]["freehold"]["command"],
        COMPOSE["services"]["freehold"]["healthcheck"]["test"][2:],
        json.loads(only("HEALTHCHECK").partition("CMD")[2])[1:],
        shlex.split(unit()["Service"]["ExecStart"])[1:],
        POD["initContainers"][0]["args"],
        POD["containers"][0]["args"],
    ],
)
def test_every_command_is_one_of_freehold(words: list[str]) -> None:
    """Each command line names a command of freehold, with options that it has."""
    command = cli.commands[words[0]]
    options = {it for param in command.params for it in param.opts}
    assert {it for it in words if it.startswith("--")} <= options
    listens = [it for it in words if re.fullmatch(r"[\d.]+:\d+", it)]
    assert listens == ([f"0.0.0.0:{PORT}"] if words[0] == "serve" else [])


def test_the_container_is_not_root() -> None:
    """The image's user is a number other than 0, as Kubernetes needs it, and owns the volume."""
    assert only("USER") == f"{USER}:{USER}"
    own = [it.text for it in CONTAINER if it.word == "RUN" and it.text.startswith("install ")]
    assert own == [
        f"install --directory --owner={USER} --group={USER} --mode=0700 {only('VOLUME')}"
    ]
    assert COMPOSE["x-freehold"]["user"] == only("USER")
    assert POD["securityContext"]["runAsUser"] == POD["securityContext"]["runAsGroup"] == USER
    assert only("EXPOSE") == str(PORT)
    assert only("FROM") == "${BASE}"
    assert re.fullmatch(r"BASE=python:3\.\d+-slim", only("ARG"))


def test_the_container_gets_only_what_it_needs() -> None:
    """The container file copies only files that exist and that the ignore file lets in; tests, the
    demo and version control stay out."""
    ignore = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    patterns = [it for it in ignore if it and not it.startswith("#")]
    sources = [it for step in CONTAINER if step.word == "COPY" for it in step.text.split()[:-1]]
    assert all((ROOT / it).exists() and not ignored(it, patterns) for it in sources)
    inside = ("service/app.py", "service/data/x.toml", "models/data/taiwan.toml", "pyproject.toml")
    outside = (
        "tests/fakes.py", ".git/config", ".venv/bin/python", "service/demo/run.py",
        "service/__pycache__/app.cpython-311.pyc", "service/rpc/__pycache__/x.pyc",
    )  # fmt: skip
    assert not [it for it in inside if ignored(it, patterns)]
    assert not [it for it in outside if not ignored(it, patterns)]


def test_compose_names_only_what_it_declares() -> None:
    """Each service of the compose file uses secrets, volumes, networks and services that the file
    declares. A path of a secret in a variable is that of a secret of the service."""
    for name, service in COMPOSE["services"].items():
        secrets = set(service["secrets"])
        assert secrets <= set(COMPOSE["secrets"])
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])
        texts = json.dumps([service["environment"], service.get("entrypoint", [])])
        used = set(re.findall(r"/run/secrets/([\w.]+)", texts))
        assert used == secrets, name
    named = COMPOSE["services"]["postgres"]["volumes"]
    assert {it.partition(":")[0] for it in named} == set(COMPOSE["volumes"])
    build = COMPOSE["x-freehold"]["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert (context / build["dockerfile"]).is_file()
    assert context == ROOT


def test_compose_migrates_before_it_serves() -> None:
    """In the compose file, migrate waits for a healthy PostgreSQL, and the server for a finished
    migrate. Both use the same database, which has no password in its URL."""
    services = COMPOSE["services"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["freehold"]["depends_on"]["migrate"] == {
        "condition": "service_completed_successfully"
    }
    (url,) = {services[it]["environment"]["FREEHOLD_DATABASE"] for it in ("migrate", "freehold")}
    postgres = services["postgres"]["environment"]
    user, name = postgres["POSTGRES_USER"], postgres["POSTGRES_DB"]
    assert url == f"postgresql+psycopg://{user}@postgres/{name}"
    assert services["freehold"]["read_only"] is True
    assert services["freehold"]["ports"] == [f"{PORT}:{PORT}"]


def test_kubernetes_names_only_what_it_declares() -> None:
    """In the Kubernetes file, labels, ports and volumes fit together, and the mounted secret has
    the file that the server is told of."""
    labels = KUBERNETES["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for kind, path in (
        ("Deployment", ("selector", "matchLabels")),
        ("Service", ("selector",)),
        ("PodDisruptionBudget", ("selector", "matchLabels")),
        ("NetworkPolicy", ("podSelector", "matchLabels")),
    ):
        found: Any = KUBERNETES[kind]["spec"]
        for part in path:
            found = found[part]
        assert found == labels, kind
    (server,) = POD["containers"]
    (port,) = server["ports"]
    assert port == {"name": "grpc", "containerPort": PORT}
    assert KUBERNETES["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert KUBERNETES["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == PORT
    for container in (server, *POD["initContainers"]):
        mounts = {it["name"] for it in container["volumeMounts"]}
        assert mounts <= {it["name"] for it in POD["volumes"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    (mount,) = [it for it in server["volumeMounts"] if it["name"] == "secrets"]
    (volume,) = [it for it in POD["volumes"] if it["name"] == "secrets"]
    files = [f"{mount['mountPath']}/{it['path']}" for it in volume["secret"]["items"]]
    told = {it["name"]: it.get("value") for it in server["env"]}
    assert told["FREEHOLD_SEAL_KEY"] in files
    # The server refuses a seal key that everybody may read.
    assert volume["secret"]["defaultMode"] & 0o007 == 0
    replicas = KUBERNETES["Deployment"]["spec"]["replicas"]
    assert KUBERNETES["PodDisruptionBudget"]["spec"]["minAvailable"] < replicas


def test_kubernetes_probes_by_grpc() -> None:
    """All probes ask by gRPC. Only the probe that restarts a pod asks for the liveness, which does
    not follow the database."""
    (server,) = POD["containers"]
    probes = {it: server[it]["grpc"] for it in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {it["port"] for it in probes.values()} == {PORT}
    asked = {name: it.get("service", "") for name, it in probes.items()}
    assert asked == {"startupProbe": "", "readinessProbe": "", "livenessProbe": LIVENESS}


def seconds(text: str) -> float:
    """A time of the compose file, such as 15s."""
    return float(text.removesuffix("s"))


def test_nobody_kills_a_server_before_its_end() -> None:
    """systemd, compose and Kubernetes wait longer for the server's end than the server takes."""
    (server,) = POD["containers"]
    pause_s = float(server["lifecycle"]["preStop"]["exec"]["command"][1])
    assert POD["terminationGracePeriodSeconds"] > END_S + pause_s
    assert seconds(COMPOSE["services"]["freehold"]["stop_grace_period"]) > END_S
    assert float(unit()["Service"]["TimeoutStopSec"]) > END_S
    assert only("STOPSIGNAL") == "SIGTERM"


def test_a_server_on_a_network_says_how_it_is_protected() -> None:
    """A server that listens beyond its machine gets a certificate, or says that it serves
    plaintext."""
    (server,) = POD["containers"]
    assert {"name": "FREEHOLD_PLAINTEXT_ON_NETWORK", "value": "true"} in server["env"]
    told = COMPOSE["services"]["freehold"]["environment"]
    assert {"FREEHOLD_TLS_CERTIFICATE", "FREEHOLD_TLS_KEY", "FREEHOLD_TLS_CA"} <= set(told)
    given = "\n".join(unit()["Service"].values())
    assert "FREEHOLD_TLS_CERTIFICATE=%d/tls.crt" in given
    assert "tls.crt:/etc/freehold/tls.crt" in given


def test_the_systemd_unit_is_notified() -> None:
    """The unit waits for the server's own report, restarts it after a failure or a missed watchdog,
    and gives it no privilege."""
    service = unit()["Service"]
    assert (service["Type"], service["Restart"]) == ("notify", "on-failure")
    assert float(service["WatchdogSec"]) >= 10
    assert service["DynamicUser"] == service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """systemd finds no fault in the unit, and no setting that it does not know."""
    text = (DEPLOY / "freehold.service").read_text()
    program = shlex.split(unit()["Service"]["ExecStart"])[0]
    path = tmp_path / "freehold.service"
    path.write_text(text.replace(program, sys.executable))
    words = ["systemd-analyze", "verify", "--man=no", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "freehold.service" not in done.stderr
