"""Real servers on loopback for a city in several processes: three nats-servers, PostgreSQL, and moto in place of S3."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import psycopg

from civium.engines.nats_server import find_server, free_port

USER, PASSWORD = "civium", "CHANGE-ME"
DEVICE = {"username": "device", "password": "CHANGE-ME-FOR-DEVICES"}
_GUIDE = Path(__file__).parents[2] / "docs" / "cluster"


def free_ports(count: int) -> list[int]:
    """Different loopback ports that are free now."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def wait_for(what: Callable[[], object], seconds: float, why: str) -> object:
    """The first true answer of ``what`` within a time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except (OSError, psycopg.OperationalError):
            pass
        assert time.monotonic() < deadline, why
        time.sleep(0.1)


class NatsCluster:
    """Three nodes; any may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = free_ports(12)
        self.ports, self.mqtt, self._routes, self._leaves = ports[:3], ports[3:6], ports[6:9], ports[9:]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"nats://{USER}:{PASSWORD}@" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    @property
    def leaves(self) -> list[str]:
        """Where the edge ``harbour`` connects."""
        return [f"nats-leaf://harbour:CHANGE-ME-AS-WELL@127.0.0.1:{port}" for port in self._leaves]

    def start(self) -> "NatsCluster":
        for node in range(3):
            self.start_node(node)
        for port in (*self.ports, *self.mqtt):
            wait_for(lambda port=port: socket.create_connection(("127.0.0.1", port), 1).close() or True, 120, "no nats")
        return self

    def start_node(self, node: int) -> None:
        """Start it with the configuration of the guide; only names, addresses and the folder are others."""
        folder = self.folder / f"nats{node}"
        folder.mkdir(parents=True, exist_ok=True)
        text = (_GUIDE / "nats.conf").read_text()
        ports = {4222: self.ports, 1883: self.mqtt, 6222: self._routes, 7422: self._leaves}
        for port, here in ports.items():
            text = text.replace(f'"0.0.0.0:{port}"', f'"127.0.0.1:{here[node]}"')
        for other, port in enumerate(self._routes):
            text = text.replace(f"@node{other + 1}:6222", f"@127.0.0.1:{port}")
        text = text.replace("server_name: NODE", f"server_name: node{node + 1}").replace("/var/lib/nats", str(folder))
        config = folder / "nats.conf"
        config.write_text(text)
        self._processes[node] = subprocess.Popen([find_server(), "-c", str(config)])

    def kill_node(self, node: int) -> None:
        self._processes[node].kill()
        self._processes[node].wait()

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


class Postgres:
    """A PostgreSQL of our own: Debian's binaries, a temporary folder, a free port. Never as root."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            raise FileNotFoundError("no PostgreSQL server is installed: apt install postgresql")
        self.binaries = found[-1].parent
        self.folder = folder / "postgres"
        (self.port,) = free_ports(1)
        self._as = {"user": "postgres"} if os.geteuid() == 0 else {}

    def address(self, database: str) -> str:
        return f"//civium@127.0.0.1:{self.port}/{database}"

    def start(self) -> "Postgres":
        self.folder.mkdir(parents=True)
        if self._as:
            shutil.chown(self.folder, self._as["user"])
            for parent in self.folder.parents:  # pytest's folders are its user's only
                if parent == parent.parent or os.stat(parent).st_mode & 0o005 == 0o005:
                    break
                parent.chmod(parent.stat().st_mode | 0o055)
        self._run("initdb", "-D", self.folder / "data", "-A", "trust", "-U", "civium", "--no-sync")
        return self.serve()

    def serve(self) -> "Postgres":
        """Start the server, again after ``stop``."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        command = [self.binaries / "postgres", "-D", self.folder / "data", *options.split()]
        with (self.folder / "log").open("wb") as log:
            self._server = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self._as)
        wait_for(
            lambda: psycopg.connect("postgresql:" + self.address("postgres")).close() or True, 120, "no PostgreSQL"
        )
        return self

    def create(self, database: str, template: str = "template1") -> str:
        """A new database, a copy of ``template``; its address."""
        with psycopg.connect("postgresql:" + self.address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.address(database)

    def stop(self) -> None:
        self._server.send_signal(signal.SIGQUIT)  # at once: nobody needs the data again
        self._server.wait(30)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.binaries / program), *map(str, arguments)]
        done = subprocess.run(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}"


class ObjectStore:
    """moto's S3 in a process of its own; what it holds is in its memory."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "civium",
            "AWS_SECRET_ACCESS_KEY": "a-secret",
            "AWS_REGION": "eu-north-1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "ObjectStore":
        code = (
            "import sys, threading; from moto.server import ThreadedMotoServer;"
            "ThreadedMotoServer(ip_address='127.0.0.1', port=int(sys.argv[1]), verbose=False).start();"
            "threading.Event().wait()"
        )
        self._process = subprocess.Popen([sys.executable, "-c", code, str(self.port)], stderr=subprocess.DEVNULL)
        wait_for(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() or True, 120, "no S3")
        return self

    def create(self, bucket: str) -> None:
        boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_REGION"],
        ).create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
