"""Several Valkey servers that belong together: Sentinel, and a Cluster."""

from __future__ import annotations

from tests.servers.process import free_port, wait_until
from tests.servers.valkey import ValkeyServer

__all__ = ["ClusterSetup", "SentinelSetup"]

_SOON, _PATIENT = 1_000, 30_000  # milliseconds of silence after which a cluster takes a node for dead
_SERVICE = "limpet"


class SentinelSetup:
    """One master, two replicas, three Sentinels; a failover takes about two seconds."""

    service = _SERVICE

    def __init__(self) -> None:
        self.master = ValkeyServer("--repl-diskless-sync-delay", 0)
        self.replicas = [
            ValkeyServer("--repl-diskless-sync-delay", 0, "--replicaof", f"127.0.0.1 {self.master.port}")
            for _ in range(2)
        ]
        self.sentinels = [ValkeyServer(sentinel=True) for _ in range(3)]

    @property
    def nodes(self) -> list[ValkeyServer]:
        return [self.master, *self.replicas]

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/{_SERVICE}"

    def __enter__(self) -> SentinelSetup:
        for node in self.nodes:
            node.start()
        wait_until(
            lambda: self.master.say("INFO", "replication").count("state=online") == 2, "replication to two replicas"
        )
        for sentinel in self.sentinels:
            (sentinel.folder / "sentinel.conf").write_text(
                f"sentinel monitor {_SERVICE} 127.0.0.1 {self.master.port} 2\n"
                f"sentinel down-after-milliseconds {_SERVICE} 500\n"
                f"sentinel failover-timeout {_SERVICE} 3000\n"
            )
            sentinel.start()
        wait_until(
            lambda: all(self._knows_everybody(one) for one in self.sentinels), "the Sentinels finding each other"
        )
        return self

    def _knows_everybody(self, sentinel: ValkeyServer) -> bool:
        info = sentinel.say("INFO", "sentinel")
        return "slaves=2,sentinels=3" in info

    def current_master(self) -> ValkeyServer:
        """Return the server that the Sentinels name as master."""
        for sentinel in self.sentinels:
            reply = sentinel.say("SENTINEL", "GET-MASTER-ADDR-BY-NAME", _SERVICE)
            for node in self.nodes:
                if f"\r\n{node.port}\r\n" in reply:
                    return node
        raise RuntimeError("no Sentinel knows the master")

    def wait_for_new_master(self, old: ValkeyServer) -> ValkeyServer:
        """Wait until the Sentinels have promoted somebody else, and that server says so itself."""

        def promoted() -> bool:
            new = self.current_master()
            return new is not old and "role:master" in new.say("INFO", "replication")

        wait_until(promoted, "a failover", 30)
        return self.current_master()

    def __exit__(self, *_: object) -> None:
        for server in [*self.sentinels, *self.nodes]:
            server.remove()


class ClusterSetup:
    """Three masters with one replica each. Only where a test kills one does a failover begin within a second: a machine
    that has much to do would look like a node that is gone."""

    def __init__(self) -> None:
        options: tuple[str | int, ...] = ("--cluster-enabled", "yes", "--cluster-node-timeout", _SOON)
        options += ("--repl-diskless-sync-delay", 0, "--cluster-replica-validity-factor", 0)
        self.nodes = [ValkeyServer(*options, "--cluster-port", free_port()) for _ in range(6)]
        self.masters = self.nodes[:3]

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}"

    def __enter__(self) -> ClusterSetup:
        for node in self.nodes:
            node.start()
        for epoch, node in enumerate(self.nodes, 1):
            node.say("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        bounds = [0, 5461, 10923, 16384]
        for index, master in enumerate(self.masters):
            master.say("CLUSTER", "ADDSLOTSRANGE", bounds[index], bounds[index + 1] - 1)
        first = self.nodes[0]
        for node in self.nodes[1:]:
            bus = node.process._command[node.process._command.index("--cluster-port") + 1]
            first.say("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        wait_until(lambda: all(self._sees(node, 6) for node in self.nodes), "the cluster's nodes meeting")
        for master, replica in zip(self.masters, self.nodes[3:], strict=True):
            identity = master.say("CLUSTER", "MYID").split("\r\n")[1]
            wait_until(lambda: replica.say("CLUSTER", "REPLICATE", identity).startswith("+OK"), "a replica joining")  # noqa: B023
        wait_until(lambda: all("cluster_state:ok" in node.say("CLUSTER", "INFO") for node in self.nodes), "the cluster")
        wait_until(
            lambda: all("state=online" in master.say("INFO", "replication") for master in self.masters), "the replicas"
        )
        wait_until(
            lambda: all(self._replicas_seen_by(node) == 3 for node in self.nodes), "everybody knowing the replicas"
        )
        self._give_up_after(self.nodes, _PATIENT)
        return self

    def _give_up_after(self, nodes: list[ValkeyServer], milliseconds: int) -> None:
        for node in nodes:
            assert node.say("CONFIG", "SET", "cluster-node-timeout", milliseconds) == "+OK\r\n"

    def _sees(self, node: ValkeyServer, count: int) -> bool:
        return f"cluster_known_nodes:{count}\r\n" in node.say("CLUSTER", "INFO")

    def _replicas_seen_by(self, node: ValkeyServer) -> int:
        return node.say("CLUSTER", "NODES").count("slave ")

    def lose(self, dead: ValkeyServer) -> None:
        """Kill a node, and wait until those that live serve every slot again."""
        living = [node for node in self.nodes if node is not dead]
        self._give_up_after(living, _SOON)
        dead.kill()

        def whole() -> bool:
            return all(
                "cluster_state:ok" in node.say("CLUSTER", "INFO")
                and "cluster_slots_ok:16384" in node.say("CLUSTER", "INFO")
                for node in living
            )

        def noticed() -> bool:
            return any(
                f":{dead.port}@" in line and "fail" in line for line in living[0].say("CLUSTER", "NODES").splitlines()
            )

        wait_until(noticed, "the cluster noticing that a node is gone", 30)
        wait_until(whole, "the failover", 30)
        self._give_up_after(living, _PATIENT)

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.remove()
