"""moto's S3 on loopback. It holds objects in memory: for small images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.servers.process import Server

SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("listens on http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


class S3:
    """The service; a context manager that ends it.

    Args:
        folder: for its log; must exist.
    """

    def __init__(self, folder: Path) -> None:
        import boto3
        from botocore.config import Config

        self._server = Server(
            [sys.executable, "-c", SERVE], folder / "s3.log", {"AWS_EC2_METADATA_DISABLED": "true"}
        )
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        self.environment = {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "only-for-tests",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        """What a client needs to find it, and to look for nothing elsewhere."""
        self.client: Any = boto3.client(
            "s3",
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=self.endpoint,
            region_name=self.environment["AWS_DEFAULT_REGION"],
            config=Config(proxies={}),
        )

    def __enter__(self) -> S3:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.client.close()
        self._server.end()

    def bucket(self, name: str, *, versioned: bool = False) -> str:
        """Make a bucket: its name. One that is versioned keeps what is put over."""
        self.client.create_bucket(Bucket=name)
        if versioned:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def put(self, content: Path | bytes, bucket: str, key: str) -> str:
        """Put a file, or bytes: its address."""
        body = content if isinstance(content, bytes) else content.read_bytes()
        self.client.put_object(Bucket=bucket, Key=key, Body=body)
        return f"s3://{bucket}/{key}"
