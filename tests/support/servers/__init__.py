"""Real servers for tests: PostgreSQL, MariaDB, PgBouncer, Valkey, nginx, an S3 server; each is a context manager.

They listen on loopback or a unix socket only, on free ports, keep their data in a folder of their own, run as root
and as any other user, and die with the process that started them, for any kind of its end (Linux).
"""

from __future__ import annotations

from servers.cluster import Cluster, cluster_of
from servers.databases import Postgres, Valkey, postgres, replica_of, valkey
from servers.mariadb import MariaDB, mariadb
from servers.pooler import Pooler, pgbouncer
from servers.process import ServerMissing, free_ports
from servers.proxy import Nginx, nginx
from servers.s3 import S3Server, seaweedfs

__all__ = [
    "Cluster",
    "MariaDB",
    "Nginx",
    "Pooler",
    "Postgres",
    "S3Server",
    "ServerMissing",
    "Valkey",
    "cluster_of",
    "free_ports",
    "mariadb",
    "nginx",
    "pgbouncer",
    "postgres",
    "replica_of",
    "seaweedfs",
    "valkey",
]
